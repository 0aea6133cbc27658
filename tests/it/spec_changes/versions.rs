//! Versions that come and go, what they are called, and what their objects are labelled with.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{name, named, owned_become, settle, versions};
use crate::support::Test;
use crate::support::api::resource_version;
use crate::support::manifest::{MESHES, applications, release, version};

/// What the route says when versions of equal weights are all ready.
pub(super) fn all_serve(strategy: &str, names: &[&str]) -> String {
    let (primary, others) = names.split_first().unwrap();
    let primary = format!("{primary}:100");
    let parts: Vec<String> = match (strategy, names) {
        ("blue-green", [_]) => vec![primary],
        ("blue-green", [a, b]) => vec![format!("{a}:50"), format!("{b}:50")],
        ("blue-green", [a, b, c]) => vec![format!("{a}:34"), format!("{b}:33"), format!("{c}:33")],
        ("canary", _) => {
            let rules = others.iter().map(|name| format!("[{name}:100]"));
            rules.chain([primary]).collect()
        }
        ("mirror", _) => {
            let copies = others.iter().map(|name| format!("+{name}:100"));
            [primary].into_iter().chain(copies).collect()
        }
        _ => panic!("{strategy} {names:?}"),
    };
    parts.join(" ")
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
            let want = all_serve(application.strategy, names);
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
    let mut releases = MESHES.map(|(name, mesh)| release(name, mesh, "blue-green", &[version("v"), version("w")]));
    settle(&test, &releases);
    let specs = |app: &str| [0, 1].map(|index| test.get("deployment", &format!("{app}-{index}"))["spec"].take());
    let before = MESHES.map(|(app, _)| specs(app));
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
    assert_eq!(MESHES.map(|(app, _)| specs(app)), before);
    assert_eq!(routes(), routes_before);
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
