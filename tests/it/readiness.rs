//! What the readiness of real objects does to the route. The whole table is in `readiness_table.rs`.

use serde_json::{Value, json};

use crate::support::api::resource_version;
use crate::support::manifest::{Application, applications, list, never_ready, version, with_pods};
use crate::support::recorder::Change;
use crate::support::{SOON, Test, equal, holds, routes};

/// Applies Releases of all applications.
#[track_caller]
fn apply(test: &Test, applications: &[Application], versions: &[Value]) {
    let releases: Vec<Value> = applications.iter().map(|one| one.release(versions)).collect();
    test.apply(&list(&releases));
}

/// The same, and waits until they are ready.
#[track_caller]
fn settle(test: &Test, applications: &[Application], versions: &[Value]) {
    apply(test, applications, versions);
    for application in applications {
        test.wait_ready(&format!("release/{}", application.name));
        test.route_becomes(&application.name, all_ready(application.strategy));
    }
}

/// What a route with a primary and a candidate says.
fn all_ready(strategy: &str) -> &'static str {
    match strategy {
        "blue-green" => "0:50 1:50",
        "canary" => "[1:100] 0:100",
        _ => "0:100 +1:100",
    }
}

/// Annotates all pods of the version at a place, in all applications.
#[track_caller]
fn annotate_pods(test: &Test, applications: &[Application], index: usize, annotation: &str) {
    let names: Vec<String> = applications.iter().map(|one| one.version(index)).collect();
    let selector = format!("--selector=app in ({})", names.join(","));
    test.kubectl(["annotate", "--overwrite", "pod", &selector, annotation]);
}

const UNREADY: &str = "kwok.iter8.tools/unready=true";
const READY_AGAIN: &str = "kwok.iter8.tools/unready-";

#[track_caller]
fn ready_reason_becomes(test: &Test, application: &str, reason: &str) {
    test.wait_until(&format!("Ready of {application} says {reason}"), SOON, || {
        equal(test.release(application).ready_reason(), reason)
    });
}

/// The resourceVersion of an application's route.
#[track_caller]
fn route_version(test: &Test, application: &str) -> u64 {
    let route = test.find("virtualservice", application);
    resource_version(&route.unwrap_or_else(|| test.get("httproute", application)))
}

#[test]
fn a_candidate_that_never_becomes_ready_is_never_routed_to() {
    let test = Test::new("never ready");
    let safety = test.watch_safety();
    let applications = applications();
    apply(&test, &applications, &[version("v"), never_ready("w")]);
    for application in &applications {
        ready_reason_becomes(&test, &application.name, "CandidateNotReady");
        test.route_becomes(&application.name, "0:100");
        let row = test.columns("release", &application.name);
        assert_eq!([&row["VERSIONS"], &row["STATUS"]], ["1/2", "CandidateNotReady"]);
        let deployment = format!("deployment/{}", application.version(1));
        test.kubectl([
            "wait",
            "--for=condition=Progressing=False",
            "--timeout=60s",
            &deployment,
        ]);
    }
    // After a restart too, and when something else of it changes.
    let mut labelled = never_ready("w");
    labelled["metadata"] = json!({ "labels": { "stage": "test" } });
    test.restart();
    apply(&test, &applications, &[version("v"), labelled]);
    for application in &applications {
        ready_reason_becomes(&test, &application.name, "CandidateNotReady");
        let written = safety.route_versions(&application.name);
        let words: Vec<String> = written
            .iter()
            .map(|seen| routes::words(&routes::rules(&seen.object), &application.name))
            .collect();
        assert_eq!(words, ["0:100"], "{}", application.name);
    }
    safety.assert_safe();
}

#[test]
fn a_candidate_is_out_of_the_route_for_as_long_as_it_is_not_ready() {
    let test = Test::new("candidate unready");
    let safety = test.watch_safety();
    let applications = applications();
    settle(&test, &applications, &[version("v"), version("w")]);
    annotate_pods(&test, &applications, 1, UNREADY);
    for application in &applications {
        test.route_becomes(&application.name, "0:100");
        ready_reason_becomes(&test, &application.name, "CandidateNotReady");
    }
    annotate_pods(&test, &applications, 1, READY_AGAIN);
    for application in &applications {
        test.route_becomes(&application.name, all_ready(application.strategy));
        ready_reason_becomes(&test, &application.name, "Ready");
    }
    safety.assert_safe();
}

