//! Whether the parents of an `HTTPRoute` accept it, which decides when a version that left it may go.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use iter8::api::RoutePolicyStatus;
use iter8::api::status::{Condition, Tristate};
use iter8::model::kind::{Kind, KindRef};
use iter8::model::observed::Uid;
use iter8::model::policy::Policy;
use iter8::model::validate::{self, ObjectInfo};
use iter8::plan::conditions::{READY, RECONCILING, ROUTED, STALLED, find};
use iter8::plan::policy::{Observed, plan, status};
use iter8::plan::readiness::Readiness;
use iter8::plan::routes::render;
use serde_json::{Value, json};

use crate::support::gateway::{Verdict, report, report_each};
use crate::support::manifest::{release, version};
use crate::support::{SOON, Test, equal};

/// A Release of a primary and a candidate, routed by the Service and, if so, by a Gateway.
fn two(gateway: bool) -> Value {
    let mut release = release("web", "deployment-gtw", "blue-green", &[version("v"), version("w")]);
    if gateway {
        release["spec"]["gateway"] = "edge".into();
    }
    release
}

/// The same without the candidate.
fn one(gateway: bool) -> Value {
    let mut release = two(gateway);
    release["spec"]["application"]["versions"].as_array_mut().unwrap().pop();
    release
}

#[track_caller]
fn routed_becomes(test: &Test, status: &str, reason: &str) {
    for object in [test.policy("web"), test.release("web")] {
        test.wait_until(&format!("Routed is {status} for {reason}"), SOON, || {
            let routed = object.condition("Routed").ok_or("there is none")?;
            equal([routed.status, routed.reason], &[status.to_owned(), reason.to_owned()])
        });
    }
}

/// The candidate is out of the spec and out of the route, and nothing of it goes, however often the operator looks.
#[track_caller]
fn candidate_stays(test: &Test) {
    test.route_becomes("web", "0:100");
    for look in ["first", "second"] {
        let patch = json!({ "spec": { "application": { "metadata": { "labels": { "look": look } } } } });
        test.kubectl(["patch", "release", "web", "--type=merge", &format!("--patch={patch}")]);
        test.wait_until("the operator has looked", SOON, || {
            equal(
                test.get("deployment", "web-0")["metadata"]["labels"]["look"].clone(),
                &json!(look),
            )
        });
        test.wait_until("status is of this look", SOON, || {
            let release = test.get("release", "web");
            equal(
                release["status"]["observedGeneration"].clone(),
                &release["metadata"]["generation"],
            )
        });
        for kind in ["deployment", "service"] {
            assert!(
                test.get(kind, "web-1")["metadata"]["deletionTimestamp"].is_null(),
                "{kind}"
            );
        }
        assert_eq!(test.release("web").version("web-1").unwrap()["role"], "leaving");
    }
}

#[track_caller]
fn candidate_goes(test: &Test) {
    for kind in ["deployment", "service"] {
        test.gone(kind, "web-1");
    }
    test.gone("configmap", "web-1-weight-config");
    test.wait_ready("release/web");
}

/// Applies both versions and waits until they share the requests.
#[track_caller]
fn settle(test: &Test, gateway: bool) {
    test.apply(&two(gateway).to_string());
    test.wait_ready("release/web");
    test.route_becomes("web", "0:50 1:50");
}

#[test]
fn a_route_that_nobody_reports_on_counts_as_accepted_and_the_drain_alone_decides() {
    let test = Test::new("not reported");
    settle(&test, false);
    routed_becomes(&test, "True", "NotReported");
    test.apply(&one(false).to_string());
    candidate_goes(&test);
    routed_becomes(&test, "True", "NotReported");
}

#[test]
fn a_version_goes_only_when_the_route_without_it_is_accepted_and_drained() {
    let test = Test::new("accepted");
    let safety = test.watch_safety();
    settle(&test, false);
    test.accept("web");
    routed_becomes(&test, "True", "Accepted");
    let mut release = one(false);
    release["spec"]["drainSeconds"] = 2.into();
    test.apply(&release.to_string());
    routed_becomes(&test, "Unknown", "Pending");
    assert_eq!(test.release("web").ready_reason(), "Pending");
    candidate_stays(&test);
    test.accept("web");
    let accepted = Instant::now();
    candidate_goes(&test);
    assert!(
        accepted.elapsed() >= Duration::from_millis(1900),
        "requests had no time to end"
    );
    routed_becomes(&test, "True", "Accepted");
    safety.assert_safe();
}

