use serde_json::{Value, json};

use super::*;

const SINCE: &str = "2026-01-01T00:00:00Z";

fn version(name: &str, role: &str, percent: impl Into<Option<i32>>) -> Value {
    json!({ "name": name, "role": role, "ready": "True", "reason": "Ready", "percent": percent.into(), "since": SINCE })
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE })
}

fn described(strategy: &str, status: &Value) -> String {
    let versions = json!([{ "image": "a" }, { "image": "b" }]);
    let spec =
        json!({ "environment": "deployment-istio", "application": { "strategy": strategy, "versions": versions } });
    let object = json!({
        "apiVersion": "iter8.tools/v1alpha1", "kind": "Release",
        "metadata": { "name": "web", "namespace": "shop", "generation": 3 }, "spec": spec, "status": status,
    });
    release(&serde_json::from_value(object).unwrap())
}

/// What each version gets.
fn gets(strategy: &str, versions: &[Value], stand_in: Option<&str>) -> Vec<String> {
    let route = json!({ "apiVersion": "v1", "kind": "VirtualService", "name": "web", "policyGeneration": 1 });
    let mut status = json!({ "observedGeneration": 3, "versions": versions, "route": route });
    if let Some(source) = stand_in {
        status["promotion"] = json!({ "step": "Roll", "source": source, "since": SINCE });
    }
    column(&described(strategy, &status), 4)
}

fn column(text: &str, column: usize) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with("| web-"));
    let cell = |row: &str| row.trim_matches('|').split('|').nth(column).unwrap().trim().to_owned();
    rows.map(cell).collect()
}

#[test]
fn shares_are_percent() {
    let versions = [version("web-0", "primary", 30), version("web-1", "candidate", 70)];
    assert_eq!(gets("blue-green", &versions, None), ["30%", "70%"]);
    assert_eq!(gets("none", &versions, None), ["-", "-"]);
}

#[test]
fn a_canary_candidate_gets_what_matches_unless_it_is_out_of_the_route() {
    let versions = [version("web-0", "primary", 100), version("web-1", "candidate", None)];
    assert_eq!(gets("canary", &versions, None), ["100%", "match"]);
    let versions = [version("web-0", "primary", 100), version("web-1", "candidate", 0)];
    assert_eq!(gets("canary", &versions, None), ["100%", "0%"]);
}

#[test]
fn a_mirrored_candidate_gets_copies_unless_it_serves_for_the_primary() {
    let copies = [version("web-0", "primary", 100), version("web-1", "candidate", 40)];
    assert_eq!(gets("mirror", &copies, None), ["100%", "copy 40%"]);
    assert_eq!(gets("mirror", &copies, Some("web-1")), ["100%", "copy 40%"]);
    let serves = [
        version("web-0", "primary", 0),
        version("web-1", "leaving", 100),
        version("web-2", "candidate", 5),
    ];
    assert_eq!(gets("mirror", &serves, Some("web-1")), ["0%", "100%", "copy 5%"]);
    let renamed = [version("web-1", "primary", None), version("web-0", "leaving", 100)];
    assert_eq!(gets("mirror", &renamed, None), ["0%", "100%"]);
}

#[test]
fn without_a_route_nobody_gets_anything() {
    let status = json!({ "observedGeneration": 3, "versions": [version("web-0", "primary", None)] });
    let text = described("blue-green", &status);
    assert_eq!(column(&text, 4), ["-"]);
    assert!(text.contains("\nRoute: not written yet\n"), "{text}");
}

#[test]
fn one_that_the_operator_has_not_seen_says_so() {
    let text = described("blue-green", &json!({}));
    assert!(
        text.ends_with("****** Readiness ******\nReady: Unknown: the operator has not reported on it yet\n"),
        "{text}"
    );
}

