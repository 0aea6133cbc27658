//! Conditions: their times, and what they say together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{policy, web, with};
use crate::support::manifest::{list, never_ready, release, version};
use crate::support::recorder::Seen;
use crate::support::{SOON, Test, equal, holds, wait_until};

/// Status and time of a condition by its name.
type Said = BTreeMap<String, (String, DateTime<Utc>)>;

fn said(object: &Value) -> Said {
    let conditions = object["status"]["conditions"].as_array().unwrap().iter();
    conditions
        .map(|condition| {
            let text = |key: &str| condition[key].as_str().unwrap().to_owned();
            let time = text("lastTransitionTime").parse().unwrap();
            (text("type"), (text("status"), time))
        })
        .collect()
}

/// What holds of the conditions of an object at any time.
#[track_caller]
fn assert_sound(object: &Value) {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let types: Vec<&str> = conditions.iter().map(|one| one["type"].as_str().unwrap()).collect();
    if types == ["Ready"] {
        assert_eq!(
            conditions[0]["reason"], "Pending",
            "nobody has looked at it yet: {object:#}"
        );
        return;
    }
    assert_eq!(types, ["Ready", "VersionsReady", "Routed", "Reconciling", "Stalled"]);
    for condition in conditions {
        let observed = &condition["observedGeneration"];
        assert_eq!(*observed, object["status"]["observedGeneration"], "{condition}");
    }
    let said = said(object);
    let holds = |type_: &str| said[type_].0 == "True";
    let together = [holds("Ready"), holds("Reconciling"), holds("Stalled")];
    let how_many = together.into_iter().filter(|holds| *holds).count();
    assert_eq!(how_many, 1, "Ready, Reconciling, Stalled are {together:?}: {object:#}");
}

/// A condition's time moves when its status does, and never back.
#[track_caller]
fn assert_times(versions: &[Seen]) {
    for pair in versions.windows(2) {
        let (before, after) = (said(&pair[0].object), said(&pair[1].object));
        for (type_, (status, time)) in &after {
            let Some((old, since)) = before.get(type_) else {
                continue;
            };
            let kept = if status == old { time == since } else { time >= since };
            assert!(kept, "{type_} was {old} since {since} and is {status} since {time}");
        }
    }
}

#[test]
fn conditions_agree_with_each_other_and_keep_their_times_whatever_happens() {
    let test = Test::new("conditions");
    let (releases, policies) = (test.watch("release"), test.watch("routepolicy"));
    let apply = |release: &Value| test.apply(&release.to_string());
    let ready_reason_becomes = |reason: &str| {
        test.wait_until(reason, SOON, || equal(test.release("web").ready_reason(), reason));
    };
    apply(&web(&[version("web:1")]));
    test.wait_ready("release/web");
    apply(&web(&[version("web:1"), never_ready("web:2")]));
    ready_reason_becomes("CandidateNotReady");
    apply(&web(&[version("web:1"), version("web:2")]));
    test.wait_ready("release/web");
    apply(&web(&[version("web:2")])); // promoted
    ready_reason_becomes("Promoting");
    test.wait_ready("release/web");
    test.kubectl(["create", "service", "clusterip", "web-1", "--tcp=80"]);
    apply(&web(&[version("web:2"), version("web:3")]));
    ready_reason_becomes("NameConflict");
    test.kubectl(["delete", "service", "web-1"]);
    test.wait_ready("release/web");
    apply(&with(
        web(&[version("web:2"), version("web:3")]),
        "suspend",
        &json!(true),
    ));
    ready_reason_becomes("Suspended");
    apply(&web(&[version("web:2"), version("web:3")]));
    test.wait_ready("release/web");
    test.kubectl(["scale", "deployment/web-0", "--replicas=0"]);
    ready_reason_becomes("PrimaryNotReady");

    for recorder in [releases, policies] {
        let versions = recorder.versions_of("web");
        assert!(versions.len() > 8, "{} {}", versions.len(), recorder.kind());
        for seen in &versions {
            assert_sound(&seen.object);
        }
        assert_times(&versions);
    }
}

#[test]
fn the_time_of_a_condition_stays_when_only_its_message_or_its_generation_changes() {
    let test = Test::new("times");
    let release = web(&[version("web:1"), never_ready("web:2")]);
    test.apply(&release.to_string());
    let message_becomes = |part: &str| {
        for status in [test.release("web"), test.policy("web")] {
            test.wait_until(part, SOON, || {
                let ready = status.condition("Ready").ok_or("no condition")?;
                holds(ready.message.contains(part), ready)
            });
        }
    };
    let objects = || ["release", "routepolicy"].map(|kind| test.get(kind, "web"));
    message_becomes("has no available replica");
    for status in [test.release("web"), test.policy("web")] {
        test.wait_until("the other version is routed", SOON, || {
            let routed = status.condition("Routed").ok_or("no condition")?;
            holds(routed.status == "True", routed)
        });
    }
    let before = objects();
    // Times have whole seconds.
    let latest = before
        .iter()
        .flat_map(|object| said(object).into_values())
        .map(|(_, time)| time);
    let next = latest.max().unwrap() + chrono::Duration::seconds(2);
    wait_until("another time would be told", SOON, || holds(Utc::now() > next, next));

    test.kubectl(["scale", "deployment/web-1", "--replicas=0"]);
    message_becomes("is scaled to zero");
    test.apply(&with(release, "drainSeconds", &json!(2)).to_string());
    message_becomes("is scaled to zero");
    let after = objects();
    assert_ne!(
        after[0]["status"]["observedGeneration"],
        before[0]["status"]["observedGeneration"]
    );
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(said(after), said(before));
        assert_eq!(
            after["status"]["versions"][1]["since"],
            before["status"]["versions"][1]["since"]
        );
    }
    // It moves with the status.
    test.kubectl(["scale", "deployment/web-0", "--replicas=0"]);
    message_becomes("web-0");
    let gone = objects().map(|object| said(&object)["VersionsReady"].clone());
    assert_eq!(gone[0].0, "False");
}

#[test]
fn a_status_that_could_not_be_written_is_written_later() {
    let (test, relay) = Test::through_relay("status lost");
    let mut objects = [
        release("web", "deployment", "none", &[version("web:1")]),
        policy(&["one"]),
    ];
    test.kubectl(["create", "service", "clusterip", "one", "--tcp=80"]);
    test.apply(&list(&objects));
    for object in ["release/web", "routepolicy/own"] {
        test.wait_ready(object);
    }
    relay.fail_writes(Some("/status?"));
    for object in &mut objects {
        object["spec"]["suspend"] = json!(true);
    }
    test.apply(&list(&objects));
    for kind in ["releases", "routepolicies"] {
        test.wait_until(&format!("a status of {kind} is refused"), SOON, || {
            let refused = relay.disturbed();
            holds(refused.iter().any(|line| line.contains(kind)), &refused)
        });
    }
    // Nothing else happens that could make the operator look at them.
    relay.fail_writes(None);
    let routed = || test.policy("own").condition("Routed").map(|routed| routed.reason);
    test.wait_until("the policy says what it should", SOON, || {
        equal(routed(), &Some("Suspended".to_owned()))
    });
    let ready = || test.release("web").ready_reason();
    test.wait_until("the Release says what it should", SOON, || equal(ready(), "Suspended"));
    for object in &mut objects {
        object["spec"]["suspend"] = json!(false);
    }
    test.apply(&list(&objects));
    test.wait_ready("release/web");
    test.wait_ready("routepolicy/own");
}
