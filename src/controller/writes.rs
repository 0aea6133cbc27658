//! Carrying out a plan's writes: nothing is sent that would change nothing, or that was refused before.

use std::sync::Arc;

use super::index::Lost;
use super::rejections::Attempt;
use super::{Context, Key};
use crate::cluster::Error;
use crate::model::kind::KindRef;
use crate::model::ownership;
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
}

impl Written {
    /// What was refused that time may mend.
    pub fn unfinished(&self) -> Option<Failure> {
        self.failures.iter().find(|failure| !failure.stalled).cloned()
    }
}

impl Context {
    /// Applies an object unless it is in sync; tells whether it is now as it should be, or was refused. `Err`: nothing
    /// more can be done now, try again.
    pub async fn write(&self, owner: &Key, desired: &Desired, written: &mut Written) -> Result<bool, Failure> {
        let Desired {
            kind,
            name,
            object,
            precondition,
            event,
        } = desired;
        let namespace = &*owner.0;
        let digest = ownership::digest_of_desired(object);
        if self.store.in_sync(*kind, namespace, name, digest) {
            return Ok(true);
        }
        let attempt = self.attempt(desired, namespace, digest);
        if let Some(failure) = self.rejections.find(owner, *kind, name, attempt) {
            written.failures.push(failure);
            return Ok(false);
        }
        let drift = self.store.is_drift(*kind, namespace, name, digest);
        let apply = || {
            self.writer
                .apply(*kind, namespace, name, object, kind.manager(), *precondition)
        };
        let mut applied = apply().await;
        if let (Err(Error::Invalid(why)), true) = (&applied, drift) {
            tracing::info!(namespace, %kind, name, "taken back from somebody else: {why}");
            applied = match self.writer.take_back(*kind, namespace, name, object).await {
                Ok(()) => apply().await,
                Err(error) => Err(error),
            };
        }
        match applied {
            Ok(applied) => {
                self.rejections.remove(owner, *kind, name);
                if applied.changed || applied.created {
                    tracing::info!(namespace, %kind, name, created = applied.created, "applied");
                    written.events.extend(event.clone());
                }
                let lost = applied.created && written.lost.contains(&(*kind, Arc::from(name.as_str())));
                if lost {
                    let note = format!("{kind} {name} was deleted and is made anew");
                    written.events.push(Event::normal("DriftRepaired", note));
                } else if drift && applied.changed {
                    let note = format!("{kind} {name} was changed by somebody else and is as it should be again");
                    written.events.push(Event::normal("DriftRepaired", note));
                }
                Ok(true)
            }
            Err(error) => self.refused(owner, desired, attempt, &error, written).map(|()| false),
        }
    }

    /// What a refusal depends on: what is wanted, and the object as it is (its uid and generation).
    fn attempt(&self, desired: &Desired, namespace: &str, digest: u64) -> Attempt {
        let live = self.store.get(&KindRef::Known(desired.kind), namespace, &desired.name);
        Attempt {
            desired: digest,
            live: live.map(|object| (object.meta.uid, object.meta.generation)),
        }
    }

    fn refused(
        &self,
        owner: &Key,
        desired: &Desired,
        attempt: Attempt,
        error: &Error,
        written: &mut Written,
    ) -> Result<(), Failure> {
        let Desired { kind, name, .. } = desired;
        let mut failure = Failure::stalled(error.category(), format!("{kind} {name}: {error}"));
        tracing::warn!(namespace = &*owner.0, %kind, name, reason = error.category(), "{error}");
        match error {
            Error::Invalid(_) | Error::ImmutableField(_) => {
                if let Error::ImmutableField(_) = error {
                    failure.message.push_str("; give the version a new name");
                }
                self.rejections.add(owner, *kind, name, attempt, failure.clone());
            }
            // Others are written all the same.
            Error::QuotaExceeded(_) => failure.stalled = false,
            // The watch tells when it is over.
            Error::NamespaceTerminating(_) => {}
            // A kind that goes and comes back quickly is not missed by its watch.
            Error::Forbidden { .. } | Error::KindMissing(_) => {
                written.failures.push(failure.clone());
                return Err(failure);
            }
            Error::Conflict(_) | Error::Gone(_) | Error::Transient { .. } | Error::Timeout(_) | Error::NotLeader => {
                failure.stalled = false;
                return Err(failure);
            }
        }
        written.failures.push(failure);
        Ok(())
    }

    /// Deletes an object. `Err`: try again.
    pub async fn remove(&self, owner: &Key, removal: &Removal) -> Result<(), Failure> {
        let Removal {
            kind,
            name,
            uid,
            resource_version,
        } = removal;
        let result = self.writer.delete(*kind, &owner.0, name, *uid, *resource_version).await;
        match result {
            Ok(()) => {
                tracing::info!(namespace = &*owner.0, %kind, name, "deleted");
                Ok(())
            }
            Err(error) => Err(transient(&error, &format!("{kind} {name}"))),
        }
    }
}

/// A failure that time or another event mends.
pub fn transient(error: &Error, what: &str) -> Failure {
    Failure {
        reason: error.category().to_owned(),
        message: format!("{what}: {error}"),
        stalled: false,
    }
}