#[test]
fn without_its_primary_a_blue_green_release_is_served_by_the_candidate_and_others_keep_their_route() {
    let test = Test::new("primary unready");
    let safety = test.watch_safety();
    let applications = applications();
    settle(&test, &applications, &[version("v"), version("w")]);
    let before: Vec<u64> = applications.iter().map(|one| route_version(&test, &one.name)).collect();
    annotate_pods(&test, &applications, 0, UNREADY);
    for (application, before) in applications.iter().zip(&before) {
        ready_reason_becomes(&test, &application.name, "PrimaryNotReady");
        assert_eq!(
            test.release(&application.name).condition("Ready").unwrap().status,
            "False"
        );
        if application.strategy == "blue-green" {
            test.route_becomes(&application.name, "1:100");
        } else {
            assert_eq!(route_version(&test, &application.name), *before, "{}", application.name);
        }
    }
    annotate_pods(&test, &applications, 0, READY_AGAIN);
    for application in &applications {
        ready_reason_becomes(&test, &application.name, "Ready");
        test.route_becomes(&application.name, all_ready(application.strategy));
    }
    safety.assert_safe();
}

#[test]
fn with_nobody_ready_the_stored_route_stays_but_for_what_only_a_candidate_was_to_get() {
    let test = Test::new("none ready");
    let applications = applications();
    settle(&test, &applications, &[version("v"), version("w")]);
    annotate_pods(&test, &applications, 1, UNREADY);
    for application in &applications {
        test.route_becomes(&application.name, "0:100");
    }
    let before: Vec<u64> = applications.iter().map(|one| route_version(&test, &one.name)).collect();
    annotate_pods(&test, &applications, 0, UNREADY);
    for (application, before) in applications.iter().zip(&before) {
        ready_reason_becomes(&test, &application.name, "PrimaryNotReady");
        assert_eq!(test.columns("release", &application.name)["VERSIONS"], "0/2");
        assert_eq!(route_version(&test, &application.name), *before, "{}", application.name);
    }
    // Who comes back first serves, where it may.
    annotate_pods(&test, &applications, 1, READY_AGAIN);
    for application in &applications {
        let want = if application.strategy == "blue-green" {
            "1:100"
        } else {
            all_ready(application.strategy)
        };
        test.route_becomes(&application.name, want);
    }
}

#[test]
fn without_a_ready_version_no_route_is_made() {
    let test = Test::new("no route");
    let applications = applications();
    apply(&test, &applications, &[never_ready("v"), never_ready("w")]);
    for application in &applications {
        ready_reason_becomes(&test, &application.name, "PrimaryNotReady");
        let routed = test.release(&application.name).condition("Routed").unwrap();
        assert_eq!([routed.status, routed.reason], ["False", "NoReadyVersion"]);
        assert_eq!(test.rules(&application.name), []);
        assert_eq!(test.columns("release", &application.name)["TRAFFIC"], "-");
    }
}

/// A version whose pods are held back from being scheduled until somebody lets them.
fn gated(image: &str, replicas: i64) -> Value {
    let mut version = version(image);
    version["replicas"] = replicas.into();
    version["deploymentSpecification"]["spec"]["template"]["spec"] =
        json!({ "schedulingGates": [{ "name": "iter8.tools/test" }] });
    version
}

