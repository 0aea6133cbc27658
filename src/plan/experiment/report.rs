//! What status says of each step of an experiment. Messages are those that users of Iter8's v2alpha1 know.

use chrono::{DateTime, Duration, Utc};

use super::verdicts::{self, Assessment, Samples};
use super::weights;
use crate::api::ExperimentStatus;
use crate::api::experiment::{
    AggregatedMetric, Analysis, Stage, Verdict, VersionMetric, WeightValue, Winner, WinnerAssessment,
};
use crate::api::status::Tristate;
use crate::model::experiment::Experiment;
use crate::model::query::Sample;
use crate::model::reason;
use crate::plan::conditions::{self, seconds};
use crate::plan::{Event, Failure};

/// Condition: it has ended.
pub const COMPLETED: &str = "Completed";
/// Condition: it could not be carried out.
pub const FAILED: &str = reason::FAILED;
/// Condition: its target is its own.
pub const TARGET_ACQUIRED: &str = reason::TARGET_ACQUIRED;

/// Seconds after which it is looked again whether an experiment can begin: nobody tells of its target.
const LOOK_AGAIN_AFTER: i64 = 5;

/// A status, the events of what changed, and when to look again.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The status.
    pub status: ExperimentStatus,
    /// What has happened.
    pub events: Vec<Event>,
    /// When time alone changes something.
    pub requeue: Option<Duration>,
}

/// A metric as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// In what it is measured.
    pub units: String,
}

/// A status that is being written.
struct Draft<'a> {
    experiment: &'a Experiment,
    status: ExperimentStatus,
    before: &'a ExperimentStatus,
    events: Vec<Event>,
    now: DateTime<Utc>,
}

impl<'a> Draft<'a> {
    fn new(experiment: &'a Experiment, before: &'a ExperimentStatus, now: DateTime<Utc>) -> Self {
        let status = ExperimentStatus {
            observed_generation: experiment.generation,
            ..before.clone()
        };
        Self {
            experiment,
            status,
            before,
            events: Vec::new(),
            now,
        }
    }

    /// What is said last is what the column shows.
    fn say(&mut self, reason: &str, note: &str) {
        self.status.message = match note {
            "" => reason.to_owned(),
            _ => verdicts::shorten(&format!("{reason}: {note}")),
        };
    }

    /// Something has happened that is worth an Event: no iteration is, of which there may be thousands.
    fn happened(&mut self, reason: &str, note: &str) {
        self.say(reason, note);
        let note = if note.is_empty() { reason } else { note };
        self.events.push(Event::normal(reason, note));
    }

    /// It goes on to a stage.
    fn advance(&mut self, stage: Stage) {
        self.status.stage = Some(stage);
        self.happened(reason::STAGE_ADVANCED, &format!("Advanced to {}", stage.as_str()));
    }

    /// It has ended.
    fn complete(&mut self) {
        self.status.stage = Some(Stage::Completed);
        self.status.end_time = Some(seconds(self.now));
        let words = match self.status.verdict {
            _ if self.status.rolled_back => "Experiment rolled back",
            Verdict::Successful => "Experiment completed successfully",
            Verdict::Inconclusive => "Experiment completed without a verdict",
            Verdict::Failed | Verdict::Error | Verdict::Pending | Verdict::Running => "Experiment failed",
        };
        self.happened(reason::EXPERIMENT_COMPLETED, words);
    }

    /// With what `Ready` says.
    fn report(mut self, (status, reason, message): (Tristate, &str, String), requeue: Option<Duration>) -> Report {
        let verdict = |type_, holds: bool, reason: &str, message: &str| {
            let status = if holds { Tristate::True } else { Tristate::False };
            conditions::Verdict::new(type_, status, reason, message)
        };
        let stage = self.status.stage.unwrap_or_default();
        let completed = stage == Stage::Completed;
        let decided = conditions::find(&self.before.conditions, COMPLETED)
            .filter(|_| self.before.stage == Some(Stage::Finishing) && !completed)
            .map(|before| (before.reason.clone(), before.message.clone()));
        let (decided, why) = decided.unwrap_or_else(|| (reason.to_owned(), message.clone()));
        let acquired = stage > Stage::Waiting;
        let failed = reason == reason::INVALID_EXPERIMENT || (completed && self.status.verdict == Verdict::Error);
        let verdicts = vec![
            verdict(COMPLETED, completed, &decided, &why),
            verdict(FAILED, failed, reason, if failed { &message } else { "" }),
            verdict(
                TARGET_ACQUIRED,
                acquired,
                if acquired { reason::TARGET_ACQUIRED } else { reason },
                "",
            ),
            conditions::Verdict::new(conditions::READY, status, reason, message),
        ];
        self.status.conditions =
            conditions::stamp(verdicts, &self.before.conditions, self.experiment.generation, self.now);
        Report {
            status: self.status,
            events: self.events,
            requeue,
        }
    }
}

