//! Changed ports: a stored route never names one that the Service does not have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{settle, versions};
use crate::support::manifest::{applications, release, version, with_pods};
use crate::support::recorder::{Change, Recorder, Seen};
use crate::support::{SOON, Test, equal};

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
fn ports_checked(services: &Recorder, routes: &[Recorder]) -> usize {
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
    assert!(ports_checked(&services, &routes) > 0);
    safety.assert_safe();
}

#[test]
fn the_old_port_stays_until_the_route_with_the_new_one_is_accepted() {
    let test = Test::new("port not accepted");
    let with_port = |port: i64| {
        let mut release = release("web", "deployment-gtw", "blue-green", &[version("v")]);
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
    let waits = || {
        test.wait_until("status waits for the acceptance", SOON, || {
            equal(test.release("web").ready_reason(), "Pending")
        });
    };
    waits();
    test.restart();
    test.refuse("web", "BackendNotFound");
    route_names(8080);
    test.wait_until("it is refused", SOON, || {
        equal(test.release("web").ready_reason(), "BackendNotFound")
    });
    assert_eq!(ports(), BTreeSet::from([80, 8080]));
    // A third one at that point: all three are served.
    test.apply(&with_port(9090).to_string());
    waits();
    assert_eq!(ports(), BTreeSet::from([80, 8080, 9090]));
    test.accept("web");
    route_names(9090);
    test.wait_until("only the new port is left", SOON, || {
        equal(ports(), &BTreeSet::from([9090]))
    });
}

#[test]
fn a_port_of_any_name_is_kept_while_the_route_names_it() {
    let test = Test::new("unnamed ports");
    let services = test.watch("services");
    let routes = ["virtualservices", "httproutes"].map(|kind| test.watch(kind));
    let applications = applications();
    // Of one port without a name, of one with another name than ours, of two ports.
    for ports in [
        json!([{ "port": 80, "targetPort": 80 }]),
        json!([{ "port": 81, "targetPort": 80 }]),
        json!([{ "name": "web", "port": 82, "targetPort": 80 }]),
        json!([{ "name": "web", "port": 83, "targetPort": 80 }, { "name": "http-admin", "port": 84 }]),
        json!([{ "name": "http", "port": 85, "targetPort": 80 }, { "name": "admin", "port": 84 }]),
        json!([{ "name": "http", "port": 80, "targetPort": 80 }]),
    ] {
        let mut candidate = version("w");
        candidate["serviceSpecification"] = json!({ "spec": { "ports": ports } });
        let releases: Vec<Value> = applications
            .iter()
            .map(|one| one.release(&[version("v"), candidate.clone()]))
            .collect();
        settle(&test, &releases);
        let numbers = |ports: &Value| {
            let ports = ports.as_array().unwrap().iter();
            ports
                .map(|port| port["port"].as_i64().unwrap())
                .collect::<BTreeSet<_>>()
        };
        for application in &applications {
            test.wait_until("the Service has the ports of the spec alone", SOON, || {
                let live = test.get("service", &application.version(1))["spec"]["ports"].take();
                equal(numbers(&live), &numbers(&ports))
            });
        }
    }
    assert!(ports_checked(&services, &routes) > 0);
}

#[test]
fn the_old_port_stays_while_nobody_can_answer_on_the_new_one() {
    let test = Test::new("port without pods");
    let services = test.watch("services");
    let routes = ["virtualservices", "httproutes"].map(|kind| test.watch(kind));
    let applications = applications();
    for port in [80, 8080] {
        // All pods end before the first new one starts, and the drain is long over by then.
        let mut only = with_pods(version("v"), &json!({ "kwok.iter8.tools/ready-after": "3s" }));
        only["port"] = port.into();
        only["deploymentSpecification"]["spec"]["strategy"] = json!({ "type": "Recreate" });
        let releases: Vec<Value> = applications
            .iter()
            .map(|one| {
                let mut release = one.release(&[only.clone()]);
                release["spec"]["drainSeconds"] = 0.into();
                release
            })
            .collect();
        settle(&test, &releases);
        for application in &applications {
            test.wait_until("the Service has that port alone", SOON, || {
                let ports = test.get("service", &application.version(0))["spec"]["ports"].take();
                let ports = ports.as_array().unwrap().iter();
                equal(
                    ports.map(|one| one["port"].clone()).collect::<Vec<_>>(),
                    &vec![json!(port)],
                )
            });
        }
    }
    assert!(ports_checked(&services, &routes) > 0);
}
