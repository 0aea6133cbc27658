//! Edits of a Release, each from a state in which it serves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::api::{Resource, resource_version};
use crate::support::manifest::{MESHES, applications, list, release, version, weighted, with_pods};
use crate::support::recorder::{Change, Recorder, Seen};
use crate::support::{SOON, Test, equal, holds, skip_unless_local};

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
    release(application, environment, strategy, names.iter().map(version).collect())
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
            &MESHES.map(|(name, mesh)| release(name, mesh, strategy, versions.clone())),
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
            &[release("web", environment, strategy, vec![version("v"), version("w")])],
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
            let mut release = release(name, mesh, "blue-green", vec![version("v"), version("w")]);
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
                let text = |key: &str| parent[key].as_str().map(|text| format!("{text}/")).unwrap_or_default();
                format!("{}{}{}", text("kind"), text("namespace"), text("name"))
            })
            .collect();
        let mut want = vec!["Service/gtw/".to_owned()];
        want.extend(gateway.map(|gateway| format!("Gateway/{gateway}/")));
        assert_eq!(parents, want);
    }
    safety.assert_safe();
}

#[test]
fn versions_come_go_and_change_places() {
    let test = Test::new("versions");
    let safety = test.watch_safety();
    let tour: [&[&str]; 7] = [
        &["a"],
        &["a", "b"],
        &["a", "b", "c"],
        &["c", "a", "b"],
        &["b", "d", "c"],
        &["d"],
        &["e", "a"],
    ];
    let applications = applications();
    for names in tour {
        let releases: Vec<Value> = applications
            .iter()
            .map(|one| named(&one.name, one.environment, one.strategy, names))
            .collect();
        settle(&test, &releases);
        for application in &applications {
            let (primary, others) = names.split_first().unwrap();
            let want = match application.strategy {
                "blue-green" => {
                    let shares: Vec<&str> = match names.len() {
                        1 => vec!["100"],
                        2 => vec!["50", "50"],
                        _ => vec!["34", "33", "33"],
                    };
                    names
                        .iter()
                        .zip(shares)
                        .map(|(name, share)| format!("{name}:{share}"))
                        .collect::<Vec<_>>()
                        .join(" ")
                }
                "canary" => {
                    others.iter().map(|name| format!("[{name}:100] ")).collect::<String>() + &format!("{primary}:100")
                }
                _ => format!("{primary}:100") + &others.iter().map(|name| format!(" +{name}:100")).collect::<String>(),
            };
            test.route_becomes(&application.name, &want);
            let full = |name: &&str| format!("{}-{name}", application.name);
            let status: Vec<String> = test.release(&application.name).get()["versions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|version| version["name"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(status, names.iter().map(full).collect::<Vec<_>>());
        }
        let full: Vec<String> = applications
            .iter()
            .flat_map(|one| names.iter().map(move |name| format!("{}-{name}", one.name)))
            .collect();
        owned_become(
            &test,
            "deployment",
            &full.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    safety.assert_safe();
}

#[test]
fn labels_and_annotations_follow_the_spec_and_roll_no_pod() {
    let test = Test::new("labels");
    let mut releases = MESHES.map(|(name, mesh)| release(name, mesh, "blue-green", vec![version("v"), version("w")]));
    settle(&test, &releases);
    let generations = |app: &str| {
        [0, 1].map(|index| test.get("deployment", &format!("{app}-{index}"))["metadata"]["generation"].clone())
    };
    let before = MESHES.map(|(app, _)| generations(app));
    let routes =
        || [test.get("virtualservice", "istio"), test.get("httproute", "gtw")].map(|route| resource_version(&route));
    let routes_before = routes();
    for release in &mut releases {
        let application = &mut release["spec"]["application"];
        application["metadata"] = json!({ "labels": { "team": "a", "both": "app" }, "annotations": { "note": "all" } });
        application["versions"][1]["metadata"] = json!({ "labels": { "stage": "test", "both": "own" } });
    }
    settle(&test, &releases);
    let metadata = |kind: &str, name: &str| {
        let metadata = test.get(kind, name)["metadata"].take();
        let (labels, annotations) = (&metadata["labels"], &metadata["annotations"]);
        json!([labels["team"], labels["both"], labels["stage"], annotations["note"]])
    };
    for (app, _) in MESHES {
        let (primary, candidate) = (format!("{app}-0"), format!("{app}-1"));
        for kind in ["service", "routepolicy"] {
            assert_eq!(metadata(kind, app), json!(["a", "app", null, "all"]), "{kind}");
        }
        for kind in ["deployment", "service"] {
            assert_eq!(metadata(kind, &primary), json!(["a", "app", null, "all"]), "{kind}");
            assert_eq!(metadata(kind, &candidate), json!(["a", "own", "test", "all"]), "{kind}");
        }
        let config = format!("{candidate}-weight-config");
        assert_eq!(metadata("configmap", &config), json!(["a", "own", "test", "all"]));
    }
    for release in &mut releases {
        release["spec"]["application"]
            .as_object_mut()
            .unwrap()
            .remove("metadata");
        versions(release)[1].as_object_mut().unwrap().remove("metadata");
    }
    settle(&test, &releases);
    for (app, _) in MESHES {
        for (kind, name) in [
            ("service", app),
            ("deployment", &format!("{app}-1")),
            ("service", &format!("{app}-1")),
        ] {
            assert_eq!(metadata(kind, name), json!([null, null, null, null]), "{kind} {name}");
        }
    }
    assert_eq!(
        MESHES.map(|(app, _)| generations(app)),
        before,
        "no pod template and no spec changed"
    );
    assert_eq!(routes(), routes_before);
}

/// The Services and ports that a route sends requests to.
fn destinations(route: &Value) -> BTreeSet<(String, i64)> {
    let mut found = BTreeSet::new();
    let mut parts = vec![&route["spec"]["http"], &route["spec"]["rules"]];
    while let Some(part) = parts.pop() {
        let host = part["host"].as_str().and_then(|host| host.split('.').next());
        let istio = host.zip(part["port"]["number"].as_i64());
        let gateway = part["name"].as_str().zip(part["port"].as_i64());
        found.extend(istio.or(gateway).map(|(name, port)| (name.to_owned(), port)));
        match part {
            Value::Array(items) => parts.extend(items),
            Value::Object(fields) => parts.extend(fields.values()),
            _ => {}
        }
    }
    found
}

/// Fails if a stored route ever named a port that the Service did not have at that moment.
#[track_caller]
fn assert_ports_served(services: &Recorder, routes: &[Recorder]) -> usize {
    let mut history: Vec<Seen> = routes.iter().chain([services]).flat_map(Recorder::versions).collect();
    history.sort_by_key(|seen| seen.resource_version);
    let mut stored: BTreeMap<(String, String), Seen> = BTreeMap::new();
    let mut checked = 0;
    for seen in history {
        let key = (seen.kind.clone(), seen.name().to_owned());
        if seen.change == Change::Deleted {
            stored.remove(&key);
        } else {
            stored.insert(key, seen.clone());
        }
        for route in stored.values().filter(|one| one.kind != "services") {
            for (service, port) in destinations(&route.object) {
                let service = &stored[&("services".to_owned(), service)];
                let ports = service.object["spec"]["ports"].as_array().unwrap();
                let has = ports.iter().any(|one| one["port"] == port);
                assert!(
                    has,
                    "at rv {} {} names port {port} of {}",
                    seen.resource_version,
                    route.name(),
                    service.object
                );
                checked += 1;
            }
        }
    }
    checked
}

#[test]
fn a_changed_port_is_served_beside_the_old_one_until_the_route_has_moved() {
    let test = Test::new("ports");
    let safety = test.watch_safety();
    let services = test.watch("services");
    let routes = ["virtualservices", "httproutes"].map(|kind| test.watch(kind));
    let applications = applications();
    // The version's, then the application's (which is that of versions without one), then back.
    for (application_port, version_port) in [
        (80, None),
        (80, Some(8080)),
        (8000, Some(8080)),
        (8000, None),
        (80, None),
    ] {
        let mut candidate = with_pods(version("w"), &json!({ "kwok.iter8.tools/ready-after": "1s" }));
        if let Some(port) = version_port {
            candidate["port"] = port.into();
        }
        let releases: Vec<Value> = applications
            .iter()
            .map(|one| {
                let mut release = one.release(&[version("v"), candidate.clone()]);
                release["spec"]["application"]["port"] = application_port.into();
                release
            })
            .collect();
        settle(&test, &releases);
        let candidate_port = version_port.unwrap_or(application_port);
        for application in &applications {
            let want = [
                (application.version(0), application_port),
                (application.version(1), candidate_port),
            ];
            test.wait_until("the route names the ports of the spec", SOON, || {
                let route = test.find("virtualservice", &application.name);
                let route = route.unwrap_or_else(|| test.get("httproute", &application.name));
                equal(destinations(&route), &BTreeSet::from(want.clone()))
            });
            for (name, port) in want {
                test.wait_until("the Service has that port alone", SOON, || {
                    let ports = test.get("service", &name)["spec"]["ports"].take();
                    let ports: Vec<Value> = ports
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|port| json!([port["name"], port["port"]]))
                        .collect();
                    equal(ports, &vec![json!(["http", port])])
                });
                let deployment = test.get("deployment", &name);
                let container = &deployment["spec"]["template"]["spec"]["containers"][0];
                assert_eq!(container["ports"][0]["containerPort"], port);
            }
        }
        let service = test.get("service", "blue-gtw")["spec"].take();
        assert_eq!(service["ports"][0]["port"], application_port);
        let parent = test.get("httproute", "blue-gtw")["spec"]["parentRefs"][0].take();
        assert_eq!(parent["port"], application_port);
    }
    assert!(assert_ports_served(&services, &routes) > 0);
    safety.assert_safe();
}

#[test]
fn the_old_port_stays_until_the_route_with_the_new_one_is_accepted() {
    let test = Test::new("port not accepted");
    let with_port = |port: i64| {
        let mut release = release("web", "deployment-gtw", "blue-green", vec![version("v")]);
        versions(&mut release)[0]["port"] = port.into();
        release
    };
    settle(&test, &[with_port(80)]);
    test.accept("web");
    test.wait_until("it is accepted", SOON, || {
        equal(test.release("web").condition("Routed").unwrap().reason, "Accepted")
    });
    test.apply(&with_port(8080).to_string());
    let route_names = |port: i64| {
        test.wait_until("the route names the port", SOON, || {
            equal(
                destinations(&test.get("httproute", "web")),
                &BTreeSet::from([("web-0".to_owned(), port)]),
            )
        });
    };
    let ports = || {
        let ports = test.get("service", "web-0")["spec"]["ports"].take();
        ports
            .as_array()
            .unwrap()
            .iter()
            .map(|port| port["port"].as_i64().unwrap())
            .collect::<BTreeSet<_>>()
    };
    route_names(8080);
    test.wait_until("status waits for the acceptance", SOON, || {
        equal(test.release("web").ready_reason(), "Pending")
    });
    test.restart();
    test.refuse("web", "BackendNotFound");
    test.wait_until("it is refused", SOON, || {
        equal(test.release("web").ready_reason(), "BackendNotFound")
    });
    assert_eq!(ports(), BTreeSet::from([80, 8080]));
    // A third one at that point: all three are served.
    test.apply(&with_port(9090).to_string());
    route_names(9090);
    test.wait_until("status waits for the acceptance", SOON, || {
        equal(test.release("web").ready_reason(), "Pending")
    });
    assert_eq!(ports(), BTreeSet::from([80, 8080, 9090]));
    test.accept("web");
    test.wait_until("only the new port is left", SOON, || {
        equal(ports(), &BTreeSet::from([9090]))
    });
}

#[test]
fn replicas_are_the_specs_until_somebody_scales_and_again_when_the_spec_changes() {
    let test = Test::new("replicas");
    let with = |replicas: Option<i64>| {
        let mut release = release("web", "deployment-istio", "blue-green", vec![version("v")]);
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

#[test]
fn a_suspended_release_writes_nothing_but_status_and_its_route_still_follows_readiness() {
    let test = Test::new("suspend");
    let mut releases = MESHES.map(|(name, mesh)| release(name, mesh, "blue-green", vec![version("v"), version("w")]));
    settle(&test, &releases);
    let suspend = |releases: &mut [Value], suspend: bool| {
        for release in releases {
            release["spec"]["suspend"] = suspend.into();
        }
    };
    suspend(&mut releases, true);
    test.apply(&list(&releases));
    for (app, _) in MESHES {
        test.wait_until("it is suspended", SOON, || {
            equal(test.release(app).ready_reason(), "Suspended")
        });
    }
    let mark = (!skip_unless_local("an audit log")).then(|| test.audit_mark());
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
            equal(
                [ready.reason.as_str(), &row["VERSIONS"], &row["TRAFFIC"]],
                &["Suspended", "1/3", "100/0/0"],
            )
            .map(drop)
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
        let mut writes = test.writes_since(mark);
        writes.retain(|write| write.subresource != "status" && write.resource != "events");
        let wrote: BTreeSet<String> = writes.into_iter().map(|write| write.resource).collect();
        assert_eq!(
            wrote,
            BTreeSet::from(["httproutes", "virtualservices"].map(str::to_owned))
        );
    }
    suspend(&mut releases, false);
    settle(&test, &releases);
    for (app, _) in MESHES {
        test.route_becomes(app, "0:46 1:9 2:45");
    }
}

#[test]
fn without_a_drain_a_version_goes_as_soon_as_it_is_out_of_the_route() {
    let test = Test::new("no drain");
    let safety = test.watch_safety();
    let applications = applications();
    let with = |versions: &[Value]| {
        let releases = applications.iter().map(|one| {
            let mut release = one.release(versions);
            release["spec"]["drainSeconds"] = 0.into();
            release
        });
        releases.collect::<Vec<Value>>()
    };
    settle(&test, &with(&[version("v"), version("w")]));
    settle(&test, &with(&[version("v")]));
    for application in &applications {
        test.gone("deployment", &application.version(1));
        test.gone("service", &application.version(1));
    }
    safety.assert_safe();
}

#[test]
fn a_release_can_have_eight_versions() {
    let test = Test::new("eight versions");
    let safety = test.watch_safety();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let kinds = [
        ("blue", "deployment-istio", "blue-green"),
        ("canary", "deployment-gtw", "canary"),
        ("mirror", "deployment-istio", "mirror"),
        ("plain", "deployment", "none"),
    ];
    let with = |names: &[&str]| kinds.map(|(app, environment, strategy)| named(app, environment, strategy, names));
    settle(&test, &with(&names));
    test.route_becomes("blue", "a:13 b:13 c:13 d:13 e:12 f:12 g:12 h:12");
    test.route_becomes(
        "canary",
        "[b:100] [c:100] [d:100] [e:100] [f:100] [g:100] [h:100] a:100",
    );
    test.route_becomes("mirror", "a:100 +b:100 +c:100 +d:100 +e:100 +f:100 +g:100 +h:100");
    for (app, _, _) in kinds {
        assert_eq!(test.columns("release", app)["VERSIONS"], "8/8");
    }
    // Eight others: for a while there are sixteen.
    let others = ["i", "j", "k", "l", "m", "n", "o", "p"];
    settle(&test, &with(&others));
    test.route_becomes("blue", "i:13 j:13 k:13 l:13 m:12 n:12 o:12 p:12");
    let all: Vec<String> = kinds
        .iter()
        .flat_map(|(app, _, _)| others.iter().map(move |name| format!("{app}-{name}")))
        .collect();
    owned_become(&test, "deployment", &all.iter().map(String::as_str).collect::<Vec<_>>());
    safety.assert_safe();
}

#[test]
fn names_can_be_as_long_as_the_rules_allow() {
    let test = Test::new("longest names");
    let safety = test.watch_safety();
    let releases: Vec<Value> = applications()
        .iter()
        .enumerate()
        .map(|(index, one)| {
            // With the index of a version 49 characters; the Release's own name 63.
            let application = format!("a{index}-{}", "x".repeat(44));
            let mut unnamed = version("v");
            unnamed["matches"] = json!([{ "headers": [{ "name": "stage", "value": "v" }] }]);
            let mut own_name = version("w");
            own_name["metadata"] = json!({ "name": format!("v{index}-{}", "y".repeat(46)) });
            let mut release = one.release(&[unnamed, own_name]);
            release["metadata"]["name"] = format!("r{index}-{}", "z".repeat(60)).into();
            release["spec"]["application"]["metadata"] = json!({ "name": application });
            release
        })
        .collect();
    settle(&test, &releases);
    for release in &releases {
        let application = release["spec"]["application"]["metadata"]["name"].as_str().unwrap();
        assert_eq!(name(release).len(), 63);
        assert_eq!(format!("{application}-0").len(), 49);
        let rules = test.rules(application);
        assert!(!rules.is_empty());
        let named: BTreeSet<usize> = rules
            .iter()
            .flat_map(|rule| rule.names().map(|(name, _)| name.len()).collect::<Vec<_>>())
            .collect();
        assert_eq!(named, BTreeSet::from([49]));
    }
    safety.assert_safe();
}
