//! `Experiment`: observe ▸ validate ▸ decide ▸ measure ▸ report ▸ move weights.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde_json::Value;

use super::measuring::Laboratory;
use super::owner::Owner;
use super::release::{invalid, rejection};
use super::targets::Standing;
use super::writes::{is_outdated, transient};
use super::{Context, Key, Outcome, timer};
use crate::api::ExperimentStatus;
use crate::api::experiment::{ExperimentSpec, Stage, WeightValue};
use crate::cluster::{Error, Fields, KindState, Resource};
use crate::model::experiment::Experiment;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object, Uid};
use crate::model::{reason, validate};
use crate::plan::Failure;
use crate::plan::experiment::{self as planner, Found, Next, Report, places, report, target};

const EXPERIMENT: KindRef = KindRef::Known(Kind::Experiment);

/// What experiments are carried out with.
pub struct Experiments {
    /// Reads and patches what is not watched.
    pub fields: Fields,
    /// Measures.
    pub laboratory: Laboratory,
    /// The kinds of objects whose weights experiments may move.
    pub weight_targets: Vec<WeightTarget>,
    /// The weights that are known to be in place, as they were decided for the experiment of that uid.
    in_place: Mutex<HashMap<Key, (Uid, Vec<WeightValue>)>>,
}

/// A kind of objects whose weights experiments may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightTarget {
    /// API group; the core group is empty.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Plural, as in URLs.
    pub plural: String,
}

impl Experiments {
    /// With nothing known yet.
    pub fn new(fields: Fields, laboratory: Laboratory, weight_targets: Vec<WeightTarget>) -> Self {
        Self {
            fields,
            laboratory,
            weight_targets,
            in_place: Mutex::default(),
        }
    }

    fn in_place(&self) -> MutexGuard<'_, HashMap<Key, (Uid, Vec<WeightValue>)>> {
        self.in_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the objects of a weight's kind are served.
    fn resource(&self, (api_version, kind, _): &places::Key) -> Result<Resource, Failure> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let found = self
            .weight_targets
            .iter()
            .find(|target| target.group == group && target.kind == *kind);
        let Some(found) = found else {
            let allowed: Vec<String> = self.weight_targets.iter().map(WeightTarget::words).collect();
            let message = format!(
                "experiments may not move weights of {kind} of {api_version}, but of {}: see experiments.weightTargets of the operator's chart",
                allowed.join(", ")
            );
            return Err(Failure::stalled(reason::WEIGHT_REDISTRIBUTION_FAILED, message));
        };
        Ok(Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: found.plural.clone(),
        })
    }
}

impl WeightTarget {
    fn words(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.plural, self.group)
    }
}

impl std::str::FromStr for WeightTarget {
    type Err = String;

    /// From `<plural>[.<group>]:<kind>`, as in `services.serving.knative.dev:Service`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not <plural>[.<group>]:<kind>, as in services.serving.knative.dev:Service");
        let (resource, kind) = text.trim().split_once(':').ok_or_else(wrong)?;
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        if plural.is_empty() || kind.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        })
    }
}

/// Brings one experiment a step further.
pub async fn reconcile(context: Arc<Context>, key: Key) -> Outcome {
    if !context.store.all_known() {
        return Outcome::Done(None);
    }
    let object = context.store.get(&EXPERIMENT, &key.0, &key.1);
    let Some(object) = object.filter(|object| !object.meta.deleting) else {
        context.rejections.forget(&key);
        context.experiments.in_place().remove(&key);
        context.leave_target(&key);
        return Outcome::Done(None);
    };
    if !context.leads() {
        return Outcome::Done(None);
    }
    let subject = Subject {
        context: &context,
        key: &key,
        object: &object,
        owner: Owner::experiment(&context, &key, &object),
    };
    if subject.has_ended() {
        context.know_targets();
        context.leave_target(&key);
        return Outcome::Done(None);
    }
    let status = subject.status();
    let experiment = match subject.validated() {
        Ok(experiment) => experiment,
        Err(failure) => {
            let generation = object.meta.generation;
            let before = status.clone().unwrap_or_default();
            if !planner::has_target(&before) {
                // Those behind it would wait for what never begins.
                context.know_targets();
                context.leave_target(&key);
            }
            let report = report::invalid(generation, &before, &failure, subject.now());
            return subject.tell(status.as_ref(), report).await;
        }
    };
    if let Some(failure) = context.unusable(&[Kind::Experiment, Kind::Metric]) {
        let report = report::hindered(
            &experiment,
            &status.clone().unwrap_or_default(),
            &failure,
            subject.now(),
        );
        return subject.tell(status.as_ref(), report).await;
    }
    subject.step(&experiment, status).await
}

/// The experiment at hand.
struct Subject<'a> {
    context: &'a Context,
    key: &'a Key,
    object: &'a Object<Body>,
    owner: Owner<'a>,
}

