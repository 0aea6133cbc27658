//! Numbers of replicas, and Releases that stand still.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{settle, versions};
use crate::support::audit::Mark;
use crate::support::manifest::{MESHES, list, release, version};
use crate::support::{SOON, Test, equal, holds};

#[test]
fn replicas_are_the_specs_until_somebody_scales_and_again_when_the_spec_changes() {
    let test = Test::new("replicas");
    let with = |replicas: Option<i64>| {
        let mut release = release("web", "deployment-istio", "blue-green", &[version("v")]);
        if let Some(replicas) = replicas {
            versions(&mut release)[0]["replicas"] = replicas.into();
        }
        release
    };
    let replicas_become = |want: i64| {
        test.wait_until(&format!("it has {want} replicas"), SOON, || {
            let deployment = test.get("deployment", "web-0");
            let (spec, status) = (
                &deployment["spec"]["replicas"],
                &deployment["status"]["availableReplicas"],
            );
            equal(json!([spec, status]), &json!([want, want]))
        });
    };
    let remark = || test.release("web").condition("Ready").unwrap().message;
    settle(&test, &[with(None)]);
    replicas_become(1);
    settle(&test, &[with(Some(3))]);
    replicas_become(3);
    settle(&test, &[with(None)]);
    test.restart();
    replicas_become(3);

    // Nobody's by now: what is scaled stays.
    test.kubectl(["scale", "--replicas=2", "deployment/web-0"]);
    replicas_become(2);
    settle(&test, &[with(Some(4))]);
    replicas_become(4);

    // The spec's by now: what is scaled stays until its number changes, and status says so.
    test.kubectl(["scale", "--replicas=5", "deployment/web-0"]);
    replicas_become(5);
    test.wait_until("status says so", SOON, || {
        let remark = remark();
        holds(
            remark.contains("web-0 was scaled to 5 replicas") && remark.contains("the spec's 4"),
            remark,
        )
    });
    let mut labelled = with(Some(4));
    versions(&mut labelled)[0]["metadata"] = json!({ "labels": { "stage": "test" } });
    settle(&test, &[labelled]);
    test.restart();
    replicas_become(5);
    settle(&test, &[with(Some(2))]);
    replicas_become(2);
    test.wait_until("status says nothing any more", SOON, || {
        holds(!remark().contains("scaled"), remark())
    });

    // By another way than the subresource it is drift.
    test.kubectl(["patch", "deployment/web-0", "--patch", r#"{"spec":{"replicas":6}}"#]);
    replicas_become(2);
}

fn set_suspend(releases: &mut [Value], suspend: bool) {
    for release in releases {
        release["spec"]["suspend"] = suspend.into();
    }
}

/// Fails unless the only objects written since then are routes, and states of objects.
#[track_caller]
fn assert_wrote_routes_alone(test: &Test, mark: Mark) {
    let mut writes = test.writes_since(mark);
    writes.retain(|write| write.subresource != "status" && write.resource != "events");
    let wrote: BTreeSet<String> = writes.into_iter().map(|write| write.resource).collect();
    let routes = ["httproutes", "virtualservices"].map(str::to_owned);
    assert_eq!(wrote, BTreeSet::from(routes));
}

#[test]
fn a_suspended_release_writes_nothing_but_status_and_its_route_still_follows_readiness() {
    let test = Test::new("suspend");
    let mut releases = MESHES.map(|(name, mesh)| release(name, mesh, "blue-green", &[version("v"), version("w")]));
    settle(&test, &releases);
    set_suspend(&mut releases, true);
    test.apply(&list(&releases));
    for (app, _) in MESHES {
        test.wait_until("it is suspended", SOON, || {
            equal(test.release(app).ready_reason(), "Suspended")
        });
    }
    let mark = test.audit_mark_if_any();
    for release in &mut releases {
        versions(release)[0]["image"] = "x".into();
        versions(release)[1]["weight"] = 10.into();
        versions(release).push(version("y"));
    }
    test.apply(&list(&releases));
    test.kubectl(["delete", "configmap", "istio-0-weight-config", "gtw-0-weight-config"]);
    test.kubectl([
        "annotate",
        "pod",
        "--selector=app in (istio-1,gtw-1)",
        "kwok.iter8.tools/unready=true",
    ]);
    for (app, _) in MESHES {
        test.route_becomes(app, "0:100");
        test.wait_until("status follows the spec", SOON, || {
            let ready = test.release(app).condition("Ready").ok_or("it is behind")?;
            let row = test.columns("release", app);
            let got = json!([ready.reason, row["VERSIONS"], row["TRAFFIC"]]);
            equal(got, &json!(["Suspended", "1/3", "100/0/0"]))
        });
    }
    test.kubectl([
        "annotate",
        "pod",
        "--selector=app in (istio-1,gtw-1)",
        "kwok.iter8.tools/unready-",
    ]);
    test.restart();
    for (app, _) in MESHES {
        test.route_becomes(app, "0:50 1:50");
        let image =
            test.get("deployment", &format!("{app}-0"))["spec"]["template"]["spec"]["containers"][0]["image"].take();
        assert_eq!(image, "v");
        assert_eq!(test.find("deployment", &format!("{app}-2")), None);
    }
    if let Some(mark) = mark {
        assert_wrote_routes_alone(&test, mark);
    }
    set_suspend(&mut releases, false);
    settle(&test, &releases);
    for (app, _) in MESHES {
        test.route_becomes(app, "0:46 1:9 2:45");
    }
}

#[test]
fn a_suspended_policy_writes_no_route() {
    let test = Test::new("suspended policy");
    test.kubectl(["create", "service", "clusterip", "web-0", "--tcp=80"]);
    let policy = |weight: i64, suspend: bool| {
        let version = |name: &str, weight: i64| {
            json!({
                "name": name, "weight": weight, "backend": { "name": name, "port": 80 },
                "resources": [{ "apiVersion": "v1", "kind": "Service", "name": name }],
            })
        };
        json!({
            "apiVersion": "iter8.tools/v1alpha1", "kind": "RoutePolicy", "metadata": { "name": "web" },
            "spec": {
                "strategy": "blue-green", "suspend": suspend,
                "versions": [version("web-0", 50), version("web-1", weight)],
                "route": { "virtualService": { "hosts": ["web"] } },
            },
        })
        .to_string()
    };
    test.apply(&policy(50, true));
    let suspended = || {
        test.wait_until("status says so", SOON, || {
            let said = [
                test.policy("web").condition("Routed"),
                test.policy("web").condition("Ready"),
            ];
            let reasons = said.map(|one| one.map(|one| one.reason).unwrap_or_default());
            holds(reasons.contains(&"Suspended".to_owned()), reasons)
        });
    };
    suspended();
    assert_eq!(test.rules("web"), []);
    test.apply(&policy(50, false));
    test.route_becomes("web", "0:100");
    test.apply(&policy(50, true));
    suspended();
    test.kubectl(["create", "service", "clusterip", "web-1", "--tcp=80"]);
    test.wait_until("the second version is seen to be ready", SOON, || {
        let version = test.policy("web").version("web-1").unwrap_or_default();
        equal(version["ready"].clone(), &json!("True"))
    });
    test.apply(&policy(30, true));
    suspended();
    test.route_becomes("web", "0:100");
    test.apply(&policy(30, false));
    test.route_becomes("web", "0:63 1:37");
}
