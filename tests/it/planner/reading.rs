//! What the API server makes of what is sent to it, and how an object is told in words.

use iter8::cluster::view;
use iter8::model::kind::{Kind, KindRef};
use iter8::model::observed::{Body, Meta, Object, Raw, ReplicasOwner};
use iter8::model::release::Release;
use iter8::model::validate::{self, ObjectInfo};
use iter8::plan::Desired;
use serde_json::Value;

use super::spec::Spec;
use super::world::{Live, NAME, NAMESPACE, RELEASE_UID};

pub(super) fn validated(spec: &Spec, generation: i64) -> Option<Release> {
    let info = ObjectInfo {
        name: NAME.to_owned(),
        namespace: NAMESPACE.to_owned(),
        uid: RELEASE_UID,
        generation,
    };
    validate::release(&info, &spec.stored()).ok()
}

/// The object as the watch would bring it.
pub(super) fn read(desired: &Desired) -> Object<Body> {
    let kind = KindRef::Known(desired.kind);
    let seen = view::read(&kind, &desired.object.to_string()).expect("what is written can be read");
    let mut object = seen.object;
    if desired.kind == Kind::RoutePolicy {
        object.body = Body::RoutePolicy(Raw::default());
    }
    object.meta = Meta {
        controller: object.meta.controller,
        ..Meta::default()
    };
    object
}

/// What an apply leaves of the fields that others write too.
pub(super) fn own(body: &mut Body, before: Option<&Body>, desired: &Value) {
    match (body, before) {
        (Body::Deployment(now), before) => {
            let given = desired["spec"]["replicas"].as_i64().is_some();
            if let Some(Body::Deployment(before)) = before {
                let keep = (
                    before.observed_generation,
                    before.total,
                    before.updated,
                    before.available,
                );
                (now.observed_generation, now.total, now.updated, now.available) = keep;
                now.available_condition = before.available_condition;
                now.deadline_exceeded = before.deadline_exceeded;
                let same = before.replicas_owner != ReplicasOwner::Nobody && before.replicas == now.replicas;
                now.replicas_owner = before.replicas_owner;
                if given && !(same && before.replicas_owner != ReplicasOwner::Promotion) {
                    now.replicas_owner = ReplicasOwner::Release;
                } else if !given && before.replicas_owner == ReplicasOwner::Release {
                    now.replicas_owner = ReplicasOwner::Nobody; // the server's default comes back
                } else if !given {
                    now.replicas = before.replicas;
                }
            } else if given {
                now.replicas_owner = ReplicasOwner::Release;
            }
        }
        (Body::ConfigMap(now), before) => {
            let given = now.weight.is_some();
            if let (Some(Body::ConfigMap(before)), false) = (before, given) {
                now.weight = before.weight.clone().filter(|_| !before.weight_ours);
            }
            now.weight_ours = given;
        }
        (Body::Route(now), Some(Body::Route(before))) => now.parents.clone_from(&before.parents),
        _ => {}
    }
}

pub(super) fn words(live: &Live) -> String {
    match &live.object.body {
        Body::Deployment(one) => format!(
            "{:?} template {} replicas {} {:?}",
            one.images, one.template, one.replicas, one.replicas_owner
        ),
        Body::Route(route) => {
            let rules = route.rules.iter().map(|rule| {
                let names = |list: &[iter8::model::observed::StoredBackend]| {
                    list.iter()
                        .map(|one| format!("{}:{}={}", one.service, one.port, one.weight))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                let matched = if rule.matched { "match " } else { "" };
                format!("[{matched}{} + {}]", names(&rule.backends), names(&rule.mirrors))
            });
            format!(
                "generation {} {}",
                live.object.meta.generation,
                rules.collect::<Vec<_>>().join(" ")
            )
        }
        Body::ConfigMap(config) => format!("{:?} over {:?}", config.weight, config.spec_weight),
        Body::Service(service) => format!("{:?}", service.ports.iter().map(|port| port.port).collect::<Vec<_>>()),
        Body::RoutePolicy(_) => {
            let entries = live.applied["spec"]["versions"].as_array().into_iter().flatten();
            let entries = entries.map(|one| {
                format!(
                    "{}{}",
                    one["name"],
                    one.get("servesFor").map_or(String::new(), |it| format!("(for {it})"))
                )
            });
            format!(
                "generation {} {}",
                live.object.meta.generation,
                entries.collect::<Vec<_>>().join(" ")
            )
        }
        _ => String::new(),
    }
}