impl Subject<'_> {
    fn now(&self) -> DateTime<Utc> {
        (self.context.clock)()
    }

    /// The status as it is stored.
    fn status(&self) -> Option<ExperimentStatus> {
        match &self.object.body {
            Body::Experiment(raw) => raw.status(),
            _ => None,
        }
    }

    /// Whether it has ended: then nothing is written any more. Also by a status that is otherwise not to be read.
    fn has_ended(&self) -> bool {
        let Body::Experiment(raw) = &self.object.body else {
            return false;
        };
        let status: Value = raw.status().unwrap_or_default();
        status.get("stage").and_then(Value::as_str) == Some(Stage::Completed.as_str())
    }

    /// Pure: the experiment, if every rule holds.
    fn validated(&self) -> Result<Experiment, Failure> {
        let raw = match &self.object.body {
            Body::Experiment(raw) => raw,
            Body::Malformed(why) => return Err(invalid(why)),
            _ => return Err(invalid("it is no Experiment")),
        };
        let spec: ExperimentSpec = raw.spec().map_err(|error| invalid(&error.to_string()))?;
        validate::experiment(&self.owner.info(), &spec).map_err(|errors| rejection(&errors))
    }

    /// Does what is to be done next.
    async fn step(&self, experiment: &Experiment, stored: Option<ExperimentStatus>) -> Outcome {
        let status = stored.clone().unwrap_or_default();
        let holder = self.holder(experiment, &status);
        let decided = &status.current_weight_distribution;
        let in_place = {
            let all = self.context.experiments.in_place();
            let known = all.get(self.key);
            known.is_some_and(|(uid, weights)| *uid == self.object.meta.uid && weights == decided)
        };
        let next = planner::next(experiment, &status, holder.as_deref(), in_place, self.now()); // pure
        let report = match next {
            Next::Nothing(again) => return Outcome::Done(again.map(timer)),
            Next::Report(report) => Ok(*report),
            Next::Begin => self.begin(experiment, &status).await, // I/O
            Next::Iterate => self.iterate(experiment, &status).await, // I/O
            Next::Redistribute => match self.redistribute(experiment, &status).await {
                Ok(Some(report)) => Ok(report),
                Ok(None) => match planner::next(experiment, &status, None, true, self.now()) {
                    Next::Report(report) => Ok(*report),
                    Next::Nothing(again) => return Outcome::Done(again.map(timer)),
                    Next::Begin | Next::Redistribute | Next::Iterate => return Outcome::Done(Some(Duration::ZERO)),
                },
                Err(failure) => Err(failure),
            },
        };
        let report = match report {
            Ok(report) => report,
            Err(failure) if is_outdated(&failure) => return Outcome::Retry(failure),
            Err(failure) => report::hindered(experiment, &status, &failure, self.now()),
        };
        self.tell(stored.as_ref(), report).await
    }

    /// Writes the status, and says when to look again.
    async fn tell(&self, before: Option<&ExperimentStatus>, report: Report) -> Outcome {
        let told = self.owner.tell(before, Some(&report.status), &report.events).await;
        match told {
            Ok(()) => {
                if report.status.stage == Some(Stage::Completed) {
                    self.context.experiments.in_place().remove(self.key);
                    self.context.leave_target(self.key);
                }
                Outcome::Done(report.requeue.map(timer))
            }
            Err(failure) => Outcome::Retry(failure),
        }
    }

    /// Who has the target, if it is another experiment.
    fn holder(&self, experiment: &Experiment, status: &ExperimentStatus) -> Option<Arc<str>> {
        self.context.know_targets();
        let waits = status.stage.unwrap_or_default() == Stage::Waiting;
        if waits && experiment.suspend {
            self.context.leave_target(self.key);
            return None;
        }
        let (before, moved) = self.context.wakeups.targets.claim(&Standing {
            key: self.key.clone(),
            target: experiment.target.as_str().into(),
            created: self.object.meta.created,
            acquired: planner::has_target(status),
        });
        if let Some(next) = moved {
            self.context.wakeups.experiment(next, Duration::ZERO);
        }
        before
    }

    /// Looks whether it can begin, and begins.
    async fn begin(&self, experiment: &Experiment, status: &ExperimentStatus) -> Result<Report, Failure> {
        let laboratory = &self.context.experiments.laboratory;
        laboratory.metrics(self.context, experiment)?;
        if let Some(awaited) = &experiment.awaited {
            let service = self.get(&knative_service(), &awaited.service).await?;
            if let Some(obstacle) = target::obstacle(awaited, service.as_ref()) {
                return Err(Failure::passing(reason::TARGET_NOT_READY, obstacle));
            }
        }
        let found = self.weights(experiment).await?.map(|(_, found)| found);
        Ok(report::begun(experiment, status, found, self.now()))
    }

    /// Measures once.
    async fn iterate(&self, experiment: &Experiment, status: &ExperimentStatus) -> Result<Report, Failure> {
        let found = self.weights(experiment).await?.map(|(_, found)| found);
        if let Some(found) = found.as_ref().filter(|_| experiment.moves_weights())
            && planner::compare(experiment, status, found) != Found::Decided
        {
            return Ok(report::edited(experiment, status, found.clone(), self.now()));
        }
        let asked = self.now();
        let laboratory = &self.context.experiments.laboratory;
        let elapsed = planner::elapsed(status, asked);
        let (metrics, samples) = laboratory.measure(self.context, experiment, elapsed).await;
        Ok(report::iterated(
            experiment,
            status,
            found,
            (&metrics, &samples),
            self.now(),
        ))
    }

    /// Brings the weights to what was decided. `None`: they are there, and there is nothing to tell.
    async fn redistribute(
        &self,
        experiment: &Experiment,
        status: &ExperimentStatus,
    ) -> Result<Option<Report>, Failure> {
        let experiments = &self.context.experiments;
        if let Some((objects, found)) = self.weights(experiment).await? {
            match planner::compare(experiment, status, &found) {
                Found::Decided => {}
                Found::Before => {
                    let decided = &status.current_weight_distribution;
                    for (key, patch) in places::patches(experiment, &objects, decided) {
                        let resource = experiments.resource(&key)?;
                        let sent = experiments.fields.patch(&resource, &self.key.0, &key.2, &patch).await;
                        sent.map_err(|error| Self::unmoved(&key, &error))?;
                    }
                    let (namespace, name) = (&*self.key.0, &*self.key.1);
                    tracing::info!(
                        namespace,
                        kind = %Kind::Experiment,
                        name,
                        "weights: {}",
                        report::words(decided)
                    );
                }
                Found::Edited => return Ok(Some(report::edited(experiment, status, found, self.now()))),
            }
        }
        let decided = status.current_weight_distribution.clone();
        let decided = (self.object.meta.uid, decided);
        experiments.in_place().insert(self.key.clone(), decided);
        let finishing = status.stage == Some(Stage::Finishing);
        Ok(finishing.then(|| report::finished(experiment, status, self.now())))
    }

    fn unmoved((_, kind, name): &places::Key, error: &Error) -> Failure {
        let what = format!("{kind} {name}");
        match error {
            Error::Conflict(_) | Error::NotLeader | Error::Transient { .. } | Error::Timeout(_) => {
                transient(error, &what)
            }
            _ => Failure::passing(reason::WEIGHT_REDISTRIBUTION_FAILED, format!("{what}: {error}")),
        }
    }

    /// The objects that weights stand in, and the weights; `None`: they stand nowhere.
    async fn weights(
        &self,
        experiment: &Experiment,
    ) -> Result<Option<(BTreeMap<places::Key, Value>, Vec<WeightValue>)>, Failure> {
        let keys = places::keys(experiment);
        if keys.is_empty() {
            return Ok(None);
        }
        let read = keys.into_iter().map(|key| async {
            let resource = self.context.experiments.resource(&key)?;
            let object = self.get(&resource, &key.2).await?;
            Ok::<_, Failure>(object.map(|object| (key, object)))
        });
        let mut objects = BTreeMap::new();
        for read in join_all(read).await {
            objects.extend(read?);
        }
        let found = places::read(experiment, &objects);
        let found = found.map_err(|why| Failure::passing(reason::WEIGHT_REDISTRIBUTION_FAILED, why))?;
        Ok(Some((objects, found)))
    }

    /// An object in the experiment's namespace.
    async fn get(&self, resource: &Resource, name: &str) -> Result<Option<Value>, Failure> {
        let fields = &self.context.experiments.fields;
        let got = fields.get(resource, &self.key.0, name).await;
        got.map_err(|error| transient(&error, &format!("{} {name}", resource.name())))
    }
}

