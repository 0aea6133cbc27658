//! The part of a gateway controller: saying whether it takes a route. No mesh runs in the local cluster.

use serde_json::{Value, json};

use super::{SOON, Test};

/// Who reports, in `status.parents[].controllerName`.
const CONTROLLER: &str = "iter8.tools/test-gateway";

/// What a gateway controller says of a route.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// It is in force.
    Accepted,
    /// Condition Accepted is False for this reason (as `NoMatchingListenerHostname`).
    NotAccepted(&'a str),
    /// Condition ResolvedRefs is False for this reason (as `BackendNotFound`).
    RefsNotResolved(&'a str),
}

/// Reports on an `HTTPRoute` as it is now, for every one of its parents.
#[track_caller]
pub fn report(test: &Test, route: &str, verdict: Verdict<'_>) {
    report_each(test, route, |_| Some(verdict));
}

/// Reports on an `HTTPRoute` as it is now; a parent (by its name) for which there is no verdict has no report. What is
/// on its way is accepted before, step by step.
#[track_caller]
pub fn report_each<'a>(test: &Test, name: &str, verdict: impl Fn(&str) -> Option<Verdict<'a>>) {
    let mut route = test.get("httproute", name);
    while is_on_its_way(&route) {
        write(test, &route, |_| Some(Verdict::Accepted));
        let before = route["metadata"]["generation"].take();
        route = test.wait_until(&format!("{name} goes on"), SOON, || {
            let route = test.get("httproute", name);
            if route["metadata"]["generation"] == before {
                Err(route.to_string())
            } else {
                Ok(route)
            }
        });
    }
    write(test, &route, verdict);
}

/// Whether it names somebody who gets no request: who comes, or has just left.
fn is_on_its_way(route: &Value) -> bool {
    let mut rules = route["spec"]["rules"].as_array().unwrap().iter();
    rules.any(|rule| {
        rule["backendRefs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|backend| backend["weight"] == 0)
    })
}

#[track_caller]
fn write<'a>(test: &Test, route: &Value, verdict: impl Fn(&str) -> Option<Verdict<'a>>) {
    let name = route["metadata"]["name"].as_str().unwrap();
    let parents = route["spec"]["parentRefs"].as_array().unwrap().iter();
    let reports: Vec<Value> = parents
        .filter_map(|parent| Some(report_of(route, parent, verdict(parent["name"].as_str()?)?)))
        .collect();
    let status = json!({ "status": { "parents": reports } });
    let patch = format!("--patch={status}");
    test.kubectl([
        "patch",
        "httproute",
        name,
        "--subresource=status",
        "--type=merge",
        &patch,
    ]);
}

fn report_of(route: &Value, parent: &Value, verdict: Verdict<'_>) -> Value {
    let (accepted, resolved) = match verdict {
        Verdict::Accepted => ("Accepted", "ResolvedRefs"),
        Verdict::NotAccepted(reason) => (reason, "ResolvedRefs"),
        Verdict::RefsNotResolved(reason) => ("Accepted", reason),
    };
    let condition = |type_: &str, reason: &str| {
        let holds = type_ == reason;
        json!({
            "type": type_,
            "status": if holds { "True" } else { "False" },
            "reason": reason,
            "message": if holds { "" } else { "the test's gateway refuses it" },
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": chrono::Utc::now(),
        })
    };
    let conditions = [condition("Accepted", accepted), condition("ResolvedRefs", resolved)];
    json!({ "parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions })
}
