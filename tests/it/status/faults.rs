//! What `kubectl describe` says of everything that can be wrong: which object it is, and what to do about it.

use serde_json::{Value, json};

use super::{never_drained, with};
use crate::ownership::stalled;
use crate::support::manifest::{list, never_ready, release, version, with_pods};
use crate::support::{SOON, Test, holds};

/// Something that is wrong.
struct Fault {
    object: &'static str,
    /// Of condition Ready.
    reason: &'static str,
    /// What `kubectl describe` says of the object at fault.
    names: &'static str,
    /// What it says there is to do.
    advice: &'static str,
}

const FAULTS: [Fault; 10] = [
    Fault {
        object: "release/candidate",
        reason: "CandidateNotReady",
        names: "version candidate-1 is not ready: Deployment candidate-1 has no available replica",
        advice: "",
    },
    Fault {
        object: "release/typo",
        reason: "InvalidSpecification",
        names: "Deployment typo-0: ",
        advice: ".spec.template.spec.contaniers: field not declared in schema",
    },
    Fault {
        object: "release/conflict",
        reason: "NameConflict",
        names: "Service conflict-1 exists and is not this Release's",
        advice: "delete it, or choose another name",
    },
    Fault {
        object: "release/immutable",
        reason: "ImmutableField",
        names: "Deployment immutable-0: ",
        advice: "give the version a new name",
    },
    Fault {
        object: "release/rollout",
        reason: "RolloutFailed",
        names: "Deployment rollout-0 exceeded its progress deadline; rollout-1 goes on serving",
        advice: "mend the template or take it back",
    },
    Fault {
        object: "release/waiting",
        reason: "Promoting",
        names: "Switch: waiting-1 serves; requests under way to waiting-0 have 3600 s to end",
        advice: "",
    },
    Fault {
        object: "release/weight",
        reason: "InvalidWeight",
        names: "ConfigMap weight-1-weight-config has annotation iter8.tools/weight: \"much\"",
        advice: "which is no integer 0..100; the last good weight stays",
    },
    Fault {
        object: "release/suspended",
        reason: "Suspended",
        names: "spec.suspend is true",
        advice: "",
    },
    Fault {
        object: "routepolicy/kind",
        reason: "KindNotFound",
        names: "Widget of example.com/v1 is not installed in this cluster",
        advice: "install its CRD",
    },
    Fault {
        object: "routepolicy/host",
        reason: "HostNotAllowed",
        names: "spec.route.virtualService.hosts[0]: host a.somebody.elses",
        advice: "name a Service of namespace",
    },
];

fn istio(name: &str, versions: &[Value]) -> Value {
    release(name, "deployment-istio", "blue-green", versions)
}

/// A RoutePolicy of an object and a host.
fn policy(name: &str, (api_version, kind): (&str, &str), host: &str) -> Value {
    json!({
        "apiVersion": "iter8.tools/v1alpha1", "kind": "RoutePolicy", "metadata": { "name": name },
        "spec": {
            "strategy": "blue-green",
            "versions": [{
                "name": "a", "backend": { "name": "a", "port": 80 },
                "resources": [{ "apiVersion": api_version, "kind": kind, "name": "a" }],
            }],
            "route": { "virtualService": { "name": name, "hosts": [host] } },
        },
    })
}

