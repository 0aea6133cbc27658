//! What the CRDs refuse at `kubectl apply`, and what only a look at the whole object can refuse, without an API server.
//!
//! For `iter8 render` on a file, and for the controllers: an object stored before a rule existed may still break it.

mod experiment;
mod hosts;
mod policy;
mod release;
mod schema;

pub use experiment::{experiment, metric};
pub use policy::policy;
pub use release::release;
pub use schema::unknown_fields;

use serde_json::Value;

use super::FieldError;
use super::observed::Uid;
use crate::api::route_match::{HttpRouteMatch, PathMatch, PathMatchType, ValueMatch, ValueMatchType};
use crate::api::rules::{BAD_PATH, TAKES_ALL};
use crate::api::{ExperimentSpec, MetricSpec, ReleaseSpec, RoutePolicySpec};

/// What the rules need of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`; of an object out of a file 0.
    pub uid: Uid,
    /// `metadata.generation`; of an object out of a file 0.
    pub generation: i64,
}

/// Reads the `spec` of a Release out of a file: nulls count as absent, as on the API server; unknown fields, wrong
/// types and missing fields are errors, each with its path.
pub fn read_release(object: &Value) -> Result<ReleaseSpec, Vec<FieldError>> {
    schema::read(&schema::RELEASE, object)
}

/// Reads the `spec` of a `RoutePolicy` out of a file, like [`read_release`].
pub fn read_policy(object: &Value) -> Result<RoutePolicySpec, Vec<FieldError>> {
    schema::read(&schema::ROUTE_POLICY, object)
}

/// Reads the `spec` of an `Experiment` out of a file, like [`read_release`].
pub fn read_experiment(object: &Value) -> Result<ExperimentSpec, Vec<FieldError>> {
    schema::read(&schema::EXPERIMENT, object)
}

/// Reads the `spec` of a `Metric` out of a file, like [`read_release`].
pub fn read_metric(object: &Value) -> Result<MetricSpec, Vec<FieldError>> {
    schema::read(&schema::METRIC, object)
}

/// The match of a canary candidate without matches: header `traffic: test`.
fn default_matches() -> Vec<HttpRouteMatch> {
    let header = ValueMatch {
        type_: ValueMatchType::Exact,
        name: "traffic".to_owned(),
        value: "test".to_owned(),
    };
    vec![HttpRouteMatch {
        headers: vec![header],
        ..HttpRouteMatch::default()
    }]
}

/// The weight that a version has when the spec gives none.
fn default_weight(mirror: bool) -> i32 {
    if mirror { 100 } else { 50 }
}

/// The rules for one version's matches; `at` is the path of the list.
fn check_matches(at: &str, matches: &[HttpRouteMatch], errors: &mut Vec<FieldError>) {
    for (index, one) in matches.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if takes_all(one) {
            errors.push(FieldError::invalid(&at, TAKES_ALL));
        }
        if one.path.as_ref().is_some_and(|path| !is_path(path)) {
            errors.push(FieldError::invalid(format!("{at}.path"), BAD_PATH));
        }
    }
}

fn takes_all(one: &HttpRouteMatch) -> bool {
    let root = |path: &PathMatch| path.type_ == PathMatchType::PathPrefix && path.value == "/";
    one.headers.is_empty() && one.query_params.is_empty() && one.method.is_none() && one.path.as_ref().is_none_or(root)
}

/// The forms of `HTTPPathMatch` in the Gateway API.
fn is_path(path: &PathMatch) -> bool {
    let value = path.value.as_str();
    path.type_ == PathMatchType::RegularExpression
        || (value.starts_with('/')
            && !["//", "/./", "/../", "%2f", "%2F", "#"]
                .iter()
                .any(|part| value.contains(part))
            && !value.ends_with("/..")
            && !value.ends_with("/."))
}