/// What `Ready` says of one that is on its way.
fn not_yet(reason: &str, message: impl Into<String>) -> (Tristate, &str, String) {
    (Tristate::False, reason, message.into())
}

/// The operator sees it for the first time.
pub fn initialized(experiment: &Experiment, now: DateTime<Utc>) -> Report {
    let before = ExperimentStatus::default();
    let mut draft = Draft::new(experiment, &before, now);
    draft.status.stage = Some(Stage::Waiting);
    draft.status.init_time = Some(seconds(now));
    draft.happened(reason::EXPERIMENT_INITIALIZED, "Experiment status initialized");
    let message = format!("it waits for its turn at target {}", experiment.target);
    draft.report(not_yet(reason::PENDING, message), None)
}

/// Another experiment is before it.
pub fn queued(experiment: &Experiment, before: &ExperimentStatus, holder: &str, now: DateTime<Utc>) -> Report {
    let message = format!(
        "target {} is not free: this one begins when Experiment {holder} has ended",
        experiment.target
    );
    Draft::new(experiment, before, now).report(not_yet(reason::TARGET_BUSY, message), None)
}

/// The target is its own.
pub fn acquired(experiment: &Experiment, before: &ExperimentStatus, now: DateTime<Utc>) -> Report {
    let mut draft = Draft::new(experiment, before, now);
    draft.happened(reason::TARGET_ACQUIRED, "");
    draft.advance(Stage::Initializing);
    let message = "it looks at its target, its metrics and the weights";
    draft.report(not_yet(reason::PENDING, message), None)
}

/// It is suspended.
pub fn suspended(experiment: &Experiment, before: &ExperimentStatus, now: DateTime<Utc>) -> Report {
    let message = "spec.suspend is true: nothing is measured and no weight is moved";
    Draft::new(experiment, before, now).report(not_yet(reason::SUSPENDED, message), None)
}

/// It goes on: it is not suspended any more, what was in its way is gone, or it was edited.
pub fn resumed(experiment: &Experiment, before: &ExperimentStatus, left: Duration, now: DateTime<Utc>) -> Report {
    let mut draft = Draft::new(experiment, before, now);
    let done = before.completed_iterations;
    if done > 0 {
        draft.say(reason::ITERATION_UPDATE, &format!("Completed Iteration {done}"));
    } else {
        draft.say(
            reason::STAGE_ADVANCED,
            &format!("Advanced to {}", Stage::Running.as_str()),
        );
    }
    draft.report(running(experiment, before), Some(left))
}

/// Something keeps it from beginning, or from going on.
pub fn hindered(experiment: &Experiment, before: &ExperimentStatus, why: &Failure, now: DateTime<Utc>) -> Report {
    let mut draft = Draft::new(experiment, before, now);
    let told = conditions::find(&before.conditions, conditions::READY).filter(|ready| ready.reason == why.reason);
    // The words of others may differ each time, and each status would be the next reason to try.
    let same = told.filter(|told| conditions::is_same_failure(told, &why.reason, &why.message));
    let same = same.or(told.filter(|_| why.reason == reason::WEIGHT_REDISTRIBUTION_FAILED));
    let message = same.map_or(&why.message, |told| &told.message);
    draft.say(&why.reason, message);
    if told.is_none() {
        draft.events.push(Event::warning(&why.reason, why.message.clone()));
    }
    let again = Some(Duration::seconds(LOOK_AGAIN_AFTER));
    draft.report(not_yet(&why.reason, message.clone()), again)
}

/// It breaks a rule: as good as failed, until it is edited.
pub fn invalid(generation: i64, before: &ExperimentStatus, why: &Failure, now: DateTime<Utc>) -> Report {
    let mut status = ExperimentStatus {
        observed_generation: generation,
        message: verdicts::shorten(&format!("{}: {}", reason::INVALID_EXPERIMENT, why.message)),
        ..before.clone()
    };
    let verdict =
        |type_, status| conditions::Verdict::new(type_, status, reason::INVALID_EXPERIMENT, why.message.clone());
    let acquired = conditions::find(&before.conditions, TARGET_ACQUIRED).map_or(Tristate::False, |one| one.status);
    let verdicts = vec![
        verdict(COMPLETED, Tristate::False),
        verdict(FAILED, Tristate::True),
        verdict(TARGET_ACQUIRED, acquired),
        verdict(conditions::READY, Tristate::False),
    ];
    let same = status.message == before.message;
    status.conditions = conditions::stamp(verdicts, &before.conditions, generation, now);
    let event = Event::warning(reason::INVALID_EXPERIMENT, why.message.clone());
    Report {
        status,
        events: if same { Vec::new() } else { vec![event] },
        requeue: None,
    }
}

