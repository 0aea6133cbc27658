//! What applications do by themselves is seen, and told from what a change costs.

use std::time::Duration;

use crate::app::{App, annotated, version};
use crate::mesh::Mesh;
use crate::pods::{ERROR_RATE, STOP_AFTER};
use crate::shares::Test;
use crate::support::recorder::Change;
use crate::support::{SOON, wait_until};

pub const TESTS: &[Test] = &[
    (
        "an_application_that_fails_is_seen_to",
        an_application_that_fails_is_seen_to,
    ),
    (
        "a_roll_in_place_loses_no_request_if_pods_take_their_time_to_stop",
        a_roll_in_place_loses_no_request_if_pods_take_their_time_to_stop,
    ),
];

fn an_application_that_fails_is_seen_to(mesh: &'static Mesh) {
    let app = App::new(mesh, "blue-green");
    app.begin(&[annotated(version("a"), ERROR_RATE, "0.5")]);
    let answers = app.send(1000);
    // Half, to within 6 standard deviations.
    assert!((400..600).contains(&answers.failed()), "{}", answers.failed());
    let told: usize = answers.bursts().iter().flat_map(|burst| burst.failures.values()).sum();
    assert_eq!(told, answers.failed());
}

/// The only version's template changes, so nobody can stand in for it.
fn a_roll_in_place_loses_no_request_if_pods_take_their_time_to_stop(mesh: &'static Mesh) {
    let app = App::new(mesh, "blue-green");
    let lasting = |image| annotated(version(image), STOP_AFTER, "5s");
    app.begin(&[lasting("a")]);
    let pods = app.test.watch("pods");
    let load = app.load(100);
    load.goes_on();
    app.apply(&[lasting("b")]);
    wait_until("only the new pod answers", SOON, || {
        let seen = app.send(20).percent("b");
        if seen >= 100.0 {
            Ok(())
        } else {
            Err(format!("{seen} %"))
        }
    });
    load.goes_on();
    let answers = load.stop();
    assert_eq!(answers.failed(), 0, "{}", app.failures());
    assert!(answers.percent("a") > 0.0 && answers.percent("b") > 0.0);
    // As long as it may answer, its address is nobody else's.
    let last = wait_until("the old pod is gone", SOON, || {
        let versions = pods.versions();
        let gone = versions.iter().find(|seen| seen.change == Change::Deleted);
        gone.cloned().ok_or_else(|| "it is there".into())
    });
    let versions = pods.versions_of(last.name());
    let going = versions.iter().find(|seen| seen.is_going()).expect("it was told to go");
    let took = last.at - going.at;
    assert!(took > Duration::from_secs(2), "its address was free after {took:?}");
}
