//! The live weights: annotation `iter8.tools/weight` of the versions' `ConfigMap`s.

use serde_json::{Value, json};

use crate::support::manifest::{MESHES, list, release, version, weighted};
use crate::support::{SOON, Test, equal, holds};

const WEIGHT: &str = "iter8.tools/weight";

/// Annotates a version's `ConfigMap` as users do.
#[track_caller]
fn annotate(test: &Test, version: &str, weight: &str) {
    let config = format!("cm/{version}-weight-config");
    test.kubectl(["annotate", "--overwrite", &config, &format!("{WEIGHT}={weight}")]);
}

/// The annotation of a version's `ConfigMap`.
#[track_caller]
fn annotation(test: &Test, version: &str) -> Value {
    test.get("configmap", &format!("{version}-weight-config"))["metadata"]["annotations"][WEIGHT].take()
}

/// Blue-green Releases for both meshes, with these weights.
fn both(weights: &[i64]) -> Vec<Value> {
    let versions: Vec<Value> = weights.iter().map(|weight| weighted("v", *weight)).collect();
    let one = |(name, environment)| release(name, environment, "blue-green", &versions);
    MESHES.map(one).to_vec()
}

#[track_caller]
fn apply_ready(test: &Test, releases: &[Value]) {
    test.apply(&list(releases));
    for release in releases {
        test.wait_ready(&format!("release/{}", release["metadata"]["name"].as_str().unwrap()));
    }
}

/// Waits until the route gives these shares to the application's versions, in their order, and status says so.
#[track_caller]
fn shares_become(test: &Test, app: &str, shares: &[i64]) {
    let names: Vec<String> = (0..shares.len()).map(|index| format!("{app}-{index}")).collect();
    let want: Vec<(&str, i64)> = names.iter().map(String::as_str).zip(shares.iter().copied()).collect();
    let want: Vec<(&str, i64)> = want.into_iter().filter(|(_, share)| *share > 0).collect();
    test.shares_become(app, &want);
    let words: Vec<String> = shares.iter().map(ToString::to_string).collect();
    test.wait_until("status says so", SOON, || {
        equal(test.release(app).traffic(), &words.join("/"))
    });
}

/// Waits until status says that a version's weight in force is this one, and where it is from.
#[track_caller]
fn weight_becomes(test: &Test, app: &str, version: &str, weight: i64, source: &str) {
    test.wait_until(&format!("{version} has weight {weight} of the {source}"), SOON, || {
        let status = test.release(app).version(version).unwrap_or_default();
        equal(json!([status["weight"], status["source"]]), &json!([weight, source]))
    });
}

#[track_caller]
fn override_ends(test: &Test, weight: &str, version: &str) {
    test.wait_until("an Event says that the override is over", SOON, || {
        let events = test.events("OverrideEnded");
        let found = events
            .iter()
            .any(|note| note.contains(&format!("weight {weight} of {version} ")));
        holds(found, events)
    });
}

#[test]
fn annotating_a_weight_moves_the_route_and_leaves_the_spec_alone() {
    let test = Test::new("annotate weight");
    let releases = both(&[30, 70]);
    apply_ready(&test, &releases);
    for (app, _) in MESHES {
        shares_become(&test, app, &[30, 70]);
        let primary = format!("{app}-0");
        weight_becomes(&test, app, &primary, 30, "Spec");
        annotate(&test, &primary, "10");
        shares_become(&test, app, &[13, 87]);
        weight_becomes(&test, app, &primary, 10, "Override");
        weight_becomes(&test, app, &format!("{app}-1"), 70, "Spec");
        assert_eq!(
            test.get("release", app)["spec"]["application"]["versions"][0]["weight"],
            30
        );
        assert_eq!(test.release(app).ready_reason(), "Ready");
    }
}

#[test]
fn a_weight_that_is_none_is_reported_and_the_last_good_one_stays() {
    let test = Test::new("bad weight");
    apply_ready(&test, &both(&[50, 50]));
    for (app, _) in MESHES {
        let primary = format!("{app}-0");
        annotate(&test, &primary, "20");
        shares_become(&test, app, &[29, 71]);
        for (bad, other, shares) in [("abc", "80", [20, 80]), ("101", "60", [25, 75]), ("-1", "30", [40, 60])] {
            annotate(&test, &primary, bad);
            invalid_weight_is_reported(&test, app, bad);
            annotate(&test, &format!("{app}-1"), other);
            shares_become(&test, app, &shares);
            assert_eq!(annotation(&test, &primary), bad, "what the user wrote is not touched");
        }
    }
    test.restart();
    for (app, _) in MESHES {
        annotate(&test, &format!("{app}-1"), "80");
        shares_become(&test, app, &[20, 80]);
        invalid_weight_is_reported(&test, app, "-1");
        annotate(&test, &format!("{app}-0"), "80");
        shares_become(&test, app, &[50, 50]);
        test.wait_until("nothing is reported any more", SOON, || {
            equal(test.release(app).ready_reason(), "Ready")
        });
    }
}

