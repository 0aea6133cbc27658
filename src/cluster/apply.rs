//! Writes: server-side apply and preconditioned deletes. Every answer goes into the store at once.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};

use super::error::{Error, Sent};
use super::resource::Resource;
use super::send::{Answer, send};
use super::store::Store;
use super::view::Head;
use crate::api::managers;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Meta, Uid};
use crate::model::ownership;
pub use crate::plan::Precondition;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The resourceVersion of an empty etcd. No object ever has it, so an apply that says it creates its object or, where there
/// is one, is a conflict: the API server compares resourceVersions on update, and drops them on create.
const NO_OBJECTS_VERSION: u64 = 1;

/// Asked right before each send: how much longer this replica leads; `None` when it does not. A request may not take
/// longer than that, so that no write of an old leader succeeds after the new one's first.
pub type Fence = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// What an apply left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.generation`; 0 for kinds without one.
    pub generation: i64,
    /// `metadata.resourceVersion`.
    pub resource_version: u64,
    /// Whether the resourceVersion is another than the one that the store had.
    pub changed: bool,
    /// Whether this apply created the object.
    pub created: bool,
}

/// Writes objects.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    store: Arc<Store>,
    fence: Fence,
}

impl Writer {
    /// A writer that puts the answers into this store and asks `fence` before each send.
    pub fn new(client: Client, store: Arc<Store>, fence: Fence) -> Self {
        Self { client, store, fence }
    }

    /// Applies an object as `manager`. `object` is complete but for what the precondition adds.
    ///
    /// Error `Conflict`: the precondition does not hold, and nothing was written.
    pub async fn apply(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        object: &Value,
        manager: &str,
        precondition: Precondition,
    ) -> Result<Applied, Error> {
        let desired = (manager == kind.manager()).then(|| ownership::digest_of_desired(object));
        let place = Place { kind, namespace, name };
        let body = with_precondition(object.clone(), precondition);
        let before = self.version(place);
        let answer = self.patch(place, &body, manager, None).await?;
        self.take_in(place, &answer, desired, before)
    }

    /// Makes the lists of an object's `spec` what they are in `object`, whoever owns their entries, by a merge patch.
    ///
    /// For an object that the server took before and refuses now, as an entry of somebody else stands where ours should:
    /// of two ports of one name it takes neither. The apply that follows owns the fields again.
    pub async fn take_back(&self, kind: Kind, namespace: &str, name: &str, object: &Value) -> Result<(), Error> {
        let place = Place { kind, namespace, name };
        let meta = self
            .store
            .meta(&KindRef::Known(kind), namespace, name)
            .unwrap_or_default();
        let body = json!({
            "metadata": { "uid": meta.uid.to_string(), "resourceVersion": meta.resource_version.to_string() },
            "spec": object.get("spec"),
        });
        let params = PatchParams {
            field_manager: Some(kind.manager().to_owned()),
            ..PatchParams::default()
        };
        let request = place.requests().patch(name, &params, &Patch::Merge(&body));
        let request = request.map_err(|e| Error::Invalid(e.to_string()))?;
        let answer = self.send(place, "patch", request).await?;
        self.take_in(place, &answer, None, Some(meta.resource_version))?;
        Ok(())
    }

