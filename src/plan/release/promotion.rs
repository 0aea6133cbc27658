//! Promotion: the primary gets what another version, the source, runs already.
//!
//! Done in one go this would lose requests twice: the source leaves before the route does, and the primary is rolled
//! while it serves. So: *Scale* (the source gets the primary's capacity), *Switch* (the source takes the primary's
//! requests), *Roll* (the primary rolls, serving nobody), *Return*. Every step follows from what is stored in the
//! cluster, so a crash at any point resumes; the status only adds since when.

use chrono::{DateTime, Duration, Utc};

use super::workloads::{Built, is_rolled_out, was_scaled};
use super::{Observed, PolicySeen, Scale};
use crate::api::release::{Promotion, PromotionStep, Strategy};
use crate::api::status::Tristate;
use crate::model::observed::{Deployment, Meta, ReplicasOwner};
use crate::model::release::{Release, Version};
use crate::plan::readiness;

/// What to do about a rollout that has failed.
const FAILED_ADVICE: &str = "mend the template or take it back";

/// Where a promotion stands, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The step.
    pub step: PromotionStep,
    /// The version that serves for the primary.
    pub source: String,
    /// Whether the source takes the primary's place in the route.
    pub stands_in: bool,
    /// Versions whose objects are held as they are.
    pub hold: Vec<String>,
    /// A number of replicas to set.
    pub scale: Option<Scale>,
    /// What is waited for, as a sentence.
    pub message: String,
    /// Whether the primary's rollout has failed.
    pub failed: bool,
    /// When time alone changes something.
    pub requeue: Option<Duration>,
}

/// Everything that the decision is made from.
struct Scene<'a> {
    release: &'a Release,
    observed: &'a Observed,
    policy: &'a PolicySeen,
    primary: &'a Version,
    desired: &'a Built,
    built: &'a [Built],
    now: DateTime<Utc>,
}

/// Decides the step; `None` when there is no promotion.
pub fn decide(release: &Release, observed: &Observed, built: &[Built], now: DateTime<Utc>) -> Option<Decision> {
    if !super::is_routed(release) {
        return None;
    }
    let (policy, primary, desired) = (observed.policy.as_ref()?, release.versions.first()?, built.first()?);
    let scene = Scene {
        release,
        observed,
        policy,
        primary,
        desired,
        built,
        now,
    };
    if let Some(source) = scene.stand_in() {
        return Some(scene.switched(source));
    }
    scene
        .renamed()
        .or_else(|| scene.returning())
        .or_else(|| scene.starting())
}

