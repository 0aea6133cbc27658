//! A Lease (`coordination.k8s.io/v1`): which replica leads. Every write names the version that it changes, so of two
//! replicas one has it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::time::Instant;

use super::apply::Fence;
use super::error::{Error, Sent, broken, classify};

/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u32 = 290;

/// Until when this replica leads. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Term {
    ends: Arc<Mutex<Option<Instant>>>,
}

impl Term {
    /// It leads until then, by its own clock.
    pub fn lasts_until(&self, end: Instant) {
        *self.ends() = Some(end);
    }

    /// It leads no more.
    pub fn end(&self) {
        *self.ends() = None;
    }

    /// How much longer it leads; `None`: it does not.
    pub fn left(&self) -> Option<Duration> {
        let end = (*self.ends())?;
        Some(end.checked_duration_since(Instant::now())?).filter(|left| !left.is_zero())
    }

    /// What writes ask.
    pub fn fence(&self) -> Fence {
        let term = self.clone();
        Arc::new(move || term.left())
    }

    fn ends(&self) -> MutexGuard<'_, Option<Instant>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the Lease says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// For how long after it was renewed; zero: it does not say.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: i32,
    acquired: Option<MicroTime>,
    renewed: Option<MicroTime>,
}

impl Record {
    /// Of a replica that takes the Lease over from this one.
    #[must_use]
    pub fn taken_by(&self, holder: &str, duration: Duration) -> Self {
        let now = MicroTime(Timestamp::now());
        let same = self.holder == holder;
        Self {
            holder: holder.to_owned(),
            duration,
            transitions: if same { self.transitions } else { self.transitions + 1 },
            acquired: if same { self.acquired.clone() } else { Some(now.clone()) },
            renewed: Some(now),
        }
    }

    /// The same, held by nobody. As client-go leaves it: the duration must not be zero.
    #[must_use]
    pub fn released(&self) -> Self {
        Self {
            holder: String::new(),
            duration: Duration::from_secs(1),
            renewed: Some(MicroTime(Timestamp::now())),
            ..self.clone()
        }
    }
}

/// The Lease as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// What it says.
    pub record: Record,
    /// Its `metadata.resourceVersion`.
    pub version: String,
}

/// A change of the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there, and so.
    Is(Held),
    /// It is gone.
    Gone,
}

/// The Lease of one name.
#[derive(Clone)]
pub struct Leases {
    api: Api<Lease>,
    namespace: String,
    name: String,
}

impl Leases {
    /// In a namespace; `None`: that of the connection, which in a Pod is its own.
    pub fn new(client: Client, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
        Self {
            api: Api::namespaced(client, &namespace),
            namespace,
            name: name.to_owned(),
        }
    }

    /// `<namespace>/<name>`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The Lease, if there is one, and where to watch on from.
    pub async fn read(&self) -> Result<(Option<Held>, String), Error> {
        let params = ListParams::default().fields(&self.field());
        let list = self
            .api
            .list(&params)
            .await
            .map_err(|error| self.error("list", error))?;
        let version = list.metadata.resource_version.unwrap_or_default();
        Ok((list.items.into_iter().next().map(held), version))
    }

    /// Its changes from there on; the stream ends after some minutes, or with an error.
    pub async fn watch(&self, version: &str) -> Result<impl Stream<Item = Result<Change, Error>> + use<>, Error> {
        let params = WatchParams::default().fields(&self.field()).timeout(WATCH_SECONDS);
        let changes = self.api.watch(&params, version).await;
        let changes = changes.map_err(|error| self.error("watch", error))?;
        let this = self.clone();
        Ok(changes.filter_map(move |event| {
            let change = match event {
                Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease)) => Some(Ok(Change::Is(held(lease)))),
                Ok(WatchEvent::Deleted(_)) => Some(Ok(Change::Gone)),
                Ok(WatchEvent::Bookmark(_)) => None,
                Ok(WatchEvent::Error(status)) => Some(Err(classify(SENT, &status, None))),
                Err(error) => Some(Err(this.error("watch", error))),
            };
            async move { change }
        }))
    }

    /// Makes it. Error `Conflict`: it is there.
    pub async fn create(&self, record: &Record) -> Result<Held, Error> {
        let lease = self.lease(record, None);
        let made = self.api.create(&PostParams::default(), &lease).await;
        made.map(held).map_err(|error| self.error("create", error))
    }

    /// Changes it, if it is in this version. Error `Conflict`: it is not; `Gone`: it is not there.
    pub async fn replace(&self, record: &Record, version: &str) -> Result<Held, Error> {
        let lease = self.lease(record, Some(version.to_owned()));
        let replaced = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        replaced.map(held).map_err(|error| self.error("update", error))
    }

    fn field(&self) -> String {
        format!("metadata.name={}", self.name)
    }

    fn lease(&self, record: &Record, resource_version: Option<String>) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                resource_version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(record.holder.clone()),
                lease_duration_seconds: i32::try_from(record.duration.as_secs()).ok(),
                lease_transitions: Some(record.transitions),
                acquire_time: record.acquired.clone(),
                renew_time: record.renewed.clone(),
                ..LeaseSpec::default()
            }),
        }
    }

    fn error(&self, verb: &str, error: kube::Error) -> Error {
        let sent = Sent { verb, ..SENT };
        match error {
            kube::Error::Api(status) => match classify(sent, &status, None) {
                Error::Forbidden { message, .. } => Error::Forbidden {
                    rule: format!(
                        "allow list, watch, create, update on leases.coordination.k8s.io in namespace {}",
                        self.namespace
                    ),
                    message,
                },
                other => other,
            },
            other => broken(&other),
        }
    }
}

const SENT: Sent<'_> = Sent {
    verb: "watch",
    resource: "leases.coordination.k8s.io",
};

fn held(lease: Lease) -> Held {
    let spec = lease.spec.unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Held {
        record: Record {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: spec.acquire_time,
            renewed: spec.renew_time,
        },
        version: lease.metadata.resource_version.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_term_ends_by_itself_and_not_sooner() {
        let term = Term::default();
        let fence = term.fence();
        assert_eq!(fence(), None);
        term.lasts_until(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(fence(), Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(fence(), None);
        term.lasts_until(Instant::now() + Duration::from_secs(10));
        term.end();
        assert_eq!(fence(), None);
    }

    #[test]
    fn who_takes_a_lease_over_counts_it_and_who_renews_it_does_not() {
        let first = Record::default().taken_by("a", Duration::from_secs(15));
        assert_eq!((&*first.holder, first.transitions), ("a", 1));
        let renewed = first.taken_by("a", Duration::from_secs(15));
        assert_eq!((renewed.transitions, &renewed.acquired), (1, &first.acquired));
        let released = renewed.released();
        assert_eq!((&*released.holder, released.transitions), ("", 1));
        assert_eq!(released.taken_by("b", Duration::from_secs(15)).transitions, 2);
    }
}
