//! Deployments, and whatever else a RoutePolicy may name.

use serde::Deserialize;
use serde_json::Value;

use super::{Texts, or_default};
use crate::api::status::Tristate;
use crate::api::{annotations, managers};
use crate::model::kind::Gvk;
use crate::model::observed::{Body, Deployment, Other, ReplicasOwner, Workload};
use crate::model::ownership::Manager;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    replicas: Option<i32>,
    progress_deadline_seconds: Option<i32>,
    #[serde(default)]
    template: Template,
}

#[derive(Default, Deserialize)]
struct Template {
    #[serde(default)]
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
struct PodSpec {
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    image: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    observed_generation: i64,
    replicas: i32,
    updated_replicas: i32,
    available_replicas: i32,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    type_: Box<str>,
    status: Box<str>,
    reason: Box<str>,
}

/// What the API server sets where nobody sets `spec.replicas`.
const DEFAULT_REPLICAS: i32 = 1;

pub(super) fn deployment(annotations: &Texts, managers: &[Manager<'_>], spec: Spec, status: &Status) -> Deployment {
    let annotation = |key| annotations.get(key).map(String::as_str);
    let condition = |type_: &str| status.conditions.iter().find(|condition| &*condition.type_ == type_);
    let owners = managers.iter().filter(|who| {
        let fields = who.fields();
        fields.is_some_and(|fields| fields.contains(&["spec", "replicas"]))
    });
    let replicas = spec.replicas.unwrap_or(DEFAULT_REPLICAS);
    Deployment {
        replicas,
        replicas_owner: match replicas_owner(owners) {
            // The server notes no manager who scales what nobody has set before.
            ReplicasOwner::Nobody if replicas != DEFAULT_REPLICAS => ReplicasOwner::Scale,
            owner => owner,
        },
        spec_replicas: annotation(annotations::REPLICAS).and_then(|text| text.parse().ok()),
        progress_deadline_seconds: spec.progress_deadline_seconds.unwrap_or(600), // the API's default
        observed_generation: status.observed_generation,
        total: status.replicas,
        updated: status.updated_replicas,
        available: status.available_replicas,
        available_condition: condition("Available").map(|condition| &*condition.status == "True"),
        deadline_exceeded: condition("Progressing")
            .is_some_and(|c| &*c.status == "False" && &*c.reason == "ProgressDeadlineExceeded"),
        template: annotation(annotations::TEMPLATE).unwrap_or_default().into(),
        images: spec
            .template
            .spec
            .containers
            .into_iter()
            .map(|container| container.image)
            .collect(),
    }
}

fn replicas_owner<'a>(owners: impl Iterator<Item = &'a Manager<'a>>) -> ReplicasOwner {
    let owner = |who: &Manager<'_>| match who {
        who if who.subresource == "scale" => ReplicasOwner::Scale,
        who if who.applied_as(managers::RELEASE) => ReplicasOwner::Release,
        who if who.name == managers::RELEASE_SCALE && who.applied() => ReplicasOwner::Promotion,
        _ => ReplicasOwner::Other,
    };
    let rank = |owner: &ReplicasOwner| match owner {
        ReplicasOwner::Scale => 4,
        ReplicasOwner::Other => 3,
        ReplicasOwner::Release => 2,
        ReplicasOwner::Promotion => 1,
        ReplicasOwner::Nobody => 0,
    };
    owners.map(owner).max_by_key(rank).unwrap_or_default()
}

/// Of a kind that may have any form: what has an unexpected form counts as absent.
pub(super) fn other(gvk: &Gvk, object: &Value) -> Body {
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64);
    let small = |path: &str| number(path).and_then(|number| i32::try_from(number).ok());
    let replicas = small("/spec/replicas");
    let observed_generation = number("/status/observedGeneration");
    let ready = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("apps", "StatefulSet" | "ReplicaSet") => small("/status/readyReplicas"),
        ("apps", "DaemonSet") => small("/status/numberReady"),
        _ => return Body::Other(with_condition(object, replicas, observed_generation)),
    };
    Body::Workload(Workload {
        replicas,
        observed_generation: observed_generation.unwrap_or_default(),
        ready: ready.unwrap_or_default(),
    })
}

fn with_condition(object: &Value, replicas: Option<i32>, observed_generation: Option<i64>) -> Other {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &'_ Value, key: &str| condition.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|condition| text(condition, "type").as_deref() == Some("Ready"));
    let own_generation = ready.and_then(|condition| condition.get("observedGeneration")?.as_i64());
    Other {
        replicas,
        ready: ready.map(|condition| match text(condition, "status").as_deref() {
            Some("True") => Tristate::True,
            Some("False") => Tristate::False,
            _ => Tristate::Unknown,
        }),
        observed_generation: own_generation.or(observed_generation),
        reported: object
            .get("status")
            .and_then(Value::as_object)
            .is_some_and(|status| !status.is_empty()),
    }
}

/// An object of a kind with a status that has none yet: whether it will be ready is not known before its controller has
/// seen it (a new Knative Service has no condition `Ready`, and serves nobody).
pub fn await_report(body: &mut Body) {
    if let Body::Other(other) = body
        && other.ready.is_none()
        && !other.reported
    {
        other.ready = Some(Tristate::Unknown);
    }
}
