//! Routes from policies: `tests/golden/routes/<case>/{policy,intent,want}.yaml`.

use iter8::api::RoutePolicy;
use iter8::api::route_match::HttpRouteMatch;
use iter8::api::route_policy::Backend;
use iter8::model::observed::Uid;
use iter8::model::policy::{Intent, Policy, Rule, Target};
use iter8::model::yaml;
use iter8::plan::routes::render;
use serde::Deserialize;

use crate::golden;

#[derive(Deserialize)]
struct IntentFile {
    rules: Vec<RuleFile>,
}

#[derive(Deserialize)]
struct RuleFile {
    name: String,
    #[serde(default)]
    matches: Vec<HttpRouteMatch>,
    backends: Vec<(Backend, i32)>,
    #[serde(default)]
    mirrors: Vec<(Backend, i32)>,
}

impl From<IntentFile> for Intent {
    fn from(file: IntentFile) -> Self {
        let rule = |rule: RuleFile| Rule {
            name: rule.name,
            matches: rule.matches,
            backends: rule.backends,
            mirrors: rule.mirrors,
        };
        Self {
            rules: file.rules.into_iter().map(rule).collect(),
        }
    }
}

/// What rendering reads of a policy: all but its versions, which the intent stands for.
fn policy(text: &str) -> Policy {
    let policy: RoutePolicy = yaml::read(text).unwrap();
    let name = policy.metadata.name.unwrap();
    let route = match (policy.spec.route.http_route, policy.spec.route.virtual_service) {
        (Some(target), None) => Target::HttpRoute(target.name.clone().unwrap_or_else(|| name.clone()), target),
        (None, Some(target)) => Target::VirtualService(target.name.clone().unwrap_or_else(|| name.clone()), target),
        _ => panic!("exactly one route"),
    };
    Policy {
        name,
        namespace: policy.metadata.namespace.unwrap(),
        uid: Uid::parse(&policy.metadata.uid.unwrap()).unwrap(),
        generation: 1,
        strategy: policy.spec.strategy,
        versions: Vec::new(),
        route,
        suspend: false,
    }
}

#[test]
fn routes_are_as_the_golden_files_say() {
    golden::check(golden::cases("routes").iter().map(|case| {
        let intent: IntentFile = yaml::read(&golden::input(case, "intent.yaml")).unwrap();
        let route = render(&policy(&golden::input(case, "policy.yaml")), &intent.into());
        golden::compare(case, &yaml::write(&route).unwrap())
    }));
}
