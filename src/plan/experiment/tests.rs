use chrono::TimeZone;
use serde_json::{Value, json};

use super::report::Measured;
use super::verdicts::Samples;
use super::*;
use crate::api::experiment::{ExperimentSpec, Verdict};
use crate::model::query::Sample;
use crate::model::validate::{self, ObjectInfo};
use crate::plan::Failure;

mod weights;

fn time(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap()
}

fn valid(spec: &Value) -> Experiment {
    let info = ObjectInfo {
        name: "exp".to_owned(),
        namespace: "shop".to_owned(),
        generation: 1,
        ..ObjectInfo::default()
    };
    let spec: ExperimentSpec = validate::read_experiment(&json!({ "spec": spec })).unwrap();
    validate::experiment(&info, &spec).unwrap()
}

/// An experiment of versions `a` (the baseline), `b`, … of a Release, on metric `latency`, which is to be at most 50.
fn experiment(pattern: &str, candidates: usize, more: &Value) -> Experiment {
    let version = |name: &str| json!({ "name": name });
    let names = ["b", "c", "d"];
    let mut spec = json!({
        "target": "shop/web",
        "strategy": { "testingPattern": pattern },
        "criteria": { "objectives": [{ "metric": "latency", "upperLimit": 50 }] },
        "duration": { "intervalSeconds": 10, "iterationsPerLoop": 4, "maxIterationsWithoutData": 3 },
        "versionInfo": {
            "baseline": version("a"),
            "candidates": names.iter().take(candidates).map(|name| version(name)).collect::<Vec<_>>(),
        },
    });
    if pattern != "Conformance" {
        spec["versionInfo"]["releaseRef"] = json!({ "name": "web" });
    }
    if pattern.starts_with("A/B") {
        spec["criteria"]["reward"] = json!({ "metric": "gain", "preferredDirection": "High" });
    }
    merge(&mut spec, more);
    valid(&spec)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Values of `latency` by version; `None`: nothing was measured.
fn latencies(values: &[(&str, Option<f64>)]) -> Samples {
    let sample = |value: Option<f64>| value.map_or_else(|| Sample::NoData("none".to_owned()), Sample::Value);
    let samples = values
        .iter()
        .map(|(version, value)| (("latency".to_owned(), (*version).to_owned()), sample(*value)));
    samples.collect()
}

/// An experiment, and a cluster that does what its status says.
struct Run {
    experiment: Experiment,
    status: ExperimentStatus,
    /// The weights as they stand in the cluster.
    weights: Vec<i32>,
    now: i64,
    events: Vec<String>,
    messages: Vec<String>,
}

impl Run {
    fn new(experiment: Experiment, weights: &[i32]) -> Self {
        Self {
            experiment,
            status: ExperimentStatus::default(),
            weights: weights.to_vec(),
            now: 0,
            events: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn found(&self) -> Option<Vec<WeightValue>> {
        let named = self.experiment.versions.iter().zip(&self.weights);
        let named = named.map(|(version, value)| WeightValue {
            name: version.name.clone(),
            value: *value,
        });
        self.experiment.moves_weights().then(|| named.collect())
    }

    fn take(&mut self, report: Report) {
        self.events
            .extend(report.events.iter().map(|event| event.reason.clone()));
        if self.messages.last() != Some(&report.status.message) {
            self.messages.push(report.status.message.clone());
        }
        self.status = report.status;
    }

    /// Goes on until nothing is to be done before a time; whether an iteration was done.
    fn settle(&mut self, samples: &Samples, begins: &Result<(), Failure>) -> bool {
        let mut iterated = false;
        let mut in_place = false;
        for _ in 0..20 {
            let now = time(self.now);
            let experiment = self.experiment.clone();
            match next(&experiment, &self.status, None, in_place, now) {
                Next::Nothing(_) => return iterated,
                Next::Report(report) => self.take(*report),
                Next::Begin => match begins {
                    Ok(()) => self.take(report::begun(&experiment, &self.status, self.found(), now)),
                    Err(failure) => {
                        self.take(report::hindered(&experiment, &self.status, failure, now));
                        return false;
                    }
                },
                Next::Redistribute => {
                    let found = self.found().unwrap();
                    match compare(&experiment, &self.status, &found) {
                        Found::Edited => self.take(report::edited(&experiment, &self.status, found, now)),
                        Found::Decided | Found::Before => {
                            let decided = &self.status.current_weight_distribution;
                            self.weights = decided.iter().map(|weight| weight.value).collect();
                            in_place = true;
                            if self.status.stage == Some(Stage::Finishing) {
                                self.take(report::finished(&experiment, &self.status, now));
                            }
                        }
                    }
                }
                Next::Iterate => {
                    let metrics = [Measured {
                        name: "latency".to_owned(),
                        units: String::new(),
                    }];
                    let report = report::iterated(&experiment, &self.status, self.found(), (&metrics, samples), now);
                    self.take(report);
                    in_place = false;
                    iterated = true;
                }
            }
        }
        panic!("it never comes to rest: {:?}", self.status);
    }

    /// The next iteration, with these values.
    fn iterate(&mut self, samples: &Samples) {
        if self.status.stage.is_none() {
            self.settle(samples, &Ok(()));
        }
        self.now += i64::from(self.experiment.interval);
        self.settle(samples, &Ok(()));
    }

    fn ready(&self) -> (String, String) {
        let ready = conditions::find(&self.status.conditions, conditions::READY).unwrap();
        (ready.reason.clone(), ready.message.clone())
    }

    fn holds(&self, type_: &str) -> bool {
        conditions::find(&self.status.conditions, type_).unwrap().status == Tristate::True
    }
}

#[test]
fn an_experiment_goes_through_its_stages_with_the_messages_that_users_know() {
    let mut run = Run::new(experiment("Conformance", 0, &json!({})), &[]);
    for _ in 0..4 {
        run.iterate(&latencies(&[("a", Some(20.0))]));
    }
    assert_eq!(
        run.messages,
        [
            "ExperimentInitialized: Experiment status initialized",
            "StageAdvanced: Advanced to Initializing",
            "StageAdvanced: Advanced to Running",
            "IterationUpdate: Completed Iteration 1",
            "IterationUpdate: Completed Iteration 2",
            "IterationUpdate: Completed Iteration 3",
            "ExperimentCompleted: Experiment completed successfully",
        ]
    );
    assert_eq!(
        run.events,
        [
            "ExperimentInitialized",
            "TargetAcquired",
            "StageAdvanced",
            "StageAdvanced",
            "ExperimentCompleted"
        ]
    );
    assert_eq!(run.status.completed_iterations, 4);
    assert_eq!(run.status.verdict, Verdict::Successful);
    assert_eq!(
        (run.status.start_time, run.status.end_time),
        (Some(time(0)), Some(time(40)))
    );
    assert_eq!(
        run.ready(),
        ("Successful".to_owned(), "version a meets all objectives".to_owned())
    );
    let conditions = [report::COMPLETED, report::TARGET_ACQUIRED, report::FAILED].map(|type_| run.holds(type_));
    assert_eq!(conditions, [true, true, false]);
    let winner = run.status.analysis.unwrap().winner_assessment.data;
    assert!(!winner.winner_found, "Conformance finds no winner");
    assert_eq!(run.status.recommended_baseline, "a");
}

/// Words as values: `good` and `bad` latencies, rewards, and `-` for none.
fn values(words: &str) -> Vec<Sample> {
    let value = |word: &str| match word {
        "good" => Sample::Value(20.0),
        "bad" => Sample::Value(60.0),
        "-" => Sample::NoData("none".to_owned()),
        number => Sample::Value(number.parse().unwrap()),
    };
    words.split_whitespace().map(value).collect()
}

#[test]
fn the_end_of_each_pattern_depends_on_its_versions() {
    use Verdict::{Failed, Inconclusive, Successful};
    for (pattern, latencies, rewards, verdict, winner) in [
        ("Conformance", "good", "", Successful, None),
        ("Conformance", "bad", "", Failed, None),
        ("Conformance", "-", "", Inconclusive, None),
        ("Canary", "good good", "", Successful, Some("b")),
        ("Canary", "bad good", "", Successful, Some("b")),
        ("Canary", "- good", "", Successful, Some("b")),
        ("Canary", "good bad", "", Failed, Some("a")),
        ("Canary", "bad bad", "", Failed, None),
        ("Canary", "good -", "", Inconclusive, None),
        ("A/B", "good good", "1 2", Successful, Some("b")),
        ("A/B", "good good", "2 1", Successful, Some("a")),
        ("A/B", "good good", "2 2", Inconclusive, None),
        ("A/B", "good good", "2 -", Inconclusive, None),
        ("A/B", "good bad", "1 2", Successful, Some("a")),
        ("A/B", "bad bad", "1 2", Failed, None),
        ("A/B/N", "good good good", "1 2 3", Successful, Some("c")),
        ("A/B/N", "good good -", "1 2 3", Inconclusive, None),
    ] {
        let latencies = values(latencies);
        let candidates = latencies.len() - 1;
        let more = json!({ "duration": { "iterationsPerLoop": 1 } });
        let mut run = Run::new(experiment(pattern, candidates, &more), &[60, 20, 20][..=candidates]);
        let of = |metric: &str, all: Vec<Sample>| {
            let versions = ["a", "b", "c"].into_iter().zip(all);
            versions
                .map(|(version, value)| ((metric.to_owned(), version.to_owned()), value))
                .collect::<Samples>()
        };
        let mut samples = of("latency", latencies);
        samples.extend(of("gain", values(rewards)));
        run.iterate(&samples);
        let found = run.status.analysis.clone().unwrap().winner_assessment.data.winner;
        let end = (run.status.verdict, found.as_deref());
        assert_eq!(end, (verdict, winner), "{pattern} {samples:?}");
        assert_eq!(run.status.stage, Some(Stage::Completed));
        assert!(!run.holds(report::FAILED), "{pattern}: it was carried out");
    }
}

#[test]
fn limits_are_inclusive() {
    let more = json!({ "criteria": { "objectives": [{ "metric": "latency", "upperLimit": "50m", "lowerLimit": 0.01 }] },
        "duration": { "iterationsPerLoop": 1 } });
    for (value, verdict) in [
        (0.05, Verdict::Successful),
        (0.0501, Verdict::Failed),
        (0.01, Verdict::Successful),
        (0.009, Verdict::Failed),
    ] {
        let mut run = Run::new(experiment("Conformance", 0, &more), &[]);
        run.iterate(&latencies(&[("a", Some(value))]));
        assert_eq!(run.status.verdict, verdict, "{value}");
    }
}

#[test]
fn without_data_it_ends_after_so_many_iterations_in_a_row_and_missing_data_in_between_is_forgotten() {
    let more = json!({ "duration": { "iterationsPerLoop": 20 } });
    let mut run = Run::new(experiment("Conformance", 0, &more), &[]);
    for value in [None, None, Some(1.0), None, None, None] {
        assert_ne!(run.status.stage, Some(Stage::Completed));
        run.iterate(&latencies(&[("a", value)]));
    }
    assert_eq!(run.status.stage, Some(Stage::Completed));
    assert_eq!(run.status.verdict, Verdict::Inconclusive);
    let (reason, message) = run.ready();
    assert_eq!(reason, "Inconclusive");
    assert_eq!(
        message,
        "3 iterations in a row without data: latency of version a: none"
    );
}

#[test]
fn values_that_cannot_be_read_end_it_as_an_error() {
    let mut run = Run::new(experiment("Conformance", 0, &json!({})), &[]);
    let samples: Samples = [(
        ("latency".to_owned(), "a".to_owned()),
        Sample::Error("connection refused".to_owned()),
    )]
    .into();
    for _ in 0..3 {
        run.iterate(&samples);
    }
    assert_eq!(run.status.verdict, Verdict::Error);
    assert!(run.holds(report::FAILED));
    assert!(run.ready().1.contains("connection refused"), "{:?}", run.ready());
}

#[test]
fn an_experiment_that_waits_says_for_whom_and_one_that_cannot_begin_why() {
    let experiment = experiment("Conformance", 0, &json!({}));
    let status = report::initialized(&experiment, time(0)).status;
    let Next::Report(report) = next(&experiment, &status, Some("other"), false, time(1)) else {
        panic!("it is told");
    };
    let ready = conditions::find(&report.status.conditions, conditions::READY).unwrap();
    assert_eq!(ready.reason, "TargetBusy");
    assert!(ready.message.contains("Experiment other"), "{}", ready.message);
    assert_eq!(
        report.status.message,
        "ExperimentInitialized: Experiment status initialized"
    );
    let again = next(&experiment, &report.status, Some("other"), false, time(2));
    assert_eq!(again, Next::Nothing(None), "it is told once");

    let mut run = Run::new(experiment, &[]);
    let failure = Failure::passing("MetricUnavailable", "Unable to find metric shop/latency");
    run.settle(&Samples::new(), &Err(failure));
    assert_eq!(run.status.stage, Some(Stage::Initializing));
    assert_eq!(
        run.status.message,
        "MetricUnavailable: Unable to find metric shop/latency"
    );
    run.settle(&Samples::new(), &Ok(()));
    assert_eq!(run.status.stage, Some(Stage::Running));
}

#[test]
fn a_suspended_experiment_stands_still_and_goes_on_where_it_was() {
    let mut run = Run::new(experiment("Conformance", 0, &json!({})), &[]);
    let good = latencies(&[("a", Some(1.0))]);
    run.iterate(&good);
    run.experiment.suspend = true;
    run.iterate(&good);
    assert_eq!(run.status.completed_iterations, 1);
    assert_eq!(run.ready().0, "Suspended");
    run.experiment.suspend = false;
    run.iterate(&good);
    assert_eq!(run.status.completed_iterations, 2);
    assert_eq!(run.ready().0, "Running");
}

#[test]
fn what_was_in_the_way_is_not_told_of_any_more_when_it_is_gone() {
    let mut run = Run::new(experiment("Conformance", 0, &json!({})), &[]);
    let good = latencies(&[("a", Some(1.0))]);
    run.iterate(&good);
    let failure = Failure::passing("WeightRedistributionFailed", "ConfigMap web does not exist");
    run.take(report::hindered(&run.experiment, &run.status, &failure, time(run.now)));
    assert_eq!(run.ready().0, "WeightRedistributionFailed");
    run.settle(&good, &Ok(()));
    assert_eq!(run.ready().0, "Running");
    assert_eq!(run.status.message, "IterationUpdate: Completed Iteration 1");
    assert_eq!(run.status.completed_iterations, 1);
}

#[test]
fn what_others_say_in_other_words_each_time_is_told_once() {
    for (reason, once) in [("Transient", true), ("Timeout", true), ("KindNotFound", false)] {
        let mut run = Run::new(experiment("Conformance", 0, &json!({})), &[]);
        let told = ["Service web: port 41234", "Service web: port 41235"].map(|words| {
            let failure = Failure::passing(reason, words);
            run.take(report::hindered(&run.experiment, &run.status, &failure, time(run.now)));
            run.status.clone()
        });
        assert_eq!(told[0] == told[1], once, "{reason}");
    }
}

#[test]
fn weights_that_somebody_changed_are_not_put_back_and_the_end_says_why_it_ended() {
    let objective = json!({ "metric": "latency", "upperLimit": 50, "rollback_on_failure": true });
    let mut run = Run::new(
        experiment("Canary", 1, &json!({ "criteria": { "objectives": [objective] } })),
        &[100, 0],
    );
    run.iterate(&latencies(&[("a", Some(1.0)), ("b", Some(1.0))]));
    let bad = latencies(&[("a", Some(1.0)), ("b", Some(99.0))]);
    let now = time(run.now + 10);
    run.take(report::iterated(
        &run.experiment,
        &run.status,
        run.found(),
        (&[], &bad),
        now,
    ));
    assert_eq!(run.status.stage, Some(Stage::Finishing));
    let failure = Failure::passing("WeightRedistributionFailed", "no answer");
    run.take(report::hindered(&run.experiment, &run.status, &failure, now));
    run.weights = vec![50, 50];
    let found = run.found().unwrap();
    run.take(report::edited(&run.experiment, &run.status, found, now));
    assert_eq!(
        (run.status.stage, run.status.rolled_back),
        (Some(Stage::Completed), false)
    );
    let (reason, message) = run.ready();
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("Failed", "latency of version b is 99, above 50")
    );
}

#[test]
fn an_iteration_is_due_one_interval_after_the_last_one_and_never_before() {
    let mut run = Run::new(experiment("Conformance", 0, &json!({})), &[]);
    let good = latencies(&[("a", Some(1.0))]);
    run.settle(&good, &Ok(()));
    run.now = 9;
    assert!(!run.settle(&good, &Ok(())));
    assert_eq!(
        next(&run.experiment, &run.status, None, true, time(9)),
        Next::Nothing(Some(Duration::seconds(1)))
    );
    run.now = 25; // the operator was away
    assert!(run.settle(&good, &Ok(())));
    run.now = 34;
    assert!(
        !run.settle(&good, &Ok(())),
        "what was missed is not made up for at once"
    );
    assert_eq!(elapsed(&run.status, time(25)), 25);
}

fn ksvc() -> Value {
    json!({
        "metadata": { "generation": 2 },
        "status": {
            "observedGeneration": 2,
            "conditions": [
                { "type": "ConfigurationsReady", "status": "True" },
                { "type": "Ready", "status": "True" },
                { "type": "RoutesReady", "status": "True" },
            ],
            "traffic": [{ "revisionName": "sample-app-v1", "percent": 100 }, { "revisionName": "sample-app-v2" }],
        },
    })
}

#[test]
fn a_knative_service_is_waited_for_until_it_is_ready_and_has_every_revision() {
    let awaited = crate::model::experiment::Awaited {
        service: "sample-app".to_owned(),
        revisions: vec!["sample-app-v2".to_owned()],
    };
    let obstacle = |service: Option<&Value>| target::obstacle(&awaited, service);
    assert_eq!(obstacle(Some(&ksvc())), None);
    let changed = |pointer: &str, value: Value| {
        let mut service = ksvc();
        *service.pointer_mut(pointer).unwrap() = value;
        obstacle(Some(&service)).unwrap_or_default()
    };
    for (sentence, words) in [
        (obstacle(None).unwrap(), "does not exist"),
        (
            changed("/status/observedGeneration", json!(1)),
            "was not seen by Knative yet",
        ),
        (changed("/status/conditions/1/status", json!("Unknown")), "is not Ready"),
        (changed("/status/conditions", json!([])), "is not Ready"),
        (
            changed("/status/traffic/1/revisionName", json!("x")),
            "no entry for revision sample-app-v2",
        ),
        (changed("/status", json!({})), "was not seen by Knative yet"),
    ] {
        assert!(sentence.contains(words), "{sentence}");
    }
}