/// The names that stand in the list more than once, each with the index of its second place.
fn repeated<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    names
        .enumerate()
        .filter_map(|(index, name)| name.filter(|name| !seen.insert(*name)).map(|_| index))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Refusal, policy as valid_policy, release as valid_release};

    fn info() -> ObjectInfo {
        ObjectInfo {
            name: "web".to_owned(),
            namespace: "shop".to_owned(),
            ..ObjectInfo::default()
        }
    }

    fn valid_release(application: &Value) -> valid_release::Release {
        let spec = json!({ "environment": "deployment-gtw", "gateway": "infra/gw", "application": application });
        release(&info(), &read_release(&json!({ "spec": spec })).unwrap()).unwrap()
    }

    fn policy_of(strategy: &str, host: &str) -> Result<valid_policy::Policy, Vec<FieldError>> {
        let version = |name: &str| {
            json!({ "name": name, "resources": [{ "apiVersion": "v1", "kind": "Pod", "name": name }],
                "backend": { "name": name, "port": 80 } })
        };
        let mut stand_in = version("b");
        stand_in["servesFor"] = json!("a");
        let route = json!({ "virtualService": { "hosts": [host] } });
        let spec = json!({ "strategy": strategy, "versions": [version("a"), stand_in, version("c")], "route": route });
        policy(&info(), &read_policy(&json!({ "spec": spec })).unwrap())
    }

    #[test]
    fn names_ports_and_the_gateway_get_their_defaults() {
        let valid =
            valid_release(&json!({ "port": 8080, "versions": [{ "image": "a" }, { "image": "b", "port": 1 }] }));
        assert_eq!(valid.application, "web");
        let versions: Vec<(&str, i32)> = valid.versions.iter().map(|one| (one.name.as_str(), one.port)).collect();
        assert_eq!(versions, [("web-0", 8080), ("web-1", 1)]);
        let gateway = valid.gateway.unwrap();
        assert_eq!(
            (gateway.namespace.as_deref(), gateway.name.as_str()),
            (Some("infra"), "gw")
        );
    }

    #[test]
    fn the_default_weight_depends_on_the_strategy_and_0_stays_0() {
        for (strategy, want) in [("blue-green", 50), ("canary", 50), ("none", 50), ("mirror", 100)] {
            let versions = json!([{ "image": "a" }, { "image": "b", "weight": 0 }]);
            let valid = valid_release(&json!({ "strategy": strategy, "versions": versions }));
            assert_eq!(
                [valid.versions[0].weight, valid.versions[1].weight],
                [want, 0],
                "{strategy}"
            );
        }
    }

    #[test]
    fn a_canary_candidate_without_matches_gets_the_header_traffic_test() {
        let valid = valid_release(&json!({ "strategy": "canary", "versions": [{ "image": "a" }, { "image": "b" }] }));
        assert!(valid.versions[0].matches.is_empty());
        assert_eq!(valid.versions[1].matches, default_matches());
        let policy = policy_of("canary", "web").unwrap();
        assert_eq!(policy.versions[2].matches, default_matches());
        assert!(
            policy.versions[1].matches.is_empty(),
            "a stand-in has the other's place"
        );
    }

    #[test]
    fn a_versions_labels_come_over_the_applications() {
        let application = json!({ "metadata": { "labels": { "a": "app", "b": "app" } },
            "versions": [{ "image": "a", "metadata": { "labels": { "b": "version" } } }] });
        let labels = valid_release(&application).versions.remove(0).labels;
        assert_eq!(json!(labels), json!({ "a": "app", "b": "version" }));
    }

    #[test]
    fn a_stand_in_is_linked_to_the_version_that_it_serves_for() {
        let valid = policy_of("blue-green", "web").unwrap();
        assert_eq!(
            [valid.versions[0].serves_for, valid.versions[1].serves_for],
            [None, Some(0)]
        );
        assert_eq!(valid.route.name(), "web", "the route is called like the policy");
    }

    #[test]
    fn a_host_of_another_namespace_has_a_reason_of_its_own() {
        let errors = policy_of("blue-green", "web.other.svc").unwrap_err();
        assert_eq!(
            errors.iter().map(|error| error.reason).collect::<Vec<_>>(),
            [Refusal::HostNotAllowed]
        );
        assert_eq!(errors[0].path, "spec.route.virtualService.hosts[0]");
    }

    #[test]
    fn all_errors_are_reported_with_their_paths() {
        let application = json!({ "port": 0, "versions": [{ "image": "a", "weight": 101 }, { "weight": -1 }] });
        let spec = json!({ "environment": "deployment", "gateway": "gw", "application": application });
        let errors = release(&info(), &read_release(&json!({ "spec": spec })).unwrap()).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "spec.application.port",
                "spec.application.versions[0].weight",
                "spec.application.versions[1].weight",
                "spec.gateway",
                "spec.application.versions[1].image",
            ]
        );
    }

    #[test]
    fn unknown_fields_are_found_except_where_everything_goes() {
        let version = json!({ "image": "a", "imagePullPolicy": "Always",
            "deploymentSpecification": { "spec": { "anything": { "goes": 1 } }, "kind": "Deployment" } });
        let object = json!({ "kind": "Release", "spec": { "application": { "versions": [version] }, "x": null } });
        let mut paths: Vec<String> = unknown_fields(&object).into_iter().map(|error| error.path).collect();
        paths.sort();
        assert_eq!(
            paths,
            [
                "spec.application.versions[0].deploymentSpecification.kind",
                "spec.application.versions[0].imagePullPolicy",
                "spec.x",
            ]
        );
    }
}