#[track_caller]
fn invalid_weight_is_reported(test: &Test, app: &str, bad: &str) {
    let config = format!("ConfigMap {app}-0-weight-config");
    for status in [test.release(app), test.policy(app)] {
        test.wait_until("the bad weight is reported", SOON, || {
            let ready = status.condition("Ready").ok_or("no condition")?;
            let said = ready.message.contains(&config) && ready.message.contains(&format!("{bad:?}"));
            holds(ready.reason == "InvalidWeight" && said, ready)
        });
    }
}

#[test]
fn an_override_ends_when_the_specs_weight_changes() {
    let test = Test::new("spec weight changes");
    apply_ready(&test, &both(&[30, 70]));
    for (app, _) in MESHES {
        annotate(&test, &format!("{app}-0"), "100");
        annotate(&test, &format!("{app}-1"), "0");
        shares_become(&test, app, &[100, 0]);
    }
    test.apply(&list(&both(&[40, 70])));
    for (app, _) in MESHES {
        let (primary, candidate) = (format!("{app}-0"), format!("{app}-1"));
        weight_becomes(&test, app, &primary, 40, "Spec");
        override_ends(&test, "100", &primary);
        assert_eq!(annotation(&test, &primary), "40");
        weight_becomes(&test, app, &candidate, 0, "Override");
        assert_eq!(
            annotation(&test, &candidate),
            "0",
            "its weight in the spec did not change"
        );
    }
    test.apply(&list(&both(&[40, 60])));
    for (app, _) in MESHES {
        shares_become(&test, app, &[40, 60]);
        override_ends(&test, "0", &format!("{app}-1"));
    }
}

#[test]
fn an_override_stays_when_anything_else_of_the_release_changes() {
    let test = Test::new("override stays");
    let mut releases = both(&[50, 50]);
    apply_ready(&test, &releases);
    for (app, _) in MESHES {
        annotate(&test, &format!("{app}-0"), "25");
        shares_become(&test, app, &[33, 67]);
    }
    for release in &mut releases {
        release["spec"]["application"]["versions"][0]["metadata"] = json!({ "labels": { "stage": "blue" } });
        release["spec"]["application"]["versions"]
            .as_array_mut()
            .unwrap()
            .push(weighted("v", 25));
    }
    test.apply(&list(&releases));
    test.restart();
    for (app, _) in MESHES {
        shares_become(&test, app, &[25, 50, 25]);
        let config = test.get("configmap", &format!("{app}-0-weight-config"));
        assert_eq!(config["metadata"]["labels"]["stage"], "blue");
        assert_eq!(config["metadata"]["annotations"][WEIGHT], "25");
    }
    assert_eq!(test.events("OverrideEnded"), Vec::<String>::new());
}

#[test]
fn an_override_ends_when_the_annotation_is_removed() {
    let test = Test::new("annotation removed");
    apply_ready(&test, &both(&[30, 70]));
    for (app, _) in MESHES {
        let primary = format!("{app}-0");
        annotate(&test, &primary, "70");
        shares_become(&test, app, &[50, 50]);
        weight_becomes(&test, app, &primary, 70, "Override");
        test.kubectl([
            "annotate",
            &format!("cm/{primary}-weight-config"),
            &format!("{WEIGHT}-"),
        ]);
        shares_become(&test, app, &[30, 70]);
        weight_becomes(&test, app, &primary, 30, "Spec");
        override_ends(&test, "70", &primary);
        test.wait_until("the annotation is back", SOON, || {
            equal(annotation(&test, &primary), "30")
        });
    }
}

#[test]
fn an_override_ends_when_the_config_map_is_deleted() {
    let test = Test::new("weight config deleted");
    apply_ready(&test, &both(&[30, 70]));
    for (app, _) in MESHES {
        let (primary, config) = (format!("{app}-0"), format!("{app}-0-weight-config"));
        annotate(&test, &primary, "70");
        shares_become(&test, app, &[50, 50]);
        weight_becomes(&test, app, &primary, 70, "Override");
        test.kubectl(["delete", "configmap", &config]);
        shares_become(&test, app, &[30, 70]);
        weight_becomes(&test, app, &primary, 30, "Spec");
        override_ends(&test, "70", &primary);
        test.there("configmap", &config);
        assert_eq!(annotation(&test, &primary), "30");
        annotate(&test, &primary, "70");
        shares_become(&test, app, &[50, 50]);
    }
}

#[test]
fn an_override_ends_when_its_version_is_the_only_one_left() {
    let test = Test::new("only version left");
    apply_ready(&test, &both(&[30, 70]));
    for (app, _) in MESHES {
        annotate(&test, &format!("{app}-0"), "70");
        shares_become(&test, app, &[50, 50]);
    }
    apply_ready(&test, &both(&[30]));
    for (app, _) in MESHES {
        let primary = format!("{app}-0");
        shares_become(&test, app, &[100]);
        weight_becomes(&test, app, &primary, 30, "Spec");
        override_ends(&test, "70", &primary);
        assert_eq!(annotation(&test, &primary), "30");
    }
}