/// Brings all of this about.
fn make_faults(test: &Test) {
    let pair = || [version("web:1"), version("web:2")];
    let mut typo = version("web:1");
    typo["deploymentSpecification"]["spec"]["template"]["spec"]["contaniers"] = json!([]);
    let sound = ["immutable", "rollout", "waiting", "weight", "suspended"].map(|name| istio(name, &pair()));
    test.apply(&list(&sound));
    test.kubectl(["create", "service", "clusterip", "conflict-1", "--tcp=80"]);
    test.apply(&list(&[
        istio("candidate", &[version("web:1"), never_ready("web:2")]),
        istio("typo", &[typo]),
        istio("conflict", &pair()),
        policy("kind", ("example.com/v1", "Widget"), "kind"),
        policy("host", ("v1", "Service"), "a.somebody.elses"),
    ]));
    for release in &sound {
        test.wait_ready(&format!("release/{}", release["metadata"]["name"].as_str().unwrap()));
    }
    let labels = json!({ "app": "immutable-0", "tier": "front" });
    let mut immutable = version("web:1");
    immutable["deploymentSpecification"]["spec"] =
        json!({ "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } });
    immutable["serviceSpecification"] = json!({ "spec": { "selector": labels } });
    let unready = json!({ "kwok.iter8.tools/never-ready": "true" });
    test.apply(&list(&[
        istio("immutable", &[immutable]),
        istio("rollout", &[with_pods(version("web:2"), &unready)]),
        never_drained(istio("waiting", &[version("web:2")])),
        with(istio("suspended", &pair()), "suspend", &json!(true)),
    ]));
    let much = [
        "annotate",
        "--overwrite",
        "cm/weight-1-weight-config",
        "iter8.tools/weight=much",
    ];
    test.kubectl(much);
}

#[track_caller]
fn has_come_about(test: &Test, fault: &Fault) {
    let (kind, name) = fault.object.split_once('/').unwrap();
    let what = format!("{} says {} {}", fault.object, fault.reason, fault.names);
    test.wait_until(&what, SOON, || {
        let status = if kind == "release" {
            test.release(name)
        } else {
            test.policy(name)
        };
        let ready = status.condition("Ready").ok_or("there is no condition yet")?;
        let said = ready.reason == fault.reason && ready.message.contains(fault.names);
        holds(said, ready)
    });
}

#[test]
fn kubectl_describe_names_the_object_at_fault_and_what_to_do() {
    let test = Test::new("describe");
    make_faults(&test);
    for fault in &FAULTS {
        has_come_about(&test, fault);
        let said = test.kubectl(["describe", fault.object]);
        for part in [fault.reason, fault.names, fault.advice] {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
    }
}

/// The resourceVersions of everything that the operator says, and how often it has said it.
fn said(test: &Test) -> Vec<String> {
    let columns =
        "--output=custom-columns=K:.kind,N:.metadata.name,V:.metadata.resourceVersion,R:.reason,S:.series.count";
    let said = test.kubectl([
        "get",
        "releases,routepolicies,events.v1.events.k8s.io",
        "--no-headers",
        columns,
    ]);
    // The Events of others go on: pods that are made in vain.
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("Event") || FAULTS.iter().any(|fault| about(line, fault)));
    lines
}

fn about(line: &str, fault: &Fault) -> bool {
    let (_, name) = fault.object.split_once('/').unwrap();
    line.split_whitespace()
        .nth(1)
        .is_some_and(|event| event.starts_with(&format!("{name}.")))
}

/// How often each object has been looked at, by the operator's own account.
fn looks(test: &Test, fault: &Fault) -> usize {
    let (kind, name) = fault.object.split_once('/').unwrap();
    let kind = if kind == "release" {
        "kind=Release"
    } else {
        "kind=RoutePolicy"
    };
    let name = format!("name=\"{name}\"");
    let is_one = |line: &&str| line.contains("reconciled") && line.contains(kind) && line.contains(&name);
    test.log().lines().filter(is_one).count()
}

#[test]
fn a_restart_of_the_operator_changes_no_status_and_tells_nothing_again() {
    let test = Test::new("restart");
    make_faults(&test);
    for fault in &FAULTS {
        has_come_about(&test, fault);
    }
    stalled(&test, "release/rollout", "RolloutFailed", "rollout-0");
    test.stop(); // all Events are sent
    let (before, looked) = (said(&test), FAULTS.each_ref().map(|fault| looks(&test, fault)));
    test.start();
    for (fault, looked) in FAULTS.iter().zip(looked) {
        test.wait_until(&format!("{} is looked at", fault.object), SOON, || {
            holds(looks(&test, fault) > looked, looked)
        });
    }
    test.stop();
    assert_eq!(said(&test), before);
}