fn knative_service() -> Resource {
    Resource {
        group: "serving.knative.dev".to_owned(),
        version: "v1".to_owned(),
        plural: "services".to_owned(),
    }
}

impl Context {
    /// Takes an experiment out of its line, and wakes whose turn it is then.
    fn leave_target(&self, key: &Key) {
        if let Some(next) = self.wakeups.targets.leave(key) {
            self.wakeups.experiment(next, Duration::ZERO);
        }
    }

    /// Puts all experiments in line, unless that was done.
    fn know_targets(&self) {
        if self.wakeups.targets.is_unknown() {
            let listed = self.store.synced(&EXPERIMENT) == KindState::Synced;
            self.wakeups.targets.know(listed, || self.standings());
        }
    }

    /// Every experiment that has not ended.
    fn standings(&self) -> Vec<Standing> {
        let keys = self.store.names(&EXPERIMENT).into_iter();
        keys.filter_map(|key| {
            let object = self.store.get(&EXPERIMENT, &key.0, &key.1)?;
            let Body::Experiment(raw) = &object.body else {
                return None;
            };
            let spec: ExperimentSpec = raw.spec().ok()?;
            let status: ExperimentStatus = raw.status().unwrap_or_default();
            let acquired = planner::has_target(&status);
            let ended = status.stage == Some(Stage::Completed) || (spec.suspend && !acquired);
            (!ended && !object.meta.deleting).then(|| Standing {
                key,
                target: spec.target.into(),
                created: object.meta.created,
                acquired,
            })
        })
        .collect()
    }
}
