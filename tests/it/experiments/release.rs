//! A canary experiment on a blue-green Release: its weights, and so its route, follow what is measured.

use serde_json::{Value, json};

use super::{Lab, at_most, ends, experiment, of_revision, reaches, weights, with_objectives, without_repetitions};
use crate::support::exporter::Load;
use crate::support::manifest::{release, weighted};
use crate::support::recorder::Recorder;
use crate::support::{SOON, Test, holds, routes};

const FAST: Load = Load::with_latency(4.0);
const SLOW: Load = Load::with_latency(4000.0);

/// A Lab with a Release of two fast versions, which has these weights and is ready.
#[track_caller]
fn with_release(name: &str, [baseline, candidate]: [i64; 2]) -> Option<Lab> {
    let lab = Lab::new(name)?;
    for version in ["v1", "v2"] {
        lab.serve(version, FAST);
    }
    let versions = [weighted("web:1", baseline), weighted("web:2", candidate)];
    let web = release("web", "deployment-istio", "blue-green", &versions);
    lab.test.apply(&web.to_string());
    lab.test.wait_ready("release/web");
    Some(lab)
}

/// A Canary experiment on it, whose versions have to be fast.
fn canary(lab: &Lab, iterations: i64, rollback: bool) -> Value {
    let versions = [
        of_revision("web-0", &lab.revision("v1")),
        of_revision("web-1", &lab.revision("v2")),
    ];
    let mut canary = experiment("canary", "Canary", iterations, &versions);
    canary["spec"]["versionInfo"]["releaseRef"] = json!({ "name": "web" });
    let mut fast = at_most("mean-latency", 50);
    fast["rollback_on_failure"] = rollback.into();
    with_objectives(canary, &[fast])
}

/// The candidate's weight, one after the other.
#[track_caller]
fn candidate_weights(configs: &Recorder) -> Vec<i64> {
    let versions = configs.versions_of("web-1-weight-config");
    let weights = versions.iter().map(|seen| {
        let weight = &seen.object["metadata"]["annotations"]["iter8.tools/weight"];
        weight.as_str().unwrap().parse().unwrap()
    });
    without_repetitions(weights)
}

/// The candidate's share of the requests, one after the other.
#[track_caller]
fn candidate_shares(routes: &Recorder) -> Vec<i64> {
    let versions = routes.versions_of("web");
    let shares = versions.iter().map(|seen| {
        let rules = routes::rules(&seen.object);
        let backends = rules.last().map(|rule| rule.backends.clone()).unwrap_or_default();
        let candidate = backends.into_iter().find(|(service, _)| service == "web-1");
        candidate.map_or(0, |(_, weight)| weight)
    });
    without_repetitions(shares)
}

#[track_caller]
fn candidate_has(test: &Test, share: i64) {
    test.wait_until("the candidate has gained", SOON, || {
        let shares = test.route_shares("web");
        holds(
            shares.iter().any(|(name, has)| name == "web-1" && *has >= share),
            shares,
        )
    });
}

#[test]
fn a_candidate_that_does_well_gains_step_by_step_what_it_may_have() {
    let Some(lab) = with_release("canary gains", [100, 0]) else {
        return;
    };
    let test = &lab.test;
    test.shares_become("web", &[("web-0", 100)]);
    let (configs, routes, safety) = (
        test.watch("configmap"),
        test.watch("virtualservice"),
        test.watch_safety(),
    );
    let mut canary = canary(&lab, 9, true);
    canary["spec"]["strategy"]["weights"] = json!({ "maxCandidateWeight": 40 });
    test.apply(&canary.to_string());
    let status = ends(test, "canary", "Successful");
    test.shares_become("web", &[("web-0", 60), ("web-1", 40)]);

    assert_eq!(candidate_weights(&configs), [0, 10, 20, 30, 40]);
    // The weights of versions are two objects: between their writes the route may show a share between two steps.
    let shares = candidate_shares(&routes);
    assert!(shares.is_sorted() && shares.ends_with(&[40]), "{shares:?}");
    safety.assert_safe();
    assert_eq!(weights(&status["startWeights"]), [100, 0]);
    assert_eq!(weights(&status["currentWeightDistribution"]), [60, 40]);
    assert_eq!(weights(&status["analysis"]["weights"]["data"]), [60, 40]);
    let winner = &status["analysis"]["winnerAssessment"]["data"];
    assert_eq!(*winner, json!({ "winnerFound": true, "winner": "web-1" }));
    assert_eq!(status["recommendedBaseline"], "web-1");
    let ready = test.experiment("canary").condition("Ready").unwrap();
    assert_eq!([&*ready.status, &*ready.reason], ["True", "Successful"]);
    // What the user wrote stays as it is, and status of the Release says why it gives something else.
    let spec = &test.get("release", "web")["spec"]["application"]["versions"];
    assert_eq!([&spec[0]["weight"], &spec[1]["weight"]], [100, 0]);
    let version = test.release("web").version("web-1").unwrap();
    assert_eq!(
        [&version["weight"], &version["source"]],
        [&json!(40), &json!("Override")]
    );
}

