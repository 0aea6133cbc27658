//! Carrying out a plan's writes: nothing is sent that would change nothing, or that was refused before.

use std::sync::Arc;

use super::Context;
use super::index::Lost;
use super::owner::Owner;
use super::rejections::Attempt;
use crate::cluster::{Applied, Error};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::Body;
use crate::model::ownership;
use crate::model::reason;
use crate::plan::{Desired, Event, Failure, Removal};

/// What became of the writes of one reconcile.
#[derive(Debug, Default)]
pub struct Written {
    /// What was refused: it goes into status.
    pub failures: Vec<Failure>,
    /// What is worth an Event.
    pub events: Vec<Event>,
    /// Objects that were deleted since the last reconcile: one that is made again is worth an Event.
    pub lost: Lost,
    /// Whether a route was written, and is another than before.
    pub route: bool,
    /// Whether anything was asked of the API server: what was observed before may not be so any more.
    pub asked: bool,
    /// Whether all was made before: what is missing was deleted, perhaps with its owner.
    made_before: bool,
    /// Whether the owner is known to exist still, since the writes were planned.
    alive: bool,
}

impl Written {
    /// Of a reconcile that begins.
    pub fn new(lost: Lost, made_before: bool) -> Self {
        Self {
            lost,
            made_before,
            ..Self::default()
        }
    }

    /// What was refused that time may mend.
    pub fn unfinished(&self) -> Option<Failure> {
        self.failures.iter().find(|failure| !failure.stalled).cloned()
    }
}

impl Context {
    /// Applies an object unless it is in sync; tells whether it is now as it should be, or was refused. `Err`: nothing
    /// more can be done now, try again.
    pub async fn write(&self, owner: &Owner<'_>, desired: &Desired, written: &mut Written) -> Result<bool, Failure> {
        let Desired {
            kind,
            name,
            object,
            precondition,
            ..
        } = desired;
        let namespace = &*owner.key.0;
        let digest = ownership::digest_of_desired(object);
        if self.store.in_sync(*kind, namespace, name, digest) {
            return Ok(true);
        }
        let attempt = self.attempt(desired, namespace, digest);
        if let Some(failure) = self.rejections.find(owner.key, *kind, name, attempt) {
            written.failures.push(failure);
            return Ok(false);
        }
        written.asked = true;
        self.ask_for_owner(owner, desired, written).await?;
        let drift = self.store.is_drift(*kind, namespace, name, digest);
        let apply = || {
            self.writer
                .apply(*kind, namespace, name, object, kind.manager(), *precondition)
        };
        let route = is_route(*kind);
        if route {
            self.calm.disturb();
        }
        let mut applied = apply().await;
        if route {
            self.calm.disturb();
        }
        if let (Err(Error::Invalid(why)), true) = (&applied, drift) {
            tracing::debug!(namespace, %kind, name, "taken back from somebody else: {why}");
            applied = match self.writer.take_back(*kind, namespace, name, object).await {
                Ok(()) => apply().await,
                Err(error) => Err(error),
            };
        }
        match applied {
            Ok(applied) => {
                self.rejections.remove(owner.key, *kind, name);
                self.wrote(owner, desired, &applied, drift, written);
                Ok(true)
            }
            Err(error) => self.refused(owner, desired, attempt, &error, written).map(|()| false),
        }
    }

    /// Notes what an apply has changed.
    fn wrote(&self, owner: &Owner<'_>, desired: &Desired, applied: &Applied, drift: bool, written: &mut Written) {
        let Desired { kind, name, event, .. } = desired;
        let namespace = &*owner.key.0;
        if !applied.changed && !applied.created {
            return;
        }
        written.route |= is_route(*kind);
        let lost = applied.created && written.lost.contains(&(*kind, Arc::from(name.as_str())));
        let repaired = if lost {
            Some(format!("{kind} {name} was deleted and is made anew"))
        } else if drift && applied.changed {
            Some(format!(
                "{kind} {name} was changed by somebody else and is as it should be again"
            ))
        } else {
            None
        };
        if repaired.is_some() {
            self.metrics.drift_repairs.with_label_values(&[kind.kind()]).inc();
        }
        let repaired = repaired.map(|note| Event::normal(reason::DRIFT_REPAIRED, note));
        let events: Vec<Event> = event.clone().into_iter().chain(repaired).collect();
        // An Event is logged, and says the same.
        if events.is_empty() {
            let verb = if applied.created { "created" } else { "updated" };
            let shares = self.shares(*kind, namespace, name);
            tracing::info!(namespace, %kind, name, reason = owner.words(), "{verb}{shares}");
        }
        written.events.extend(events);
    }