/// It begins to measure, with these weights, if it moves any.
pub fn begun(
    experiment: &Experiment,
    before: &ExperimentStatus,
    found: Option<Vec<WeightValue>>,
    now: DateTime<Utc>,
) -> Report {
    let mut draft = Draft::new(experiment, before, now);
    let status = &mut draft.status;
    status.verdict = Verdict::Running;
    status.start_time = Some(seconds(now));
    status.recommended_baseline = experiment
        .versions
        .first()
        .map_or_else(String::new, |one| one.name.clone());
    if let Some(found) = found {
        status.current_weight_distribution = if experiment.moves_weights() {
            named(experiment, &weights::first(experiment, &values(&found)))
        } else {
            found.clone()
        };
        status.start_weights.clone_from(&found);
        status.found_weights = found;
    }
    draft.advance(Stage::Running);
    let ready = running(experiment, &draft.status);
    draft.report(ready, Some(Duration::seconds(experiment.interval.into())))
}

/// Somebody has changed weights: they are taken as they are.
pub fn edited(
    experiment: &Experiment,
    before: &ExperimentStatus,
    found: Vec<WeightValue>,
    now: DateTime<Utc>,
) -> Report {
    let mut draft = Draft::new(experiment, before, now);
    let note = format!("somebody has changed weights: {}", words(&found));
    draft.status.found_weights.clone_from(&found);
    draft.status.current_weight_distribution = found;
    draft.events.push(Event::warning(reason::WEIGHTS_EDITED, note));
    if draft.status.stage == Some(Stage::Finishing) {
        draft.status.rolled_back = false;
        return finish(draft);
    }
    let ready = running(experiment, &draft.status);
    draft.report(ready, None)
}

/// The weights are what was decided last.
pub fn finished(experiment: &Experiment, before: &ExperimentStatus, now: DateTime<Utc>) -> Report {
    finish(Draft::new(experiment, before, now))
}

fn finish(mut draft: Draft<'_>) -> Report {
    draft.complete();
    // What it said when the end was decided: `Ready` may have told of something else since.
    let message = conditions::find(&draft.before.conditions, COMPLETED).map(|completed| completed.message.clone());
    let ready = ended(draft.status.verdict, message.unwrap_or_default());
    draft.report(ready, None)
}

fn ended(verdict: Verdict, message: String) -> (Tristate, &'static str, String) {
    let status = if verdict == Verdict::Successful {
        Tristate::True
    } else {
        Tristate::False
    };
    (status, verdict_reason(verdict), message)
}

const fn verdict_reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pending => reason::PENDING,
        Verdict::Running => reason::RUNNING,
        Verdict::Successful => reason::SUCCESSFUL,
        Verdict::Failed => reason::FAILED,
        Verdict::Inconclusive => reason::INCONCLUSIVE,
        Verdict::Error => reason::ERROR,
    }
}

/// An iteration is done: these are the values, and the weights that were found.
pub fn iterated(
    experiment: &Experiment,
    before: &ExperimentStatus,
    found: Option<Vec<WeightValue>>,
    (metrics, samples): (&[Measured], &Samples),
    now: DateTime<Utc>,
) -> Report {
    let assessment = verdicts::assess(experiment, samples, now);
    let mut draft = Draft::new(experiment, before, now);
    let iteration = before.completed_iterations.saturating_add(1);
    let status = &mut draft.status;
    status.completed_iterations = iteration;
    status.last_update_time = Some(seconds(now));
    status.iterations_without_data = if assessment.lacks_data {
        before.iterations_without_data.saturating_add(1)
    } else {
        0
    };
    status.recommended_baseline = recommended(experiment, &assessment);
    let rolls_back = rolls_back(experiment, &assessment);
    if let Some(found) = found {
        status.current_weight_distribution = if !experiment.moves_weights() {
            found.clone()
        } else if rolls_back {
            before.start_weights.clone()
        } else {
            named(experiment, &weights::next(experiment, &values(&found), &assessment))
        };
        status.found_weights = found;
    }
    let analysis = analysis(experiment, &assessment, metrics, samples, &draft.status, now);
    draft.status.analysis = Some(analysis);
    draft.status.objectives.clone_from(&assessment.objectives);
    draft.say(reason::ITERATION_UPDATE, &format!("Completed Iteration {iteration}"));
    conclude(draft, &assessment, rolls_back)
}