/// A candidate that becomes slow loses what it has gained since these weights.
#[track_caller]
fn rolls_back(name: &str, before: [i64; 2]) {
    let Some(lab) = with_release(name, before) else { return };
    let test = &lab.test;
    let shares: Vec<(&str, i64)> = ["web-0", "web-1"].into_iter().zip(before).collect();
    let shares: Vec<(&str, i64)> = shares.into_iter().filter(|(_, share)| *share > 0).collect();
    test.shares_become("web", &shares);
    let safety = test.watch_safety();
    test.apply(&canary(&lab, 1000, true).to_string());
    candidate_has(test, before[1] + 20);
    lab.serve("v2", SLOW);

    let status = ends(test, "canary", "Failed");
    test.shares_become("web", &shares);
    safety.assert_safe();
    assert_eq!(status["rolledBack"], true);
    assert_eq!(status["message"], "ExperimentCompleted: Experiment rolled back");
    assert_eq!(weights(&status["currentWeightDistribution"]), before);
    assert_eq!(status["recommendedBaseline"], "web-0");
    let put_back = format!("the weights are put back: web-0 {}, web-1 {}", before[0], before[1]);
    test.wait_until("an Event says so", SOON, || {
        let events = test.events("RolledBack");
        let said = events.iter().any(|note| {
            note.starts_with("mean-latency of version web-1 is ")
                && note.contains("above 50")
                && note.ends_with(&put_back)
        });
        holds(said && events.len() == 1, events)
    });
    let ready = test.experiment("canary").condition("Ready").unwrap();
    assert_eq!([&*ready.status, &*ready.reason], ["False", "Failed"]);
    assert!(
        ready.message.starts_with("mean-latency of version web-1 is "),
        "{ready:?}"
    );
}

#[test]
fn a_candidate_that_fails_an_objective_loses_all_that_it_has_gained() {
    rolls_back("rollback", [100, 0]);
}

#[test]
fn a_rollback_leaves_what_the_candidate_had_before() {
    rolls_back("rollback to 20", [80, 20]);
}

#[test]
fn a_candidate_that_fails_without_a_rollback_is_left_one_step() {
    let Some(lab) = with_release("no rollback", [100, 0]) else {
        return;
    };
    let test = &lab.test;
    let configs = test.watch("configmap");
    test.apply(&canary(&lab, 1000, false).to_string());
    candidate_has(test, 30);
    lab.serve("v2", SLOW);
    reaches(test, "canary", "the candidate has lost", |status| {
        weights(&status["currentWeightDistribution"]) == [90, 10]
            && status["objectives"][1]["verdict"] == "Fail"
            && status["stage"] == "Running"
    });
    test.shares_become("web", &[("web-0", 90), ("web-1", 10)]);
    super::ends_at(test, "canary", 1);
    let status = ends(test, "canary", "Failed");
    assert!(status["rolledBack"].is_null(), "{status:#}");
    assert_eq!(candidate_weights(&configs).last(), Some(&10));
    test.shares_become("web", &[("web-0", 90), ("web-1", 10)]);
}
