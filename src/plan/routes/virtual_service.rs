//! Istio's `VirtualService`.

use std::collections::BTreeMap;

use super::APP_VERSION;
use crate::api::route_match::{HttpRouteMatch, PathMatch, PathMatchType, ValueMatch, ValueMatchType};
use crate::api::route_policy::{Backend, VirtualServiceTarget};
use crate::mesh::istio::{
    Destination, HeaderOperations, Headers, HttpMatchRequest, HttpMirrorPolicy, HttpRoute, HttpRouteDestination,
    Percent, PortSelector, StringMatch, VirtualServiceSpec,
};
use crate::model::policy::{Intent, Rule};
use crate::plan::CLUSTER_DOMAIN;

/// The `spec` for backends in `namespace`.
pub(super) fn spec(namespace: &str, target: &VirtualServiceTarget, intent: &Intent) -> VirtualServiceSpec {
    VirtualServiceSpec {
        hosts: target.hosts.clone(),
        gateways: target.gateways.clone(),
        http: intent.rules.iter().map(|rule| http(namespace, rule)).collect(),
    }
}

fn http(namespace: &str, rule: &Rule) -> HttpRoute {
    HttpRoute {
        name: rule.name.clone(),
        matches: rule.matches.iter().flat_map(matches).collect(),
        route: rule
            .backends
            .iter()
            .map(|(backend, weight)| HttpRouteDestination {
                destination: destination(namespace, backend),
                weight: *weight,
                headers: answered_by(backend),
            })
            .collect(),
        mirrors: rule
            .mirrors
            .iter()
            .map(|(backend, percent)| HttpMirrorPolicy {
                destination: destination(namespace, backend),
                percentage: Percent { value: *percent },
            })
            .collect(),
    }
}

fn destination(namespace: &str, backend: &Backend) -> Destination {
    Destination {
        host: format!("{}.{namespace}.{CLUSTER_DOMAIN}", backend.name),
        port: PortSelector { number: backend.port },
    }
}

fn answered_by(backend: &Backend) -> Headers {
    let add = BTreeMap::from([(APP_VERSION.to_owned(), backend.name.clone())]);
    Headers {
        response: HeaderOperations { add },
    }
}

/// One condition of ours is as many of Istio's as its path needs.
fn matches(wanted: &HttpRouteMatch) -> Vec<HttpMatchRequest> {
    let others = HttpMatchRequest {
        uri: None,
        // Envoy compares names of headers in lower case.
        headers: by_name(&wanted.headers, str::to_ascii_lowercase),
        query_params: by_name(&wanted.query_params, str::to_owned),
        method: wanted
            .method
            .map(|method| StringMatch::Exact(method.as_str().to_owned())),
    };
    let uris = wanted.path.as_ref().map(uris).unwrap_or_default();
    if !uris.is_empty() {
        let with = |uri| HttpMatchRequest {
            uri: Some(uri),
            ..others.clone()
        };
        return uris.into_iter().map(with).collect();
    }
    if others == HttpMatchRequest::default() {
        // Istio refuses a match without conditions.
        let uri = Some(StringMatch::Prefix("/".to_owned()));
        return vec![HttpMatchRequest { uri, ..others }];
    }
    vec![others]
}

/// Conditions any of which means the path; none for every path.
///
/// The Gateway API compares prefixes element by element and ignores a trailing `/`; Istio's `/foo` would match
/// `/foobar` too.
fn uris(path: &PathMatch) -> Vec<StringMatch> {
    match path.type_ {
        PathMatchType::Exact => vec![StringMatch::Exact(path.value.clone())],
        PathMatchType::RegularExpression => vec![StringMatch::Regex(path.value.clone())],
        PathMatchType::PathPrefix => match path.value.trim_end_matches('/') {
            "" => Vec::new(),
            prefix => vec![
                StringMatch::Exact(prefix.to_owned()),
                StringMatch::Prefix(format!("{prefix}/")),
            ],
        },
    }
}

/// Of several conditions on one name the first counts, as in the Gateway API.
fn by_name(conditions: &[ValueMatch], key: fn(&str) -> String) -> BTreeMap<String, StringMatch> {
    let mut map = BTreeMap::new();
    for condition in conditions {
        map.entry(key(&condition.name))
            .or_insert_with(|| match condition.type_ {
                ValueMatchType::Exact => StringMatch::Exact(condition.value.clone()),
                ValueMatchType::RegularExpression => StringMatch::Regex(condition.value.clone()),
            });
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_path_element() {
        let exact_and_below = |path: &str| {
            vec![
                StringMatch::Exact(path.to_owned()),
                StringMatch::Prefix(format!("{path}/")),
            ]
        };
        let table = [
            ("/foo", exact_and_below("/foo")),
            ("/foo/", exact_and_below("/foo")),
            ("/foo/bar", exact_and_below("/foo/bar")),
            ("/", vec![]),
            ("//", vec![]),
        ];
        for (value, want) in table {
            let path = PathMatch {
                type_: PathMatchType::PathPrefix,
                value: value.to_owned(),
            };
            assert_eq!(uris(&path), want, "{value}");
        }
    }

    #[test]
    fn a_match_of_every_request_is_not_written_empty() {
        let [every] = matches(&HttpRouteMatch::default()).try_into().unwrap();
        assert_eq!(every.uri, Some(StringMatch::Prefix("/".to_owned())));
    }

    #[test]
    fn of_two_conditions_on_one_header_the_first_counts() {
        let condition = |name: &str, value: &str| ValueMatch {
            type_: ValueMatchType::Exact,
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let headers = by_name(
            &[condition("X-User", "a"), condition("x-user", "b")],
            str::to_ascii_lowercase,
        );
        assert_eq!(
            headers,
            BTreeMap::from([("x-user".to_owned(), StringMatch::Exact("a".to_owned()))])
        );
    }
}
