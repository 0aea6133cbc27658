//! Edits of a Release, each from a state in which it serves.

mod ports;
mod replicas;
mod selectors;
mod versions;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::Resource;
use crate::support::manifest::{self, MESHES, list, release, version, weighted};
use crate::support::{SOON, Test, equal, holds};

/// Names of the objects of a kind that belong to somebody of ours.
fn owned(test: &Test, kind: &str) -> BTreeSet<String> {
    let (objects, _) = test.cluster.api.list(&test.namespace, &Resource::named(kind));
    let owned = objects
        .iter()
        .filter(|object| object["metadata"]["ownerReferences"].is_array());
    owned
        .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until these are the objects of a kind that we own.
#[track_caller]
fn owned_become(test: &Test, kind: &str, want: &[&str]) {
    let want: BTreeSet<String> = want.iter().map(|name| (*name).to_owned()).collect();
    test.wait_until(&format!("the {kind} are {want:?}"), SOON, || {
        equal(owned(test, kind), &want)
    });
}

fn name(release: &Value) -> &str {
    release["metadata"]["name"].as_str().unwrap()
}

fn versions(release: &mut Value) -> &mut Vec<Value> {
    release["spec"]["application"]["versions"].as_array_mut().unwrap()
}

/// Applies, and waits until everything is as it should be, and nobody leaves any more.
#[track_caller]
fn settle(test: &Test, releases: &[Value]) {
    test.apply(&list(releases));
    for release in releases {
        test.wait_until(&format!("{} is ready as it is now", name(release)), SOON, || {
            let ready = test.release(name(release)).condition("Ready");
            let done = ready.as_ref().is_some_and(|ready| ready.status == "True");
            holds(done, ready)
        });
    }
}

/// The Release with a name for each of its versions.
fn named(application: &str, environment: &str, strategy: &str, names: &[&str]) -> Value {
    let version = |name: &&str| {
        let mut version = version(name);
        version["metadata"] = json!({ "name": format!("{application}-{name}") });
        version["matches"] = json!([{ "headers": [{ "name": "stage", "value": name }] }]);
        version
    };
    let versions: Vec<Value> = names.iter().map(version).collect();
    release(application, environment, strategy, &versions)
}

#[test]
fn every_strategy_can_become_every_other() {
    let test = Test::new("strategies");
    let safety = test.watch_safety();
    // Each goes once to each other.
    let tour = [
        "none",
        "blue-green",
        "canary",
        "mirror",
        "none",
        "canary",
        "blue-green",
        "mirror",
        "blue-green",
        "none",
        "mirror",
        "canary",
        "none",
    ];
    for strategy in tour {
        let candidate = if strategy == "mirror" {
            weighted("w", 40)
        } else {
            version("w")
        };
        let versions = vec![version("v"), candidate];
        settle(
            &test,
            &MESHES.map(|(name, mesh)| release(name, mesh, strategy, &versions)),
        );
        let (route, configs) = match strategy {
            "blue-green" => ("0:50 1:50", vec!["gtw-0", "gtw-1", "istio-0", "istio-1"]),
            "canary" => ("[1:100] 0:100", vec![]),
            "mirror" => ("0:100 +1:40", vec!["gtw-1", "istio-1"]),
            _ => ("", vec![]),
        };
        let routed = strategy != "none";
        let configs: Vec<String> = configs.iter().map(|name| format!("{name}-weight-config")).collect();
        let configs: Vec<&str> = configs.iter().map(String::as_str).collect();
        for (app, _) in MESHES {
            test.route_becomes(app, route);
        }
        owned_become(&test, "configmap", &configs);
        owned_become(&test, "routepolicy", if routed { &["gtw", "istio"] } else { &[] });
        owned_become(&test, "virtualservice", if routed { &["istio"] } else { &[] });
        owned_become(&test, "httproute", if routed { &["gtw"] } else { &[] });
        owned_become(&test, "deployment", &["gtw-0", "gtw-1", "istio-0", "istio-1"]);
        owned_become(
            &test,
            "service",
            &["gtw", "gtw-0", "gtw-1", "istio", "istio-0", "istio-1"],
        );
    }
    safety.assert_safe();
}

#[test]
fn every_environment_can_become_every_other() {
    let test = Test::new("environments");
    let tour = [
        "deployment-istio",
        "deployment-gtw",
        "deployment",
        "deployment-istio",
        "deployment",
        "deployment-gtw",
        "deployment-istio",
    ];
    for environment in tour {
        let routed = environment != "deployment";
        let strategy = if routed { "blue-green" } else { "none" };
        settle(
            &test,
            &[release("web", environment, strategy, &[version("v"), version("w")])],
        );
        let (istio, gtw) = (environment == "deployment-istio", environment == "deployment-gtw");
        let only = |yes: bool| -> &[&str] { if yes { &["web"] } else { &[] } };
        owned_become(&test, "virtualservice", only(istio));
        owned_become(&test, "httproute", only(gtw));
        owned_become(&test, "routepolicy", only(routed));
        owned_become(
            &test,
            "service",
            if routed {
                &["web", "web-0", "web-1"]
            } else {
                &["web-0", "web-1"]
            },
        );
        test.route_becomes("web", if routed { "0:50 1:50" } else { "" });
        if routed {
            let spec = test.get("service", "web")["spec"].take();
            let got = json!([
                spec["type"],
                spec["externalName"],
                spec["ports"][0]["port"],
                spec["selector"]
            ]);
            let external = "istio-ingressgateway.istio-system.svc.cluster.local";
            let want = if istio {
                json!(["ExternalName", external, null, null])
            } else {
                json!(["ClusterIP", null, 80, null])
            };
            assert_eq!(got, want, "{environment}");
        }
    }
}

#[test]
fn a_gateway_can_be_added_changed_and_removed() {
    let test = Test::new("gateways");
    let safety = test.watch_safety();
    for gateway in [None, Some("edge"), Some("infra/edge"), None] {
        let releases = MESHES.map(|(name, mesh)| {
            let mut release = release(name, mesh, "blue-green", &[version("v"), version("w")]);
            if let Some(gateway) = gateway {
                release["spec"]["gateway"] = gateway.into();
            }
            release
        });
        settle(&test, &releases);
        let gateways: Vec<&str> = gateway.into_iter().chain(["mesh"]).collect();
        assert_eq!(test.get("virtualservice", "istio")["spec"]["gateways"], json!(gateways));
        let parents = test.get("httproute", "gtw")["spec"]["parentRefs"].take();
        let parents: Vec<String> = parents
            .as_array()
            .unwrap()
            .iter()
            .map(|parent| {
                let part = |key: &str| parent[key].as_str().map(|part| format!("{part}/")).unwrap_or_default();
                format!("{}{}{}", part("kind"), part("namespace"), part("name"))
            })
            .collect();
        let mut want = vec!["Service/gtw/".to_owned()];
        want.extend(gateway.map(|gateway| format!("Gateway/{gateway}/")));
        assert_eq!(parents, want);
    }
    safety.assert_safe();
}

#[test]
fn strategy_environment_and_versions_can_change_at_once() {
    let test = Test::new("all at once");
    // A change of environment makes no promise: it is left out of what is watched over.
    let safety = test.watch_safety();
    let tour: [(&str, &[&str]); 8] = [
        ("blue-green", &["a", "b"]),
        ("canary", &["b"]),
        ("mirror", &["a", "b"]),
        ("none", &["a"]),
        ("blue-green", &["c"]),
        ("none", &["d"]),
        ("canary", &["e", "d"]),
        ("blue-green", &["d", "f"]),
    ];
    for (strategy, names) in tour {
        settle(&test, &MESHES.map(|(app, mesh)| named(app, mesh, strategy, names)));
        let versions = MESHES.map(|(app, _)| names.iter().map(move |name| format!("{app}-{name}")));
        let mut all: Vec<String> = versions.into_iter().flatten().collect();
        owned_become(&test, "deployment", &all.iter().map(String::as_str).collect::<Vec<_>>());
        all.extend(MESHES.map(|(app, _)| app.to_owned()));
        owned_become(&test, "service", &all.iter().map(String::as_str).collect::<Vec<_>>());
        for (app, _) in MESHES {
            let want = if strategy == "none" {
                String::new()
            } else {
                versions::all_serve(strategy, names)
            };
            test.route_becomes(app, &want);
        }
    }
    safety.assert_safe();
    for (environment, names) in [
        ("deployment-gtw", ["g", "d"]),
        ("deployment-istio", ["d", "h"]),
        ("deployment-gtw", ["h", "i"]),
    ] {
        settle(&test, &[named("istio", environment, "blue-green", &names)]);
        test.route_becomes("istio", &versions::all_serve("blue-green", &names));
        let istio = environment == "deployment-istio";
        owned_become(&test, "virtualservice", if istio { &["istio"] } else { &[] });
        owned_become(&test, "httproute", if istio { &["gtw"] } else { &["gtw", "istio"] });
        let gone = |name: &str| names.iter().all(|one| format!("istio-{one}") != name);
        test.wait_until("only the new versions are left", SOON, || {
            let mut deployments = owned(&test, "deployment");
            deployments.retain(|name| name.starts_with("istio-") && gone(name));
            equal(deployments, &BTreeSet::new())
        });
    }
}

/// A policy of a version that is always ready.
fn policy(route: &Value) -> Value {
    manifest::policy("web", &["web-0"], route)
}

#[test]
fn a_policy_that_names_another_route_gives_up_the_old_one_when_the_new_one_is_there() {
    let test = Test::new("another route");
    test.kubectl(["create", "service", "clusterip", "web-0", "--tcp=80"]);
    let parents = json!([{ "name": "edge" }]);
    let http = |name: &str| json!({ "httpRoute": { "name": name, "parentRefs": parents } });
    let istio = |name: &str| json!({ "virtualService": { "name": name, "hosts": ["web"] } });
    for (route, virtual_services, http_routes) in [
        (http("one"), vec![], vec!["one"]),
        (http("two"), vec![], vec!["two"]),
        (istio("two"), vec!["two"], vec![]),
        (istio("one"), vec!["one"], vec![]),
        (http("one"), vec![], vec!["one"]),
    ] {
        test.apply(&policy(&route).to_string());
        test.wait_ready("routepolicy/web");
        owned_become(&test, "virtualservice", &virtual_services);
        owned_become(&test, "httproute", &http_routes);
    }
    // Refused, the new one does not take the old one's place.
    test.accept("one");
    test.wait_until("it is accepted", SOON, || {
        let routed = test.policy("web").condition("Routed");
        equal(routed.map(|routed| routed.reason), &Some("Accepted".to_owned()))
    });
    test.apply(&policy(&http("two")).to_string());
    test.there("httproute", "two");
    test.refuse("two", "NoMatchingParent");
    test.wait_until("it is refused", SOON, || {
        let routed = test.policy("web").condition("Routed");
        equal(routed.map(|routed| routed.reason), &Some("NoMatchingParent".to_owned()))
    });
    assert_eq!(
        owned(&test, "httproute"),
        BTreeSet::from(["one", "two"].map(str::to_owned))
    );
    test.accept("two");
    owned_become(&test, "httproute", &["two"]);
}