#[test]
fn a_status_of_an_earlier_generation_says_so() {
    let text = described("blue-green", &json!({ "observedGeneration": 2 }));
    assert!(
        text.contains("generation 3 yet; what follows is about generation 2.\n"),
        "{text}"
    );
    let text = described("blue-green", &json!({ "observedGeneration": 3 }));
    assert!(!text.contains("generation 3"), "{text}");
}

#[test]
fn each_version_that_is_not_ready_says_why() {
    let mut versions = [
        version("web-0", "primary", 100),
        version("web-1", "candidate", 0),
        version("web-2", "candidate", 0),
    ];
    for (version, ready, reason) in [
        (0, "Unknown", "Progressing"),
        (1, "False", "NotAvailable"),
        (2, "False", "NotFound"),
    ] {
        versions[version]["ready"] = json!(ready);
        versions[version]["reason"] = json!(reason);
    }
    let message = "version web-1 is not ready: Deployment web-1 has no available replica";
    let conditions = [condition("VersionsReady", "False", "CandidateNotReady", message)];
    let text = described("blue-green", &json!({ "versions": versions, "conditions": conditions }));
    let why = "it is not known whether web-0 is ready (Progressing)\n\
               web-1 is not ready (NotAvailable): Deployment web-1 has no available replica\n\
               web-2 is not ready (NotFound)\n";
    assert!(text.contains(why), "{text}");
    assert_eq!(column(&text, 2), ["unknown", "false", "false"]);
}

#[test]
fn conditions_that_are_as_they_should_be_are_left_out() {
    let text = |conditions: &[Value]| described("blue-green", &json!({ "conditions": conditions }));
    let good = [
        condition("Ready", "True", "Ready", "all is well"),
        condition("VersionsReady", "True", "Ready", ""),
        condition("Routed", "True", "Accepted", ""),
        condition("Reconciling", "False", "Done", ""),
        condition("Stalled", "False", "Progressing", ""),
    ];
    let all_well = text(&good);
    assert!(
        all_well.ends_with(&format!("\nReady: True since {SINCE} (Ready): all is well\n")),
        "{all_well}"
    );
    let bad = text(&[
        condition("Ready", "False", "NotAccepted", "Gateway\nsays no"),
        condition("Routed", "False", "NotAccepted", "Gateway\nsays no"),
        condition("Reconciling", "True", "NotAccepted", "wait"),
    ]);
    let want = format!(
        "Ready: False since {SINCE} (NotAccepted): Gateway says no\n\n****** Conditions ******\n\
         Routed: False since {SINCE} (NotAccepted)\nReconciling: True since {SINCE} (NotAccepted): wait\n"
    );
    assert!(bad.ends_with(&want), "{bad}");
}

#[test]
fn every_step_of_a_promotion_names_who_serves() {
    for (step, part) in [
        ("Scale", "Scale, step 1 of 4 since 2026-01-01T00:00:00Z: web-1 gets"),
        ("Switch", "web-1 takes the requests of web-0"),
        ("Roll", "web-1 serves for it"),
        ("Return", "web-0 takes its requests back from web-1"),
        ("InPlace", "InPlace since 2026-01-01T00:00:00Z: web-0 rolls out"),
    ] {
        let promotion = json!({ "step": step, "source": "web-1", "since": SINCE });
        let status = json!({ "promotion": promotion, "versions": [version("web-0", "primary", 0)] });
        let text = described("blue-green", &status);
        let line = text.lines().find(|line| line.starts_with("Promotion: ")).unwrap();
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn a_weight_that_is_not_that_of_the_spec_names_its_config_map() {
    let mut candidate = version("web-1", "candidate", 30);
    candidate["weight"] = json!(30);
    candidate["source"] = json!("Override");
    let text = described("blue-green", &json!({ "versions": [candidate] }));
    assert_eq!(column(&text, 3), ["30 (Override)"]);
    let remark = "web-1 has the weight of annotation iter8.tools/weight of ConfigMap web-1-weight-config, not that of the spec\n";
    assert!(text.contains(remark), "{text}");
}