#[test]
fn an_override_by_a_pipeline_with_server_side_apply_is_its_own() {
    let test = Test::new("applied override");
    let [istio, _] = MESHES;
    let release = release(istio.0, istio.1, "blue-green", &[weighted("v", 30), weighted("v", 70)]);
    apply_ready(&test, &[release]);
    let applied = |weight: Option<&str>| {
        let mut config = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "istio-0-weight-config", "namespace": test.namespace, "annotations": {} },
        });
        if let Some(weight) = weight {
            config["metadata"]["annotations"][WEIGHT] = weight.into();
        }
        let (manager, force) = ("--field-manager=pipeline", "--force-conflicts");
        let said = test.cluster.kubectl.ok(
            ["apply", "--server-side", manager, force, "--filename=-"],
            &config.to_string(),
        );
        assert!(said.contains("serverside-applied"), "{said}");
    };
    // The same value is owned by both, another one by the pipeline alone.
    applied(Some("30"));
    applied(Some("70"));
    shares_become(&test, "istio", &[50, 50]);
    weight_becomes(&test, "istio", "istio-0", 70, "Override");
    test.restart();
    annotate(&test, "istio-1", "30");
    shares_become(&test, "istio", &[70, 30]);
    assert_eq!(annotation(&test, "istio-0"), "70");
    applied(None);
    shares_become(&test, "istio", &[50, 50]);
    weight_becomes(&test, "istio", "istio-0", 30, "Spec");
    override_ends(&test, "70", "istio-0");
}

#[test]
fn the_percentage_of_a_mirror_is_live_too() {
    let test = Test::new("live percentage");
    let versions = vec![version("v"), weighted("v", 60)];
    apply_ready(
        &test,
        &MESHES.map(|(name, environment)| release(name, environment, "mirror", &versions)),
    );
    for (app, _) in MESHES {
        let candidate = format!("{app}-1");
        let copies_become = |want: &[(&str, i64)]| {
            let want: Vec<(String, i64)> = want
                .iter()
                .map(|(name, percent)| ((*name).to_owned(), *percent))
                .collect();
            test.wait_until("the copies are as they should be", SOON, || {
                let rule = test.rules(app).pop().unwrap_or_default();
                equal(
                    (rule.backends, rule.mirrors),
                    &(vec![(format!("{app}-0"), 100)], want.clone()),
                )
            });
        };
        copies_become(&[(&candidate, 60)]);
        for (live, said) in [("10", "100/copy:10"), ("100", "100/copy:100")] {
            annotate(&test, &candidate, live);
            copies_become(&[(&candidate, live.parse().unwrap())]);
            weight_becomes(&test, app, &candidate, live.parse().unwrap(), "Override");
            test.wait_until("status says so", SOON, || equal(test.release(app).traffic(), said));
        }
        annotate(&test, &candidate, "0");
        copies_become(&[]);
        test.wait_until("status says so", SOON, || equal(test.release(app).traffic(), "100/0"));
        annotate(&test, &candidate, "many");
        test.wait_until("the bad one is reported", SOON, || {
            equal(test.release(app).ready_reason(), "InvalidWeight")
        });
        copies_become(&[]);
        annotate(&test, &candidate, "60");
        copies_become(&[(&candidate, 60)]);
        weight_becomes(&test, app, &candidate, 60, "Spec");
    }
}

#[test]
fn with_all_weights_zero_the_primary_gets_everything_and_status_says_why() {
    let test = Test::new("all weights zero");
    apply_ready(&test, &both(&[30, 70]));
    for (app, _) in MESHES {
        annotate(&test, &format!("{app}-0"), "0");
        shares_become(&test, app, &[0, 100]);
        annotate(&test, &format!("{app}-1"), "0");
        shares_become(&test, app, &[100, 0]);
        test.wait_until("status says why", SOON, || {
            equal(test.release(app).ready_reason(), "AllWeightsZero")
        });
        assert_eq!(test.release(app).condition("Ready").unwrap().status, "True");
    }
}

#[test]
fn when_the_only_version_with_a_weight_fails_the_primary_gets_everything() {
    let test = Test::new("the 100 fails");
    let safety = test.watch_safety();
    apply_ready(&test, &both(&[0, 100]));
    for (app, _) in MESHES {
        shares_become(&test, app, &[0, 100]);
        test.kubectl([
            "annotate",
            "pod",
            "-l",
            &format!("app={app}-1"),
            "kwok.iter8.tools/unready=true",
        ]);
        shares_become(&test, app, &[100, 0]);
        assert_eq!(test.release(app).ready_reason(), "CandidateNotReady");
        test.kubectl([
            "annotate",
            "pod",
            "-l",
            &format!("app={app}-1"),
            "kwok.iter8.tools/unready-",
        ]);
        shares_become(&test, app, &[0, 100]);
    }
    safety.assert_safe();
}