/// Lets so many pods of a version be scheduled.
#[track_caller]
fn open_gates(test: &Test, version: &str, count: usize) {
    let selector = format!("--selector=app={version}");
    let pods = test.wait_until("the pods are there", SOON, || {
        let pods = test.kubectl(["get", "pod", &selector, "--output=name"]);
        let pods: Vec<String> = pods.lines().map(str::to_owned).collect();
        if pods.len() < count {
            Err(format!("{pods:?}"))
        } else {
            Ok(pods)
        }
    });
    let patch = ["--patch", r#"{"spec":{"schedulingGates":null}}"#];
    let pods = pods[..count].iter().map(String::as_str);
    test.kubectl(["patch"].into_iter().chain(pods).chain(patch));
}

#[test]
fn scaling_a_serving_version_to_ten_with_eight_pods_pending_writes_no_route() {
    let test = Test::new("scaling up");
    let safety = test.watch_safety();
    let applications = applications();
    apply(&test, &applications, &[version("v"), gated("w", 2)]);
    for application in &applications {
        open_gates(&test, &application.version(1), 2);
    }
    for application in &applications {
        test.wait_ready(&format!("release/{}", application.name));
        test.route_becomes(&application.name, all_ready(application.strategy));
    }
    let before: Vec<u64> = applications.iter().map(|one| route_version(&test, &one.name)).collect();
    apply(&test, &applications, &[version("v"), gated("w", 10)]);
    for application in &applications {
        let candidate = application.version(1);
        test.wait_until("the Deployment waits for eight pods", SOON, || {
            let status = test.get("deployment", &candidate)["status"].take();
            let available = status["conditions"]
                .as_array()
                .and_then(|all| all.iter().find(|one| one["type"] == "Available"))
                .map_or(Value::Null, |one| one["status"].clone());
            equal(
                json!([status["replicas"], status["availableReplicas"], available]),
                &json!([10, 2, "False"]),
            )
        });
        test.wait_until("status does not know whether it is ready", SOON, || {
            let version = test.release(&application.name).version(&candidate).unwrap_or_default();
            equal(
                json!([version["ready"], version["reason"]]),
                &json!(["Unknown", "PartlyAvailable"]),
            )
        });
    }
    test.restart();
    for application in &applications {
        open_gates(&test, &application.version(1), 10);
        test.wait_ready(&format!("release/{}", application.name));
    }
    for (application, before) in applications.iter().zip(&before) {
        assert_eq!(route_version(&test, &application.name), *before, "{}", application.name);
    }
    safety.assert_safe();
}

#[test]
fn a_rolling_update_of_a_serving_version_writes_no_route() {
    let test = Test::new("rolling update");
    let safety = test.watch_safety();
    let applications = applications();
    let slow = |image: &str| {
        let mut version = with_pods(version(image), &json!({ "kwok.iter8.tools/ready-after": "1s" }));
        version["replicas"] = 2.into();
        version
    };
    settle(&test, &applications, &[slow("v"), slow("w")]);
    let before: Vec<u64> = applications.iter().map(|one| route_version(&test, &one.name)).collect();
    // First the candidates, then the primaries, to something that no other version runs.
    for versions in [[slow("v"), slow("x")], [slow("y"), slow("x")]] {
        apply(&test, &applications, &versions);
        for application in &applications {
            test.wait_ready(&format!("release/{}", application.name));
            let rolled = [0, 1].map(|index| {
                let name = application.version(index);
                // A version may be ready while its last pod still rolls.
                let deployment = test.wait_until("the Deployment has rolled", SOON, || {
                    let deployment = test.get("deployment", &name);
                    holds(deployment["status"]["updatedReplicas"] == 2, "it rolls").map(|()| deployment)
                });
                deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
            });
            assert_eq!(rolled, [versions[0]["image"].clone(), versions[1]["image"].clone()]);
        }
    }
    for (application, before) in applications.iter().zip(&before) {
        assert_eq!(route_version(&test, &application.name), *before, "{}", application.name);
    }
    safety.assert_safe();
}

#[test]
fn a_version_that_is_scaled_to_zero_gets_nothing() {
    let test = Test::new("scaled to zero");
    let applications = applications();
    settle(&test, &applications, &[version("v"), version("w")]);
    let candidates: Vec<String> = applications
        .iter()
        .map(|one| format!("deployment/{}", one.version(1)))
        .collect();
    let scale = |replicas| {
        let replicas = format!("--replicas={replicas}");
        test.kubectl(
            ["scale", &replicas]
                .into_iter()
                .chain(candidates.iter().map(String::as_str)),
        );
    };
    scale(0);
    for application in &applications {
        test.route_becomes(&application.name, "0:100");
        test.wait_until("status says why", SOON, || {
            let version = test
                .release(&application.name)
                .version(&application.version(1))
                .unwrap_or_default();
            equal(version["reason"].clone(), &json!("ScaledToZero"))
        });
    }
    scale(2);
    for application in &applications {
        test.route_becomes(&application.name, all_ready(application.strategy));
    }
}

#[test]
fn objects_that_their_user_deletes_leave_the_route_and_come_back() {
    let test = Test::new("deleted by the user");
    let applications = applications();
    let slow = with_pods(version("w"), &json!({ "kwok.iter8.tools/ready-after": "1s" }));
    settle(&test, &applications, &[version("v"), slow]);
    let recorders = ["virtualservices", "httproutes"].map(|kind| test.watch(kind));
    for kind in ["deployment", "service"] {
        let uid = |application: &Application| {
            test.find(kind, &application.version(1))
                .map(|object| object["metadata"]["uid"].clone())
        };
        let old: Vec<_> = applications.iter().map(uid).collect();
        let names: Vec<String> = applications.iter().map(|one| one.version(1)).collect();
        test.kubectl(["delete", kind].into_iter().chain(names.iter().map(String::as_str)));
        for (application, old) in applications.iter().zip(&old) {
            test.wait_until(&format!("the {kind} is there again"), SOON, || {
                let new = uid(application);
                holds(new.is_some() && new != *old, new)
            });
            test.wait_ready(&format!("release/{}", application.name));
            test.route_becomes(&application.name, all_ready(application.strategy));
        }
    }
    // A Service is back within moments; a Deployment's pods take their time, in which nobody is sent there.
    for application in &applications {
        let versions = recorders
            .iter()
            .flat_map(|recorder| recorder.versions_of(&application.name));
        let stored = versions.filter(|seen| seen.change == Change::Stored);
        let without = stored.filter(|seen| routes::words(&routes::rules(&seen.object), &application.name) == "0:100");
        assert!(without.count() > 0, "{}", application.name);
    }
}

/// A policy of two versions, the second of one object of another kind.
fn policy(api_version: &str, kind: &str) -> String {
    json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": "web" },
        "spec": {
            "strategy": "blue-green",
            "versions": [
                {
                    "name": "web-0",
                    "resources": [{ "apiVersion": "v1", "kind": "Service", "name": "web-0" }],
                    "backend": { "name": "web-0", "port": 80 },
                },
                {
                    "name": "web-1",
                    "resources": [{ "apiVersion": api_version, "kind": kind, "name": "web-1" }],
                    "backend": { "name": "web-1", "port": 80 },
                },
            ],
            "route": { "virtualService": { "hosts": ["web"] } },
        },
    })
    .to_string()
}