/// Whether it goes on after an iteration.
fn conclude(mut draft: Draft<'_>, assessment: &Assessment, rolls_back: bool) -> Report {
    let experiment = draft.experiment;
    let iteration = draft.status.completed_iterations;
    let (verdict, message) = if rolls_back {
        (Verdict::Failed, verdicts::failures(assessment))
    } else if iteration >= experiment.iterations {
        verdicts::outcome(experiment, assessment)
    } else if draft.status.iterations_without_data >= experiment.max_without_data {
        let verdict = if assessment.has_error {
            Verdict::Error
        } else {
            Verdict::Inconclusive
        };
        let without = draft.status.iterations_without_data;
        (
            verdict,
            format!(
                "{without} iterations in a row without data: {}",
                verdicts::missing(assessment)
            ),
        )
    } else {
        let ready = running(experiment, &draft.status);
        return draft.report(ready, Some(Duration::seconds(experiment.interval.into())));
    };
    draft.status.verdict = verdict;
    if rolls_back {
        draft.status.rolled_back = experiment.moves_weights();
        draft.status.recommended_baseline = experiment
            .versions
            .first()
            .map_or_else(String::new, |one| one.name.clone());
        draft.events.push(Event::warning(
            reason::ROLLED_BACK,
            match words(&draft.status.current_weight_distribution) {
                weights if draft.status.rolled_back => format!("{message}; the weights are put back: {weights}"),
                _ => format!("{message}; there are no weights to put back"),
            },
        ));
    }
    if draft.status.current_weight_distribution == draft.status.found_weights {
        draft.complete();
    } else {
        draft.advance(Stage::Finishing);
    }
    draft.report(ended(verdict, message), None)
}

/// Whether any version fails an objective that is to end the experiment.
fn rolls_back(experiment: &Experiment, assessment: &Assessment) -> bool {
    use crate::api::experiment::ObjectiveVerdict::Fail;
    let count = experiment.objectives.len().max(1);
    let of_version = assessment.objectives.chunks(count);
    of_version
        .flat_map(|judged| judged.iter().zip(&experiment.objectives))
        .any(|(judged, objective)| objective.rollback && judged.verdict == Fail)
}

fn recommended(experiment: &Experiment, assessment: &Assessment) -> String {
    let version = experiment.versions.get(assessment.winner.unwrap_or(0));
    version.map_or_else(String::new, |version| version.name.clone())
}

/// What `Ready` says of one that measures.
fn running(experiment: &Experiment, status: &ExperimentStatus) -> (Tristate, &'static str, String) {
    let message = format!(
        "{} of {} iterations are done",
        status.completed_iterations, experiment.iterations
    );
    (Tristate::False, reason::RUNNING, message)
}

fn values(weights: &[WeightValue]) -> Vec<i32> {
    weights.iter().map(|weight| weight.value).collect()
}

fn named(experiment: &Experiment, weights: &[i32]) -> Vec<WeightValue> {
    let versions = experiment.versions.iter().zip(weights);
    let named = versions.map(|(version, value)| WeightValue {
        name: version.name.clone(),
        value: *value,
    });
    named.collect()
}

/// For people: `web-0 70, web-1 30`.
pub fn words(weights: &[WeightValue]) -> String {
    let words: Vec<String> = weights
        .iter()
        .map(|weight| format!("{} {}", weight.name, weight.value))
        .collect();
    words.join(", ")
}

/// The analysis in the form that scripts know.
fn analysis(
    experiment: &Experiment,
    assessment: &Assessment,
    metrics: &[Measured],
    samples: &Samples,
    status: &ExperimentStatus,
    now: DateTime<Utc>,
) -> Analysis {
    let mut analysis = Analysis::default();
    let aggregated = &mut analysis.aggregated_metrics;
    aggregated.timestamp = seconds(now);
    aggregated.order = metrics.iter().map(|metric| metric.name.clone()).collect();
    for metric in metrics {
        let of_version = |version: &str| match samples.get(&(metric.name.clone(), version.to_owned())) {
            Some(Sample::Value(value)) => VersionMetric {
                value: Some(verdicts::decimal(*value)),
                ..VersionMetric::default()
            },
            Some(Sample::NoData(why) | Sample::Error(why)) => VersionMetric {
                value: None,
                message: verdicts::shorten(why),
            },
            None => VersionMetric::default(),
        };
        let versions = experiment.versions.iter();
        let data = versions.map(|version| (version.name.clone(), of_version(&version.name)));
        let of_metric = AggregatedMetric {
            units: metric.units.clone(),
            data: data.collect(),
        };
        aggregated.data.insert(metric.name.clone(), of_metric);
    }
    for one in &assessment.objectives {
        let met = one.verdict == crate::api::experiment::ObjectiveVerdict::Pass;
        let data = &mut analysis.version_assessments.data;
        data.entry(one.version.clone()).or_default().push(met);
    }
    let winner = assessment.winner.and_then(|place| experiment.versions.get(place));
    analysis.winner_assessment = WinnerAssessment {
        data: Winner {
            winner_found: winner.is_some(),
            winner: winner.map(|version| version.name.clone()),
        },
    };
    analysis.weights.data.clone_from(&status.current_weight_distribution);
    analysis
}