    /// Applies a status, with force. Never creates an object.
    pub async fn apply_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        uid: Uid,
        status: &Value,
    ) -> Result<Applied, Error> {
        let place = Place { kind, namespace, name };
        let body = with(place.bare(uid), "status", status.clone());
        let before = self.version(place);
        let answer = self.patch(place, &body, kind.reporter(), Some("status")).await?;
        self.take_in(place, &answer, None, before)
    }

    /// Sets a Deployment's `spec.replicas` alone, by a manager of its own, if it has this uid and resourceVersion.
    pub async fn apply_replicas(
        &self,
        namespace: &str,
        name: &str,
        uid: Uid,
        resource_version: u64,
        replicas: i32,
    ) -> Result<Applied, Error> {
        let kind = Kind::Deployment;
        let place = Place { kind, namespace, name };
        let body = with(place.bare(uid), "spec", json!({ "replicas": replicas }));
        let body = with_precondition(body, Precondition::UidAndVersion(uid, resource_version));
        let answer = self.patch(place, &body, managers::RELEASE_SCALE, None).await?;
        self.take_in(place, &answer, None, Some(resource_version))
    }

    /// Deletes an object and, in the background, its dependants, if it has this uid and resourceVersion.
    ///
    /// One that is gone already is a success. Error `Conflict` when it has another uid or resourceVersion.
    pub async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        uid: Uid,
        resource_version: u64,
    ) -> Result<(), Error> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_string()),
                resource_version: Some(resource_version.to_string()),
            }),
            ..DeleteParams::default()
        };
        let place = Place { kind, namespace, name };
        let request = place.requests().delete(name, &params);
        let request = request.map_err(|e| Error::Invalid(e.to_string()))?;
        match self.send(place, "delete", request).await {
            Ok(_) | Err(Error::Gone(_) | Error::KindMissing(_)) => {
                self.store.mark_deleting(kind, namespace, name, uid);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn patch(
        &self,
        place: Place<'_>,
        body: &Value,
        manager: &str,
        subresource: Option<&str>,
    ) -> Result<Answer, Error> {
        let params = PatchParams::apply(manager).force();
        let patch = Patch::Apply(body);
        let requests = place.requests();
        let request = match subresource {
            Some(subresource) => requests.patch_subresource(subresource, place.name, &params, &patch),
            None => requests.patch(place.name, &params, &patch),
        };
        let request = request.map_err(|e| Error::Invalid(e.to_string()))?;
        self.send(place, "patch", request).await
    }

    async fn send(&self, place: Place<'_>, verb: &str, request: http::Request<Vec<u8>>) -> Result<Answer, Error> {
        let limit = (self.fence)().ok_or(Error::NotLeader)?.min(REQUEST_TIMEOUT);
        let resource = Resource::from(place.kind).name();
        let sent = Sent {
            verb,
            resource: &resource,
        };
        send(&self.client, sent, request, limit).await
    }

    /// The resourceVersion that the store has. Asked before a write: its event may come before its answer.
    fn version(&self, place: Place<'_>) -> Option<u64> {
        let kind = KindRef::Known(place.kind);
        Some(self.store.meta(&kind, place.namespace, place.name)?.resource_version)
    }

    /// Puts an answer into the store; `before` is the resourceVersion before the write.
    fn take_in(
        &self,
        place: Place<'_>,
        answer: &Answer,
        desired: Option<u64>,
        before: Option<u64>,
    ) -> Result<Applied, Error> {
        let head = Head::of(&answer.text).ok_or_else(|| Error::Transient {
            retry_after: None,
            message: format!("the answer to an apply of {} {} cannot be read", place.kind, place.name),
        })?;
        let applied = |meta: &Meta| Applied {
            uid: meta.uid,
            generation: meta.generation,
            resource_version: meta.resource_version,
            changed: before != Some(meta.resource_version),
            created: answer.created,
        };
        if let Some(meta) = self.store.confirm(place.kind, head.place(), head.version(), desired) {
            return Ok(applied(&meta));
        }
        let seen = head.read(&KindRef::Known(place.kind));
        let applied = applied(&seen.object.meta);
        self.store.write_through(place.kind, seen, desired);
        Ok(applied)
    }
}

/// An object's place.
#[derive(Clone, Copy)]
struct Place<'a> {
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
}

impl Place<'_> {
    fn requests(&self) -> kube::core::Request {
        Resource::from(self.kind).requests(Some(self.namespace))
    }

    /// An object with nothing in it, that applies to the one with this uid only.
    fn bare(&self, uid: Uid) -> Value {
        json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind(),
            "metadata": { "name": self.name, "uid": uid.to_string() },
        })
    }
}

fn with_precondition(mut object: Value, precondition: Precondition) -> Value {
    let (uid, version) = match precondition {
        Precondition::Absent => (None, Some(NO_OBJECTS_VERSION)),
        Precondition::Uid(uid) => (Some(uid), None),
        Precondition::UidAndVersion(uid, version) => (Some(uid), Some(version)),
    };
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        if let Some(uid) = uid {
            metadata.insert("uid".to_owned(), uid.to_string().into());
        }
        if let Some(version) = version {
            metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        }
    }
    object
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert(key.to_owned(), value);
    }
    object
}