#[track_caller]
fn version_becomes(test: &Test, ready: &str, reason: &str) {
    test.wait_until(&format!("web-1 is {ready} for {reason}"), SOON, || {
        let version = test.policy("web").version("web-1").unwrap_or_default();
        equal(json!([version["ready"], version["reason"]]), &json!([ready, reason]))
    });
}

#[test]
fn a_stateful_set_is_ready_as_long_as_it_has_a_ready_replica() {
    let test = Test::new("stateful set");
    test.kubectl(["create", "service", "clusterip", "web-0", "--tcp=80"]);
    test.apply(&policy("apps/v1", "StatefulSet"));
    version_becomes(&test, "False", "NotFound");
    test.route_becomes("web", "0:100");
    let labels = json!({ "app": "web-1" });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web-1" },
        "spec": {
            "replicas": 2, "serviceName": "web-1", "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": "web" }] },
            },
        },
    });
    test.apply(&set.to_string());
    test.route_becomes("web", "0:50 1:50");
    version_becomes(&test, "True", "Ready");
    let before = route_version(&test, "web");
    test.kubectl(["annotate", "pod/web-1-1", UNREADY]);
    test.wait_until("one replica is left", SOON, || {
        equal(
            test.get("statefulset", "web-1")["status"]["readyReplicas"].clone(),
            &json!(1),
        )
    });
    test.kubectl(["annotate", "pod/web-1-0", UNREADY]);
    version_becomes(&test, "False", "NotAvailable");
    test.route_becomes("web", "0:100");
    test.kubectl(["annotate", "pod/web-1-0", READY_AGAIN]);
    test.route_becomes("web", "0:50 1:50");
    test.kubectl(["scale", "--replicas=0", "statefulset/web-1"]);
    version_becomes(&test, "False", "ScaledToZero");
    test.route_becomes("web", "0:100");
    assert!(route_version(&test, "web") > before);
}

#[test]
fn an_object_of_any_kind_is_ready_when_its_condition_says_so() {
    let test = Test::new("any kind");
    test.kubectl(["create", "service", "clusterip", "web-0", "--tcp=80"]);
    test.apply(&policy("serving.knative.dev/v1", "Service"));
    version_becomes(&test, "False", "NotFound");
    test.route_becomes("web", "0:100");
    let service = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": { "name": "web-1" },
        "spec": { "template": { "spec": { "containers": [{ "image": "web" }] } } },
    });
    let report = |ready: &str, generation: i64| {
        let condition = json!({ "type": "Ready", "status": ready });
        let status = json!({ "status": { "observedGeneration": generation, "conditions": [condition] } });
        let patch = format!("--patch={status}");
        let name = "services.serving.knative.dev/web-1";
        test.kubectl(["patch", name, "--subresource=status", "--type=merge", &patch]);
    };
    test.apply(&service.to_string());
    report("False", 1);
    version_becomes(&test, "False", "NotReady");
    test.route_becomes("web", "0:100");
    report("Unknown", 1);
    version_becomes(&test, "Unknown", "Unknown");
    test.route_becomes("web", "0:100");
    report("True", 1);
    version_becomes(&test, "True", "Ready");
    test.route_becomes("web", "0:50 1:50");
    let before = route_version(&test, "web");
    report("Unknown", 1);
    version_becomes(&test, "Unknown", "Unknown");
    report("False", 0);
    version_becomes(&test, "Unknown", "Progressing");
    assert_eq!(route_version(&test, "web"), before, "nothing is known of it: it stays");
    report("False", 1);
    version_becomes(&test, "False", "NotReady");
    test.route_becomes("web", "0:100");
    report("True", 1);
    test.route_becomes("web", "0:50 1:50");
    test.kubectl(["delete", "services.serving.knative.dev/web-1"]);
    version_becomes(&test, "False", "NotFound");
    test.route_becomes("web", "0:100");
}
