//! Who answers is who the route says.

use crate::app::{App, version, with_weight};
use crate::load::{self, Answers};
use crate::mesh::{Mesh, pods};
use crate::support::{SOON, equal, wait_until};

/// A sentence, and what shows it of a mesh.
pub type Test = (&'static str, fn(&'static Mesh));

pub const TESTS: &[Test] = &[
    (
        "blue_green_answers_are_shared_by_weight",
        blue_green_answers_are_shared_by_weight,
    ),
    (
        "a_canary_answers_what_its_header_says_and_nothing_else",
        a_canary_answers_what_its_header_says_and_nothing_else,
    ),
    (
        "a_mirrored_candidate_gets_copies_and_answers_nobody",
        a_mirrored_candidate_gets_copies_and_answers_nobody,
    ),
];

/// So many requests are enough for shares to within [`NEAR`] percentage points: that is 3.8 standard deviations.
const REQUESTS: usize = 4000;
const NEAR: f64 = 3.0;

fn blue_green_answers_are_shared_by_weight(mesh: &'static Mesh) {
    let app = App::new(mesh, "blue-green");
    app.begin(&[version("a"), version("b")]);
    shares_are(&app, 50.0);
    app.apply(&[with_weight(version("a"), 30), with_weight(version("b"), 70)]);
    shares_are(&app, 30.0);
    app.live_weight(0, 100);
    app.live_weight(1, 25);
    shares_are(&app, 80.0);
}

/// Waits until version `a` gets about this percentage, and sees that it stays so.
#[track_caller]
fn shares_are(app: &App, percent: f64) {
    wait_until("the shares follow", SOON, || {
        let seen = app.send(200).percent("a");
        if (seen - percent).abs() < 4.0 * NEAR {
            Ok(())
        } else {
            Err(format!("{seen} instead of {percent}"))
        }
    });
    let answers = app.send(REQUESTS);
    let (a, b) = (answers.percent("a"), answers.percent("b"));
    assert!((a - percent).abs() < NEAR, "{a} % instead of {percent} %");
    assert!(
        (a + b - 100.0).abs() < 0.01,
        "a {a} %, b {b} %:\n{}",
        answers.failures(answers.0[0].sent)
    );
    headers_are_true(app, &answers);
}

/// Response header `app-version` names the version that answered.
#[track_caller]
fn headers_are_true(app: &App, answers: &Answers) {
    for answer in &answers.0 {
        let index = usize::from(answer.version.as_deref() != Ok("a"));
        assert_eq!(answer.app_version, app.version(index), "{answer:?}");
    }
}

fn a_canary_answers_what_its_header_says_and_nothing_else(mesh: &'static Mesh) {
    let app = App::new(mesh, "canary");
    app.begin(&[version("a"), version("b")]);
    let marked = app.target(&[("traffic", "test")]);
    wait_until("the canary answers", SOON, || {
        equal(load::send(1, &marked).0[0].version.clone(), &Ok("b".to_owned())).map(drop)
    });
    for (answers, version) in [
        (app.send(500), "a"),
        (load::send(500, &marked), "b"),
        (load::send(500, &app.target(&[("traffic", "other")])), "a"),
    ] {
        assert!(
            answers.percent(version) >= 100.0,
            "{version}: {} %",
            answers.percent(version)
        );
        headers_are_true(&app, &answers);
    }
}

/// Half of the requests are to be copied, so the route says 50.
fn a_mirrored_candidate_gets_copies_and_answers_nobody(mesh: &'static Mesh) {
    let app = App::new(mesh, "mirror");
    app.begin(&[version("a"), with_weight(version("b"), 50)]);
    let copies = || pods().count(&app.test.namespace, "b").copies;
    wait_until("requests are copied", SOON, || {
        app.send(1);
        if copies() > 0 { Ok(()) } else { Err("none".to_owned()) }
    });
    let before = copies();
    let answers = app.send(REQUESTS);
    assert!(answers.percent("a") >= 100.0, "{} %", answers.percent("a"));
    headers_are_true(&app, &answers);
    // A copy is sent with its request: all but the last few are there when the answers are.
    let wanted = if mesh.copies_a_percentage { 50.0 } else { 100.0 };
    wait_until("the last copies have come", SOON, || {
        let percent = percent(copies() - before, REQUESTS);
        if (percent - wanted).abs() < NEAR {
            Ok(())
        } else {
            Err(format!("{percent} % are copied instead of {wanted} %"))
        }
    });
    assert_eq!(pods().count(&app.test.namespace, "b").requests, 0);
    assert_eq!(app.test.rules(&app.name)[0].mirrors, [(app.version(1), 50)]);
}

#[allow(clippy::cast_precision_loss)] // thousands
fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}