impl Scene<'_> {
    fn deployment(&self, name: &str) -> Option<(&Meta, &Deployment)> {
        self.observed.deployment(self.release, name)
    }

    fn is_in_spec(&self, name: &str) -> bool {
        self.release.versions.iter().any(|version| version.name == name)
    }

    fn before(&self) -> Option<&Promotion> {
        self.observed.status.as_ref()?.promotion.as_ref()
    }

    fn decision(&self, step: PromotionStep, source: &str, message: String) -> Decision {
        // Of all steps this one alone cannot be told from what is stored: it is in status before the primary changes.
        let unsaid = step == PromotionStep::InPlace
            && !self
                .before()
                .is_some_and(|before| before.step == step && before.source == source);
        let hold = match step {
            PromotionStep::Scale | PromotionStep::Switch => vec![self.primary.name.clone(), source.to_owned()],
            PromotionStep::InPlace if unsaid => vec![self.primary.name.clone(), source.to_owned()],
            PromotionStep::Roll | PromotionStep::Return | PromotionStep::InPlace => vec![source.to_owned()],
        };
        let stands_in = matches!(step, PromotionStep::Switch | PromotionStep::Roll);
        let source = source.to_owned();
        Decision {
            step,
            source,
            stands_in,
            hold,
            scale: None,
            message,
            failed: false,
            requeue: None,
        }
    }

    /// The version that stands in for the primary in the stored policy.
    fn stand_in(&self) -> Option<&str> {
        let mut entries = self.policy.spec.versions.iter();
        let entry = entries.find(|entry| entry.serves_for.as_deref() == Some(self.primary.name.as_str()))?;
        (entry.name != self.primary.name).then_some(entry.name.as_str())
    }

    /// The source stands in: the primary may roll as soon as nobody is sent there any more.
    fn switched(&self, source: &str) -> Decision {
        let primary = self.deployment(&self.primary.name);
        let name = &self.primary.name;
        let Some((meta, deployment)) = primary else {
            return self.decision(
                PromotionStep::Roll,
                source,
                format!("waiting for Deployment {name} to exist"),
            );
        };
        if *deployment.template != *self.desired.template {
            return self.switching(source, deployment);
        }
        if self.is_rolled_out(meta, deployment) && self.is_enough(deployment, source) {
            return self.decision(PromotionStep::Return, source, format!("{name} takes its requests back"));
        }
        let mut decision = self.decision(
            PromotionStep::Roll,
            source,
            format!(
                "waiting for Deployment {name} to roll out: of {} replicas {} have the new template and {} of all are available; \
                 {source} serves",
                deployment.replicas, deployment.updated, deployment.available
            ),
        );
        decision.scale = self.capacity(&self.primary.name, deployment, meta, source);
        if deployment.replicas == 0 && decision.scale.is_none() {
            decision.message = self.waits_for_replicas(source);
        }
        if has_failed(meta, deployment) {
            decision.failed = true;
            decision.message =
                format!("Deployment {name} exceeded its progress deadline; {source} goes on serving: {FAILED_ADVICE}");
        }
        decision
    }

    fn waits_for_replicas(&self, source: &str) -> String {
        let name = &self.primary.name;
        format!("Deployment {name} is scaled to zero; {source} serves until it has replicas")
    }

    fn switching(&self, source: &str, primary: &Deployment) -> Decision {
        let name = &self.primary.name;
        let ready = self.observed.readiness(source).ready;
        let idle = !self.observed.gets_requests(source) || self.observed.readiness(name).ready == Tristate::False;
        if ready == Tristate::False && idle {
            // An edit meanwhile may have left another who can.
            let other = self.source(primary).filter(|other| self.observed.is_ready(other));
            if let Some(mut decision) = other.and_then(|other| self.handing_over(other, primary)) {
                // It may yet become ready before the policy names the other, and serve as what it is.
                decision.hold.push(source.to_owned());
                return decision;
            }
            // There is no switch to wait for: it gets nobody's requests, or the primary has none that it could answer.
            let message = format!("{source} is not ready; {name} gets its new template as it is");
            return self.decision(PromotionStep::Roll, source, message);
        }
        // The stored route may follow the policy and still name the primary: from a time when the source was not ready.
        // What status says since when may be of that time, too. A source of which some pods are away comes when they are back.
        let routed = self.observed.is_routed(name);
        let coming = if routed {
            ready != Tristate::False
        } else {
            !self.policy.gives_nothing(name)
        };
        match self.policy.drained_at(self.release.drain_seconds).filter(|_| !coming) {
            Some(end) if end <= self.now => self.decision(
                PromotionStep::Roll,
                source,
                format!("{source} serves; {name} gets its new template"),
            ),
            Some(end) => {
                let mut decision = self.decision(
                    PromotionStep::Switch,
                    source,
                    format!(
                        "{source} serves; requests under way to {name} have {} s to end",
                        self.release.drain_seconds
                    ),
                );
                decision.requeue = Some(end - self.now);
                decision
            }
            None => {
                let message = if routed && ready == Tristate::Unknown {
                    format!("waiting for {source} to be ready; it gets the requests of {name} then")
                } else {
                    format!("waiting for the route to send the requests of {name} to {source}")
                };
                self.decision(PromotionStep::Switch, source, message)
            }
        }
    }

    /// The spec names another version first, which cannot serve yet, or not what the spec asks for: whoever answers now
    /// goes on doing so.
    fn renamed(&self) -> Option<Decision> {
        let first = self.policy.spec.versions.first()?;
        let changing = self
            .deployment(&self.primary.name)
            .filter(|(_, one)| *one.template != *self.desired.template && !self.is_to_have_none(one));
        let changes = changing.is_some();
        if first.name == self.primary.name || !changes && self.observed.is_ready(&self.primary.name) {
            return None;
        }
        let entries = &self.policy.spec.versions;
        let stand_in = entries
            .iter()
            .find(|entry| entry.serves_for.as_ref() == Some(&first.name));
        // What is to roll cannot serve for itself.
        let candidates = || {
            let all = stand_in.into_iter().chain([first]);
            all.filter(|entry| !changes || entry.name != self.primary.name)
        };
        let ready = candidates().find(|entry| self.observed.is_ready(&entry.name));
        // With nobody ready the route stays as it is, and so does who answers by it.
        let acting = ready.or_else(|| candidates().find(|entry| self.observed.is_routed(&entry.backend.name)))?;
        // Unknown is what it is while it scales up.
        let able = self.observed.readiness(&acting.name).ready != Tristate::False;
        if acting.name == self.primary.name || self.is_in_spec(&acting.name) && !(changes && able) {
            return None;
        }
        if let Some((_, primary)) = changing.filter(|_| able && acting.name == first.name && self.has_share()) {
            return self.handing_over(&acting.name, primary);
        }
        let message = format!("{} serves until {} is ready", acting.name, self.primary.name);
        let step = if changes {
            PromotionStep::Switch
        } else {
            PromotionStep::Roll
        };
        Some(self.decision(step, &acting.name, message))
    }

    /// The primary has its requests back: the source stays as it is until those under way to it have ended.
    fn returning(&self) -> Option<Decision> {
        // After crashes between the policy's write and the status's, status still says Roll, or Switch.
        let returns = |before: &&Promotion| {
            matches!(
                before.step,
                PromotionStep::Switch | PromotionStep::Roll | PromotionStep::Return
            )
        };
        let before = self.before().filter(returns)?;
        let (_, primary) = self.deployment(&self.primary.name)?;
        if *primary.template != *self.desired.template {
            return None;
        }
        let end = self.policy.drained_at(self.release.drain_seconds);
        if end.is_some_and(|end| end <= self.now) && self.observed.is_ready(&self.primary.name) {
            return None;
        }
        let message = if primary.replicas == 0 {
            self.waits_for_replicas(&before.source)
        } else {
            format!(
                "waiting for the route to send nobody to {} in place of the primary",
                before.source
            )
        };
        let mut decision = self.decision(PromotionStep::Return, &before.source, message);
        decision.requeue = end.map(|end| end - self.now).filter(|left| *left > Duration::zero());
        Some(decision)
    }

    /// The primary's template changes, or is rolling in place.
    fn starting(&self) -> Option<Decision> {
        let (meta, primary) = self.deployment(&self.primary.name)?;
        // A source that has become the primary has nobody to be held for.
        let in_place =
            |before: &&Promotion| before.step == PromotionStep::InPlace && before.source != self.primary.name;
        let before = self.before().filter(in_place);
        if let Some((_, source)) = before.and_then(|before| self.deployment(&before.source)) {
            return self.rolling_in_place(meta, primary, source);
        }
        if *primary.template == *self.desired.template || self.is_to_have_none(primary) {
            return None;
        }
        self.handing_over(self.source(primary)?, primary)
    }

    /// Whether nobody is to run the primary: there is nothing to roll.
    fn is_to_have_none(&self, primary: &Deployment) -> bool {
        let wanted = self.desired.replicas.filter(|wanted| !was_scaled(primary, *wanted));
        wanted.unwrap_or(primary.replicas) == 0
    }

    /// Whether the primary has a share that whoever stands in for it takes besides its own.
    fn has_share(&self) -> bool {
        self.release.strategy == Strategy::BlueGreen && self.observed.is_routed(&self.primary.name)
    }

    /// The source gets what it needs to stand in for the primary, and does.
    fn handing_over(&self, source: &str, primary: &Deployment) -> Option<Decision> {
        let (source_meta, deployment) = self.deployment(source)?;
        if let Some(why) = self.in_place(source, primary, deployment) {
            return Some(self.decision(PromotionStep::InPlace, source, self.in_place_message(Some(why))));
        }
        if self.is_able(source, primary, deployment) {
            let message = format!("{source} takes the requests of {}", self.primary.name);
            return Some(self.decision(PromotionStep::Switch, source, message));
        }
        let message = format!(
            "waiting for Deployment {source} to have {} available replicas, as many as the primary; it has {}",
            primary.replicas, deployment.available
        );
        let mut decision = self.decision(PromotionStep::Scale, source, message);
        decision.scale = scale_to(source, source_meta, deployment, primary.replicas);
        decision.requeue = Some(self.scale_deadline(source, deployment) - self.now);
        Some(decision)
    }

    /// The primary rolls in place, and goes on doing so: its old pods have begun to go.
    fn rolling_in_place(&self, meta: &Meta, primary: &Deployment, source: &Deployment) -> Option<Decision> {
        let name = &self.before()?.source;
        let is_new = *primary.template == *self.desired.template;
        if is_new && (self.is_rolled_out(meta, primary) || self.is_to_have_none(primary)) {
            return None;
        }
        let message = self.in_place_message(self.in_place(name, primary, source));
        let mut decision = self.decision(PromotionStep::InPlace, name, message);
        if is_new && has_failed(meta, primary) {
            decision.failed = true;
            decision.message = format!(
                "Deployment {} exceeded its progress deadline: {FAILED_ADVICE}",
                self.primary.name
            );
        }
        Some(decision)
    }

    fn in_place_message(&self, why: Option<String>) -> String {
        let reason = why.map(|why| format!(", as {why}")).unwrap_or_default();
        format!(
            "{} rolls out under its own share{reason}; its pods need a preStop hook",
            self.primary.name
        )
    }

    /// The version that runs already what the primary is to run, and that this edit removes or changes itself; of
    /// several the first that is ready.
    fn source(&self, primary: &Deployment) -> Option<&str> {
        let new_images = *primary.images != *self.desired.images;
        let entries = self
            .policy
            .spec
            .versions
            .iter()
            .filter(|entry| entry.name != self.primary.name);
        let able = entries.filter(|entry| {
            let Some((_, deployment)) = self.deployment(&entry.name) else {
                return false;
            };
            let runs_it = *deployment.template == *self.desired.template
                || new_images && *deployment.images == *self.desired.images;
            let index = self
                .release
                .versions
                .iter()
                .position(|version| version.name == entry.name);
            let changes = match index.and_then(|index| self.built.get(index)) {
                Some(built) => *built.template != *deployment.template,
                None => true,
            };
            runs_it && changes
        });
        able.map(|entry| entry.name.as_str())
            .min_by_key(|name| readiness::badness(self.observed.readiness(name).ready))
    }

    /// Why no version can stand in for the primary.
    fn in_place(&self, source: &str, primary: &Deployment, deployment: &Deployment) -> Option<String> {
        let names = [(self.primary.name.as_str(), primary), (source, deployment)];
        if let Some((name, _)) = names.iter().find(|(_, one)| one.replicas_owner == ReplicasOwner::Scale) {
            return Some(format!(
                "an autoscaler or kubectl scale sets the replicas of Deployment {name}"
            ));
        }
        // Unknown is what it is while it scales up.
        if self.observed.readiness(source).ready == Tristate::False {
            return Some(format!("{source}, which runs the new version already, is not ready"));
        }
        let short = !self.is_able(source, primary, deployment);
        if deployment.replicas < primary.replicas && deployment.replicas_owner == ReplicasOwner::Other {
            return Some(format!("somebody else sets the replicas of Deployment {source}"));
        }
        (short && self.is_late(source, deployment)).then(|| {
            format!(
                "Deployment {source} did not get {} available replicas in time",
                primary.replicas
            )
        })
    }

    fn is_late(&self, source: &str, deployment: &Deployment) -> bool {
        let rolls = self
            .before()
            .is_some_and(|before| before.step == PromotionStep::InPlace && before.source == source);
        rolls || self.scale_deadline(source, deployment) <= self.now
    }

    /// Whether the source can carry what the primary carries.
    fn is_able(&self, source: &str, primary: &Deployment, deployment: &Deployment) -> bool {
        deployment.available >= primary.replicas && self.observed.is_ready(source)
    }

    fn scale_deadline(&self, source: &str, deployment: &Deployment) -> DateTime<Utc> {
        let begun = self.before().filter(|before| {
            before.step == PromotionStep::Scale && before.source == source && is_current(self.release, self.observed)
        });
        let since = begun.map_or(self.now, |before| before.since);
        since + Duration::seconds(i64::from(deployment.progress_deadline_seconds.max(1)))
    }

    /// Whether every pod runs the template and can serve.
    fn is_rolled_out(&self, meta: &Meta, deployment: &Deployment) -> bool {
        is_rolled_out(meta, deployment) && self.observed.is_ready(&self.primary.name)
    }

    /// Whether the primary can carry what the source carries; a number that the spec or somebody else sets is enough.
    fn is_enough(&self, primary: &Deployment, source: &str) -> bool {
        let carried = self
            .deployment(source)
            .map_or(0, |(_, deployment)| deployment.available);
        primary.available >= carried || !self.may_scale(primary)
    }

    fn may_scale(&self, primary: &Deployment) -> bool {
        let open = self.desired.replicas.is_none();
        open && !matches!(primary.replicas_owner, ReplicasOwner::Scale | ReplicasOwner::Other)
    }

    /// The primary gets as many replicas as its source has, where nobody else sets them.
    fn capacity(&self, name: &str, primary: &Deployment, meta: &Meta, source: &str) -> Option<Scale> {
        let carried = self
            .deployment(source)
            .map_or(0, |(_, deployment)| deployment.available);
        if primary.replicas >= carried || !self.may_scale(primary) {
            return None;
        }
        scale_to(name, meta, primary, carried)
    }
}

/// Whether the status is of the spec as it is. After an edit, as the end of a suspension is one, time is counted anew.
pub(super) fn is_current(release: &Release, observed: &Observed) -> bool {
    let status = observed.status.as_ref();
    status.is_some_and(|status| status.observed_generation == release.generation)
}

/// Whether the rollout of the Deployment as it is has failed.
fn has_failed(meta: &Meta, deployment: &Deployment) -> bool {
    deployment.deadline_exceeded && deployment.observed_generation >= meta.generation
}

fn scale_to(name: &str, meta: &Meta, deployment: &Deployment, replicas: i32) -> Option<Scale> {
    (deployment.replicas < replicas).then(|| Scale {
        deployment: name.to_owned(),
        uid: meta.uid,
        resource_version: meta.resource_version,
        replicas,
    })
}