    /// Of a route, who gets what, for a log line.
    fn shares(&self, kind: Kind, namespace: &str, name: &str) -> String {
        let route = is_route(kind).then(|| self.store.get(&KindRef::Known(kind), namespace, name));
        match route.flatten().as_ref().map(|route| &route.body) {
            Some(Body::Route(route)) => format!(": {route}"),
            _ => String::new(),
        }
    }

    /// Asks whether the owner still exists before what was deleted is made anew, or what has no owner any more gets its
    /// reference: each kind has a watch of its own, so what the garbage collector does to the dependants of a deleted owner
    /// may be seen before its deletion. What is missing was so when the writes were planned: one answer does for all.
    async fn ask_for_owner(&self, owner: &Owner<'_>, desired: &Desired, written: &mut Written) -> Result<(), Failure> {
        let Desired { kind, name, .. } = desired;
        let live = self.store.meta(&KindRef::Known(*kind), &owner.key.0, name);
        let orphaned = live.is_some_and(|live| live.is_orphan());
        let missing = desired.is_missing() && written.made_before && !written.alive;
        if !orphaned && !missing {
            return Ok(());
        }
        written.alive = owner.is_alive().await?;
        if written.alive {
            return Ok(());
        }
        let gone = Error::Gone(format!("{} is not there any more", owner.key.1));
        Err(transient(&gone, &format!("{kind} {name}")))
    }

    /// What a refusal depends on: what is wanted, and the object as it is (see [`Attempt`]).
    fn attempt(&self, desired: &Desired, namespace: &str, digest: u64) -> Attempt {
        let live = self.store.meta(&KindRef::Known(desired.kind), namespace, &desired.name);
        Attempt::new(digest, live.as_ref())
    }

    fn refused(
        &self,
        owner: &Owner<'_>,
        desired: &Desired,
        attempt: Attempt,
        error: &Error,
        written: &mut Written,
    ) -> Result<(), Failure> {
        let Desired { kind, name, .. } = desired;
        let mut failure = Failure::stalled(error.category(), format!("{kind} {name}: {error}"));
        match error {
            Error::Invalid(_) | Error::ImmutableField(_) => {
                if let Error::ImmutableField(_) = error {
                    failure.message.push_str("; give the version a new name");
                }
                self.rejections.add(owner.key, *kind, name, attempt, failure.clone());
            }
            // Others are written all the same.
            Error::QuotaExceeded(_) => failure.stalled = false,
            // The watch tells when it is over.
            Error::NamespaceTerminating(_) => {}
            // A kind that goes and comes back quickly is not missed by its watch.
            Error::Forbidden { .. } | Error::KindMissing(_) => return Err(failure),
            Error::Conflict(_) | Error::Gone(_) | Error::Transient { .. } | Error::Timeout(_) | Error::NotLeader => {
                failure.stalled = false;
                failure.retry_after = error.retry_after();
                return Err(failure);
            }
        }
        tracing::warn!(namespace = &*owner.key.0, %kind, name, reason = error.category(), "{error}");
        written.failures.push(failure);
        Ok(())
    }

    /// Deletes an object that is no longer part of its owner. `Err`: try again.
    pub async fn remove(&self, owner: &Owner<'_>, removal: &Removal, written: &mut Written) -> Result<(), Failure> {
        written.asked = true;
        let namespace = &*owner.key.0;
        let Removal {
            kind,
            name,
            uid,
            resource_version,
        } = removal;
        let result = self
            .writer
            .delete(*kind, namespace, name, *uid, *resource_version)
            .await;
        match result {
            Ok(()) => {
                tracing::info!(namespace, %kind, name, reason = owner.words(), "deleted");
                Ok(())
            }
            Err(error) => Err(transient(&error, &format!("{kind} {name}"))),
        }
    }
}

fn is_route(kind: Kind) -> bool {
    matches!(kind, Kind::VirtualService | Kind::HttpRoute)
}

/// A failure that time or another event mends.
pub fn transient(error: &Error, what: &str) -> Failure {
    Failure {
        retry_after: error.retry_after(),
        ..Failure::passing(error.category(), format!("{what}: {error}"))
    }
}

/// Whether what was planned from is not so any more: to be planned anew, and nothing to be told of.
pub fn is_outdated(failure: &Failure) -> bool {
    let causes = [
        Error::Conflict(String::new()),
        Error::Gone(String::new()),
        Error::NotLeader,
    ];
    causes.iter().any(|cause| cause.category() == failure.reason)
}
