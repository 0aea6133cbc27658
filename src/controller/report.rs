//! Status and Events: what users are told.

use serde::Serialize;

use super::writes::transient;
use super::{Context, Key};
use crate::cluster::Error;
use crate::cluster::events::About;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object};
use crate::plan::{Event, Failure};

/// The object that is told of: its kind, where it is, and as it was seen.
pub type Subject<'a> = (Kind, &'a Key, &'a Object<Body>);

/// Events of what was done, and of what the new status says: the latter count once that is written.
pub type Events = (Vec<Event>, Vec<Event>);

impl Context {
    /// Writes a status, if there is a new one, and publishes what changed. `Err`: the status could not be written now;
    /// what it says has not been told either: try again.
    pub async fn tell<S: Serialize>(
        &self,
        subject: Subject<'_>,
        status: Option<&S>,
        manager: &str,
        (mut events, transitions): Events,
    ) -> Result<(), Failure> {
        let sent = match status {
            Some(status) => self.write_status(subject, status, manager).await,
            None => Ok(()),
        };
        let told = match sent {
            Ok(()) => {
                events.extend(transitions);
                Ok(())
            }
            // Who cannot read it in status finds it here.
            Err(refused) if refused.stalled => {
                events.extend(transitions);
                events.push(Event::warning("StatusNotWritten", refused.message));
                Ok(())
            }
            Err(later) => Err(later),
        };
        self.publish(subject, &events);
        told
    }

    /// Whether an owner is still there, by the answer to an apply of its status as it is; `status`: `None` if that is not
    /// in doubt.
    pub async fn is_alive<S: Serialize>(&self, subject: Subject<'_>, status: Option<&S>, manager: &str) -> bool {
        let Some(status) = status else { return true };
        let sent = self.write_status(subject, status, manager).await;
        let (kind, key, object) = subject;
        let now = self.store.get(&KindRef::Known(kind), &key.0, &key.1);
        sent.is_ok() && now.is_some_and(|now| !now.meta.deleting && now.meta.uid == object.meta.uid)
    }

    /// Writes a status. The failure is `stalled` if it would be refused again.
    pub async fn write_status<S: Serialize>(
        &self,
        (kind, key, object): Subject<'_>,
        status: &S,
        manager: &str,
    ) -> Result<(), Failure> {
        let refused = |why: String| Failure::stalled("StatusNotWritten", why);
        let status = serde_json::to_value(status).map_err(|error| refused(error.to_string()))?;
        let sent = self
            .writer
            .apply_status(kind, &key.0, &key.1, object.meta.uid, &status, manager)
            .await;
        let Err(error) = sent else { return Ok(()) };
        tracing::warn!(namespace = &*key.0, %kind, name = &*key.1, "status: {error}");
        Err(match error {
            Error::Conflict(_) | Error::Gone(_) | Error::Transient { .. } | Error::Timeout(_) | Error::NotLeader => {
                transient(&error, "status")
            }
            _ => refused(error.to_string()),
        })
    }

    /// Publishes Events, and logs them.
    fn publish(&self, (kind, key, object): Subject<'_>, events: &[Event]) {
        let about = About {
            kind,
            namespace: key.0.to_string(),
            name: key.1.to_string(),
            uid: object.meta.uid,
        };
        for event in events {
            tracing::info!(
                namespace = about.namespace, %kind, name = about.name, reason = event.reason, "{}", event.note
            );
            self.events.publish(&about, event.warning, &event.reason, &event.note);
        }
    }
}