#[test]
fn a_gateway_knows_who_comes_before_requests_do_and_who_leaves_until_none_do() {
    let test = Test::new("known to the gateway");
    test.apply(&one(false).to_string());
    test.route_becomes("web", "0:100");
    test.accept("web");
    routed_becomes(&test, "True", "Accepted");
    let routes = test.watch("httproute");
    for (versions, becomes) in [(two(false), "0:50 1:50"), (one(false), "0:100")] {
        test.apply(&versions.to_string());
        routed_becomes(&test, "Unknown", "Pending");
        test.accept("web");
        test.route_becomes("web", becomes);
        routed_becomes(&test, "True", "Accepted");
    }
    let weights = |route: &Value| {
        let backends = route["spec"]["rules"][0]["backendRefs"].as_array().unwrap().clone();
        backends
            .iter()
            .map(|backend| backend["weight"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let mut seen: Vec<Vec<i64>> = routes.versions().iter().map(|seen| weights(&seen.object)).collect();
    seen.dedup();
    let steps: [&[i64]; 5] = [&[100], &[100, 0], &[50, 50], &[100, 0], &[100]];
    assert_eq!(seen, steps);
}

#[test]
fn a_report_on_an_older_route_is_none_on_this_one() {
    let test = Test::new("older generation");
    settle(&test, false);
    test.accept("web");
    routed_becomes(&test, "True", "Accepted");
    let mut weighted = two(false);
    weighted["spec"]["application"]["versions"][0]["weight"] = 30.into();
    test.apply(&weighted.to_string());
    test.route_becomes("web", "0:38 1:62");
    routed_becomes(&test, "Unknown", "Pending");
    // Of two changes at once, the report on the first is none on the second.
    test.accept("web");
    routed_becomes(&test, "True", "Accepted");
    test.apply(&one(false).to_string());
    routed_becomes(&test, "Unknown", "Pending");
    test.restart();
    candidate_stays(&test);
    test.accept("web");
    candidate_goes(&test);
}

#[test]
fn nothing_is_removed_while_a_parent_refuses_the_route() {
    let test = Test::new("refused");
    settle(&test, false);
    test.accept("web");
    routed_becomes(&test, "True", "Accepted");
    test.apply(&one(false).to_string());
    test.route_becomes("web", "0:100");
    for (verdict, reason) in [
        (
            Verdict::NotAccepted("NoMatchingListenerHostname"),
            "NoMatchingListenerHostname",
        ),
        (Verdict::RefsNotResolved("BackendNotFound"), "BackendNotFound"),
    ] {
        report(&test, "web", verdict);
        routed_becomes(&test, "False", reason);
        let ready = test.release("web").condition("Ready").unwrap();
        assert_eq!([ready.status.as_str(), ready.reason.as_str()], ["False", reason]);
        assert!(ready.message.contains("the test's gateway refuses it"), "{ready:?}");
        candidate_stays(&test);
    }
    test.accept("web");
    candidate_goes(&test);
}

#[test]
fn a_route_that_stays_refused_is_stalled_after_a_minute_in_which_nothing_happens() {
    let test = Test::new("refused for long");
    settle(&test, false);
    test.refuse("web", "NoMatchingParent");
    routed_becomes(&test, "False", "NoMatchingParent");
    for object in [test.policy("web"), test.release("web")] {
        test.wait_until("it is stalled", 2 * SOON, || {
            let stalled = object.condition("Stalled").ok_or("there is none")?;
            equal([stalled.status, stalled.reason], &["True", "NoMatchingParent"])
        });
    }
    test.accept("web");
    test.wait_ready("release/web");
}

#[test]
fn a_route_that_was_accepted_and_is_refused_later_keeps_what_it_was_to_drain() {
    let test = Test::new("refused later");
    settle(&test, false);
    test.accept("web");
    let mut release = one(false);
    release["spec"]["drainSeconds"] = 3600.into();
    test.apply(&release.to_string());
    routed_becomes(&test, "Unknown", "Pending");
    test.accept("web");
    test.wait_until("the candidate drains", SOON, || {
        equal(
            test.release("web").version("web-1").unwrap_or_default()["reason"].clone(),
            &json!("Draining"),
        )
    });
    test.refuse("web", "NoMatchingParent");
    routed_becomes(&test, "False", "NoMatchingParent");
    test.apply(&one(false).to_string());
    candidate_stays(&test);
    test.accept("web");
    candidate_goes(&test);
}

#[test]
fn a_parent_that_reported_once_and_does_no_more_is_waited_for() {
    let test = Test::new("parent vanished");
    settle(&test, false);
    test.accept("web");
    routed_becomes(&test, "True", "Accepted");
    report_each(&test, "web", |_| None);
    routed_becomes(&test, "Unknown", "Pending");
    test.apply(&one(false).to_string());
    candidate_stays(&test);
    test.restart();
    routed_becomes(&test, "Unknown", "Pending");
    candidate_stays(&test);
    test.accept("web");
    candidate_goes(&test);
}

#[test]
fn every_parent_that_reports_must_accept_the_route() {
    let test = Test::new("two parents");
    settle(&test, true);
    let edge_says = |verdict: Option<Verdict<'static>>| {
        report_each(&test, "web", move |parent| {
            if parent == "edge" {
                verdict
            } else {
                Some(Verdict::Accepted)
            }
        });
    };
    edge_says(Some(Verdict::Accepted));
    routed_becomes(&test, "True", "Accepted");
    test.apply(&one(true).to_string());
    test.route_becomes("web", "0:100");
    edge_says(None);
    routed_becomes(&test, "Unknown", "Pending");
    candidate_stays(&test);
    edge_says(Some(Verdict::NotAccepted("NotAllowedByListeners")));
    routed_becomes(&test, "False", "NotAllowedByListeners");
    let message = test.release("web").condition("Routed").unwrap().message;
    assert!(message.contains("Gateway/") && message.contains("/edge"), "{message}");
    candidate_stays(&test);
    edge_says(Some(Verdict::Accepted));
    candidate_goes(&test);
}

#[test]
fn a_parent_that_never_reports_and_one_that_the_spec_drops_are_not_waited_for() {
    let test = Test::new("one parent reports");
    settle(&test, true);
    report_each(&test, "web", |parent| (parent == "edge").then_some(Verdict::Accepted));
    routed_becomes(&test, "True", "Accepted");
    test.apply(&two(false).to_string());
    routed_becomes(&test, "True", "NotReported");
    test.apply(&one(false).to_string());
    candidate_goes(&test);
}

fn policy() -> Policy {
    let info = ObjectInfo {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        uid: Uid(7),
        generation: 1,
    };
    let spec = json!({
        "strategy": "blue-green",
        "versions": [{
            "name": "web-0",
            "resources": [{ "apiVersion": "v1", "kind": "Service", "name": "web-0" }],
            "backend": { "name": "web-0", "port": 80 },
        }],
        "route": { "httpRoute": { "parentRefs": [{ "name": "edge" }] } },
    });
    validate::policy(&info, &serde_json::from_value(spec).unwrap()).unwrap()
}

/// What there is when the policy's route is stored and its parent reports this of it.
fn observed(policy: &Policy, accepted: &str, old: Option<RoutePolicyStatus>) -> Observed {
    let ready = Readiness {
        ready: Tristate::True,
        reason: "Ready",
        message: String::new(),
    };
    let empty = Observed {
        readiness: vec![ready],
        ..Observed::default()
    };
    let mut route = plan(policy, &empty, render).route.unwrap().object;
    route["metadata"]["uid"] = Uid(9).to_string().into();
    route["metadata"]["generation"] = 1.into();
    let condition = |type_: &str, status: &str| json!({ "type": type_, "status": status, "reason": "NoMatchingParent", "message": "no", "observedGeneration": 1 });
    let conditions = [condition("Accepted", accepted), condition("ResolvedRefs", "True")];
    route["status"] = json!({ "parents": [{ "parentRef": { "name": "edge" }, "conditions": conditions }] });
    let seen = iter8::cluster::view::read(&KindRef::Known(Kind::HttpRoute), &route.to_string()).unwrap();
    Observed {
        route: Some(seen.object.into()),
        status: old,
        ..empty
    }
}

/// The status at a moment, and when to look again.
fn status_at(accepted: &str, old: Option<RoutePolicyStatus>, now: DateTime<Utc>) -> status::Report {
    let policy = policy();
    let observed = observed(&policy, accepted, old);
    let plan = plan(&policy, &observed, render);
    status::report(&policy, &observed, &plan, &[], now)
}

fn condition<'a>(status: &'a RoutePolicyStatus, type_: &str) -> &'a Condition {
    find(&status.conditions, type_).unwrap()
}

