//! The Release or RoutePolicy at hand, as the owner of what is written: its status, its Events, and whether it still exists.

use serde::Serialize;
use serde_json::Value;

use super::rejections::Attempt;
use super::writes::transient;
use super::{Context, Key};
use crate::api::status::{Condition, Tristate};
use crate::api::{ExperimentStatus, ReleaseStatus, RoutePolicyStatus};
use crate::cluster::Error;
use crate::cluster::events::About;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object};
use crate::model::ownership;
use crate::model::reason;
use crate::model::validate::ObjectInfo;
use crate::plan::{Event, Failure, conditions};

/// A status of a kind of ours.
pub trait Status: Serialize + PartialEq {
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
}

impl Status for ReleaseStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Status for RoutePolicyStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Status for ExperimentStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// An object that is being reconciled.
pub struct Owner<'a> {
    context: &'a Context,
    kind: Kind,
    /// Its namespace and name.
    pub key: &'a Key,
    /// As it was when the reconcile began.
    pub object: &'a Object<Body>,
}

impl<'a> Owner<'a> {
    /// Of a Release.
    pub fn release(context: &'a Context, key: &'a Key, object: &'a Object<Body>) -> Self {
        let kind = Kind::Release;
        Self {
            context,
            kind,
            key,
            object,
        }
    }

    /// Of a RoutePolicy.
    pub fn route_policy(context: &'a Context, key: &'a Key, object: &'a Object<Body>) -> Self {
        let kind = Kind::RoutePolicy;
        Self {
            context,
            kind,
            key,
            object,
        }
    }

    /// Of an Experiment.
    pub fn experiment(context: &'a Context, key: &'a Key, object: &'a Object<Body>) -> Self {
        let kind = Kind::Experiment;
        Self {
            context,
            kind,
            key,
            object,
        }
    }

    /// What it is, for log lines: `Release web, generation 3`.
    pub fn words(&self) -> String {
        format!(
            "{} {}, generation {}",
            self.kind, self.key.1, self.object.meta.generation
        )
    }

    /// Its metadata, to be validated with its spec.
    pub fn info(&self) -> ObjectInfo {
        ObjectInfo {
            name: self.key.1.to_string(),
            namespace: self.key.0.to_string(),
            uid: self.object.meta.uid,
            generation: self.object.meta.generation,
        }
    }

    /// Publishes Events about it, and logs them.
    pub fn publish(&self, events: &[Event]) {
        self.publish_and_log(events, &[]);
    }

    /// Publishes Events about it, and logs those with other reasons than these.
    fn publish_and_log(&self, events: &[Event], told: &[&str]) {
        let (namespace, name) = (&*self.key.0, &*self.key.1);
        let about = About {
            kind: self.kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: self.object.meta.uid,
        };
        for event in events {
            if !told.contains(&event.reason.as_str()) {
                tracing::info!(namespace, kind = %self.kind, name, reason = event.reason, "{}", event.note);
            }
            let events = &self.context.events;
            events.publish(&about, event.warning, &event.reason, &event.note);
        }
    }

    /// Writes the status if it changed, then publishes what changed. `Err`: try again, Events and all; one that the server
    /// refuses becomes an Event, and is not tried again before it says something else, or the object is another.
    pub async fn tell<S: Status>(&self, old: Option<&S>, new: Option<&S>, events: &[Event]) -> Result<(), Failure> {
        let mut told = vec![reason::ROUTE_UPDATED]; // the write of the route was
        if let Some(new) = new.filter(|new| old != Some(new)) {
            let status = serde_json::to_value(new).map_err(|error| self.unwritten(&error))?;
            let rejections = &self.context.rejections;
            let place = format!("{}/status", self.key.1);
            let attempt = || Attempt::new(ownership::digest_of_status(&status), Some(&self.object.meta));
            let refused = rejections.any(self.key);
            if refused && rejections.find(self.key, self.kind, &place, attempt()).is_some() {
                return Ok(());
            }
            match self.apply_status(&status).await {
                Ok(()) => {
                    if refused {
                        rejections.remove(self.key, self.kind, &place);
                    }
                    told.extend(self.log_conditions(old.map(S::conditions).unwrap_or_default(), new.conditions()));
                }
                // Nobody is there any more to be told.
                Err(Error::Gone(_)) => return Ok(()),
                Err(error @ (Error::Invalid(_) | Error::ImmutableField(_))) => {
                    let failure = Failure::stalled(reason::STATUS_NOT_WRITTEN, error.to_string());
                    self.publish(&[Event::warning(&failure.reason, &failure.message)]);
                    rejections.add(self.key, self.kind, &place, attempt(), failure);
                }
                Err(error) => {
                    return Err(Failure {
                        retry_after: error.retry_after(),
                        ..self.unwritten(&error)
                    });
                }
            }
        }
        self.publish_and_log(events, &told);
        Ok(())
    }

    /// Logs in one line which conditions have changed, and answers with the reasons of Events that say the same.
    fn log_conditions<'s>(&self, old: &[Condition], new: &'s [Condition]) -> Vec<&'s str> {
        let (namespace, kind, name) = (&*self.key.0, self.kind, &*self.key.1);
        let changed = conditions::changed(old, new);
        let Some(first) = changed.first() else {
            return Vec::new();
        };
        let all: Vec<String> = changed
            .iter()
            .map(|condition| format!("{}={:?}", condition.type_, condition.status))
            .collect();
        let (all, reason, message) = (all.join(" "), &first.reason, &first.message);
        let stalls = changed
            .iter()
            .any(|condition| condition.type_ == conditions::STALLED && condition.status == Tristate::True);
        if stalls {
            tracing::warn!(namespace, %kind, name, reason, "{all}: {message}");
        } else {
            tracing::info!(namespace, %kind, name, reason, "{all}: {message}");
        }
        let reasons = changed.iter().map(|condition| condition.reason.as_str());
        reasons.chain([reason::RECOVERED]).collect()
    }

    fn unwritten(&self, error: &dyn std::fmt::Display) -> Failure {
        let message = format!("status of {} {}: {error}", self.kind, self.key.1);
        Failure::passing(reason::STATUS_NOT_WRITTEN, message)
    }

    /// Whether it is still there, and not being deleted, by the API server's answer to an apply of its status as it is.
    /// `Err`: not known, try again.
    pub async fn is_alive(&self) -> Result<bool, Failure> {
        let (Body::Release(raw) | Body::RoutePolicy(raw)) = &self.object.body else {
            return Ok(true);
        };
        let Ok(status) = serde_json::from_str::<Value>(&raw.status) else {
            return Ok(true);
        };
        match self.apply_status(&status).await {
            Ok(()) => {}
            Err(Error::Gone(_) | Error::Conflict(_)) => return Ok(false),
            Err(error) => return Err(transient(&error, &format!("{} {}", self.kind, self.key.1))),
        }
        let store = &self.context.store;
        let now = store.meta(&KindRef::Known(self.kind), &self.key.0, &self.key.1);
        Ok(now.is_some_and(|now| !now.deleting && now.uid == self.object.meta.uid))
    }

    async fn apply_status(&self, status: &Value) -> Result<(), Error> {
        let (namespace, name) = (&*self.key.0, &*self.key.1);
        let uid = self.object.meta.uid;
        let writer = &self.context.writer;
        let sent = writer.apply_status(self.kind, namespace, name, uid, status);
        sent.await.map(|_| ())
    }
}
