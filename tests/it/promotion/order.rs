//! The promotions there are, from end to end.

use serde_json::{Value, json};

use super::{APPS, App, apply, assert_end, assert_source_serves, image, settle, settled, version};
use crate::support::Test;

/// Plays a promotion and asserts that no request was lost.
#[track_caller]
fn promote(name: &str, before: &[Value], after: &[Value], images: &[&str]) -> Test {
    let test = Test::new(name);
    let safety = test.watch_safety();
    settle(&test, before);
    let all: Vec<&str> = before.iter().map(image).collect();
    assert_end(&test, &all);
    apply(&test, after);
    settled(&test);
    assert_end(&test, images);
    safety.assert_safe();
    assert_source_serves(&safety, 1);
    test
}

#[test]
fn the_image_of_the_candidate_moves_to_the_primary() {
    let [a, b] = ["a", "b"].map(version);
    let test = promote("promote the candidate", &[a, b.clone()], &[b], &["b"]);
    for App { name, .. } in APPS {
        for kind in ["deployment", "service"] {
            assert!(
                test.find(kind, &format!("{name}-1")).is_none(),
                "{kind} of {name}-1 is left"
            );
        }
        let config = format!("{name}-1-weight-config");
        assert!(test.find("configmap", &config).is_none(), "{config} is left");
    }
}

#[test]
fn a_promotion_and_a_new_candidate_come_in_one_edit() {
    let [a, b, c] = ["a", "b", "c"].map(version);
    promote("promote and add", &[a, b.clone()], &[b, c], &["b", "c"]);
}

#[test]
fn the_candidates_move_up_a_place() {
    let [a, b, c] = ["a", "b", "c"].map(version);
    promote("move up", &[a, b.clone(), c.clone()], &[b, c], &["b", "c"]);
}

#[test]
fn a_promotion_changes_only_an_environment_variable() {
    let [old, new] = ["1", "2"].map(|value| {
        let mut version = version("a");
        let container = json!({
            "name": "web",
            "image": "a",
            "env": [{ "name": "GREETING", "value": value }],
            "ports": [{ "name": "http", "containerPort": 80 }],
        });
        version.as_object_mut().unwrap().remove("image");
        version["deploymentSpecification"]["spec"]["template"]["spec"] = json!({ "containers": [container] });
        version
    });
    let test = promote("promote a variable", &[old, new.clone()], &[new], &["a"]);
    for App { name, .. } in APPS {
        let deployment = test.get("deployment", &format!("{name}-0"));
        let variable = &deployment["spec"]["template"]["spec"]["containers"][0]["env"][0];
        assert_eq!(variable["value"], "2", "{name}");
    }
}