#[test]
fn a_route_that_is_refused_for_a_minute_is_stalled_until_it_is_accepted() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let after = |seconds| start + TimeDelta::seconds(seconds);
    let refused = status_at("False", None, start);
    assert_eq!(
        refused.requeue,
        Some(TimeDelta::seconds(60)),
        "it looks again by itself"
    );
    assert_eq!(condition(&refused.status, ROUTED).reason, "NoMatchingParent");
    assert_eq!(condition(&refused.status, STALLED).status, Tristate::False);
    assert_eq!(condition(&refused.status, RECONCILING).status, Tristate::True);

    let soon = status_at("False", Some(refused.status), after(59));
    assert_eq!(soon.requeue, Some(TimeDelta::seconds(1)));
    assert_eq!(condition(&soon.status, STALLED).status, Tristate::False);
    assert_eq!(soon.events, []);

    let stalled = status_at("False", Some(soon.status), after(60));
    assert_eq!(stalled.requeue, None);
    for type_ in [STALLED, READY] {
        assert_eq!(condition(&stalled.status, type_).reason, "NoMatchingParent");
    }
    assert_eq!(condition(&stalled.status, STALLED).status, Tristate::True);
    assert_eq!(condition(&stalled.status, RECONCILING).status, Tristate::False);
    let warned: Vec<&str> = stalled.events.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(warned, ["NoMatchingParent"]);

    let again = status_at("False", Some(stalled.status.clone()), after(600));
    assert_eq!(
        (again.status, again.events),
        (stalled.status.clone(), Vec::new()),
        "it comes to rest"
    );

    let accepted = status_at("True", Some(stalled.status), after(601));
    assert_eq!(condition(&accepted.status, READY).status, Tristate::True);
    assert_eq!(condition(&accepted.status, STALLED).status, Tristate::False);
    let anew = status_at("False", Some(accepted.status), after(700));
    assert_eq!(anew.requeue, Some(TimeDelta::seconds(60)), "the minute begins anew");
}
