//! Deployments, Services and weight `ConfigMap`s: built once, held while a promotion needs them as they are.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Observed, Plan, is_routed};
use crate::api::annotations;
use crate::api::release::PromotionStep;
use crate::api::status::WeightSource;
use crate::model::kind::Kind;
use crate::model::names;
use crate::model::observed::{Deployment, Meta, ReplicasOwner, ServicePort, WeightConfig};
use crate::model::reason;
use crate::model::release::{Release, Version};
use crate::plan::policy::weights::parse;
use crate::plan::{Desired, Event, Failure, Precondition, objects};

/// What is known of a version's Deployment before the cluster is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Digest of the pod template, as in annotation `iter8.tools/template`.
    pub template: String,
    /// The images of its containers.
    pub images: Vec<Box<str>>,
    /// The number of replicas, if the spec says one.
    pub replicas: Option<i32>,
}

/// Replicas of a new Deployment of which the spec does not say how many it should have: the API's default.
const FIRST_REPLICAS: i32 = 1;

/// Builds what promotions compare, in the order of the versions.
pub fn build(release: &Release) -> Vec<Built> {
    let build = |version: &Version| Built {
        template: objects::template_digest(version).to_owned(),
        images: objects::images(version),
        replicas: objects::replicas(version),
    };
    release.versions.iter().map(build).collect()
}

/// Versions that must not be written as they are wanted: a Service that does not select its own pods would leave the
/// route with nobody behind it.
pub fn mismatches(release: &Release) -> Vec<(String, Failure)> {
    let errors = release.versions.iter().enumerate().flat_map(|(index, version)| {
        let errors = objects::mistakes(index, version).into_iter();
        errors.map(|error| (version.name.clone(), error))
    });
    errors
        .map(|(version, error)| (version, Failure::stalled(error.reason.as_str(), error.to_string())))
        .collect()
}

/// Plans the objects of every version of the spec, and the application's Service.
pub fn plan(release: &Release, observed: &Observed, built: &[Built], now: DateTime<Utc>, plan: &mut Plan) {
    for (index, version) in release.versions.iter().enumerate() {
        let held = plan.holds(&version.name);
        if held {
            // It stays routed as it is only for as long as what has its name is ours.
            let kinds = [Kind::Deployment, Kind::Service];
            let checked = kinds.map(|kind| precondition(release, observed, kind, &version.name, false));
            plan.failures.extend(checked.into_iter().filter_map(Result::err));
        } else {
            let replicas = built.get(index).and_then(|built| built.replicas);
            let replicas = replicas.filter(|_| !plan.emptying.contains(&version.name));
            plan_deployment(release, observed, version, replicas, plan);
            let port = held_port(release, observed, version);
            if let Some(held) = port {
                plan.held_ports.insert(version.name.clone(), held.port);
            }
            let extra = extra_ports(release, observed, version, now, plan);
            let mut service = objects::service(release, version, port, &extra);
            if is_between_selectors(release, observed, version, &service) {
                objects::select_all(&mut service, version);
            }
            push(release, observed, plan, Kind::Service, &version.name, service);
        }
        if objects::weight_config_needed(release, index) && (!held || promotion_ends(observed, plan)) {
            plan_weight(release, observed, version, plan);
        }
    }
    if let Some(service) = objects::application_service(release) {
        push(release, observed, plan, Kind::Service, &release.application, service);
    }
}

/// An object is written only if its name is free or it is the Release's; `exact`: and only as it was seen.
pub fn precondition(
    release: &Release,
    observed: &Observed,
    kind: Kind,
    name: &str,
    exact: bool,
) -> Result<Precondition, Failure> {
    let Some(object) = observed.object(kind, name) else {
        return Ok(Precondition::Absent);
    };
    let meta = &object.meta;
    if !meta.is_of(release.uid, &release.name) {
        let message = format!("{kind} {name} exists and is not this Release's: delete it, or choose another name");
        return Err(Failure::stalled(reason::NAME_CONFLICT, message));
    }
    if meta.deleting {
        let message = format!("{kind} {name} is being deleted; it is made anew when it is gone");
        return Err(Failure::passing(reason::DELETING, message));
    }
    Ok(if exact {
        Precondition::UidAndVersion(meta.uid, meta.resource_version)
    } else {
        Precondition::Uid(meta.uid)
    })
}

fn push(release: &Release, observed: &Observed, plan: &mut Plan, kind: Kind, name: &str, object: Value) {
    let desired = desired(release, observed, plan, kind, name, object);
    match kind {
        Kind::Deployment => plan.objects.deployments.extend(desired),
        _ => plan.objects.services.extend(desired),
    }
}

fn desired(
    release: &Release,
    observed: &Observed,
    plan: &mut Plan,
    kind: Kind,
    name: &str,
    object: Value,
) -> Option<Desired> {
    // A live weight or a scaled number must not be overwritten with what was seen before it.
    let exact = kind == Kind::ConfigMap || kind == Kind::Deployment && object.pointer("/spec/replicas").is_some();
    match precondition(release, observed, kind, name, exact) {
        Ok(precondition) => Some(Desired {
            kind,
            name: name.to_owned(),
            object,
            precondition,
            event: None,
        }),
        Err(failure) => {
            plan.failures.push(failure);
            None
        }
    }
}

fn plan_deployment(release: &Release, observed: &Observed, version: &Version, wanted: Option<i32>, plan: &mut Plan) {
    let live = observed.deployment(release, &version.name);
    let replicas = replicas(version, wanted, live, plan);
    let mut object = objects::deployment(release, version, replicas);
    if let Some(wanted) = wanted {
        let annotations = object
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut);
        if let Some(annotations) = annotations {
            annotations.insert(annotations::REPLICAS.to_owned(), Value::String(wanted.to_string()));
        }
    }
    push(release, observed, plan, Kind::Deployment, &version.name, object);
}

/// The number to apply: the spec's, unless somebody scaled since; without one, what there is stays as it is until
/// somebody else sets it. It is applied all the same: of a number that nobody owns the API server does not note who
/// scales it, and an autoscaler that went back to the default could not be told.
fn replicas(
    version: &Version,
    wanted: Option<i32>,
    live: Option<(&Meta, &Deployment)>,
    plan: &mut Plan,
) -> Option<i32> {
    let Some((_, deployment)) = live else {
        return wanted.or(Some(FIRST_REPLICAS));
    };
    match wanted {
        Some(wanted) if was_scaled(deployment, wanted) => {
            if deployment.replicas != wanted {
                plan.remarks.push(format!(
                    "Deployment {} was scaled to {} replicas, which stand until the spec's {wanted} changes",
                    version.name, deployment.replicas
                ));
            }
            None
        }
        Some(wanted) => Some(wanted),
        None => match deployment.replicas_owner {
            ReplicasOwner::Release | ReplicasOwner::Nobody => Some(deployment.replicas),
            ReplicasOwner::Promotion | ReplicasOwner::Scale | ReplicasOwner::Other => None,
        },
    }
}

/// Whether the Service is to select other labels than it does, and not all pods have the new ones yet.
fn is_between_selectors(release: &Release, observed: &Observed, version: &Version, wanted: &Value) -> bool {
    let (Some(live), Some((meta, deployment))) = (
        observed.service(&version.name),
        observed.deployment(release, &version.name),
    ) else {
        return false;
    };
    !runs_all(version, meta, deployment) && wanted.pointer("/spec/selector") != Some(&json!(live.selector))
}

/// The main port as it is, while its target is to be another and some pods listen on the one of before: a number is the
/// same for all pods, and a name of after the roll leaves out those of before.
fn held_port<'a>(release: &Release, observed: &'a Observed, version: &Version) -> Option<&'a ServicePort> {
    let (meta, deployment) = observed.deployment(release, &version.name)?;
    let port = objects::other_target(observed.service(&version.name)?, version)?;
    (!runs_all(version, meta, deployment)).then_some(port)
}

/// Whether all pods are those that the version asks for.
fn runs_all(version: &Version, meta: &Meta, deployment: &Deployment) -> bool {
    *deployment.template == *objects::template_digest(version) && is_rolled_out(meta, deployment)
}

/// Whether every pod runs the template as it is, and is available.
pub fn is_rolled_out(meta: &Meta, deployment: &Deployment) -> bool {
    deployment.observed_generation >= meta.generation
        && deployment.updated == deployment.total
        && deployment.available == deployment.total
        && deployment.total == deployment.replicas
}

/// Whether somebody scaled the Deployment since it got the spec's number.
pub fn was_scaled(deployment: &Deployment, wanted: i32) -> bool {
    deployment.replicas_owner == ReplicasOwner::Scale && deployment.spec_replicas == Some(wanted)
}

/// Ports that the Service keeps for a while: the stored route names them, or requests to them are under way.
fn extra_ports(
    release: &Release,
    observed: &Observed,
    version: &Version,
    now: DateTime<Utc>,
    plan: &mut Plan,
) -> Vec<i32> {
    let (Some(policy), Some(service)) = (observed.policy.as_ref(), observed.service(&version.name)) else {
        return Vec::new();
    };
    if !is_routed(release) {
        return Vec::new();
    }
    let held = plan.held_ports.get(&version.name).copied();
    let wanted = held.unwrap_or_else(|| objects::policy_entry(release, version).backend.port);
    let entry = policy.entry(&version.name).map(|entry| entry.backend.port);
    let is_named = |port: i32| observed.names_port(&version.name, port);
    let mut old: Vec<i32> = service
        .ports
        .iter()
        .filter(|one| entry == Some(one.port) || is_named(one.port) || *one.name == *objects::kept_port(one.port))
        .map(|one| one.port)
        .filter(|port| *port != wanted)
        .collect();
    let end = policy.drained_at(release.drain_seconds);
    match end.filter(|_| entry == Some(wanted) && !old.is_empty()) {
        Some(end) if end <= now => old.retain(|port| is_named(*port)),
        Some(end) => plan.look_again(end - now),
        None => {}
    }
    old
}

fn plan_weight(release: &Release, observed: &Observed, version: &Version, plan: &mut Plan) {
    let name = names::weight_config(&version.name);
    let spec = version.weight.to_string();
    let live = observed.weight_config(&name);
    let weight = match live {
        Some(config) if !starts_anew(release, observed, config, &spec, plan) => config
            .weight_ours
            .then(|| config.weight.clone().unwrap_or_default().to_string()),
        _ => Some(spec.clone()),
    };
    let ended = overridden(observed, &version.name, live).filter(|_| weight.as_deref() == Some(&spec));
    let event = ended.map(|text| {
        let note = format!(
            "the weight {text} of {} is no longer in force; the spec's {spec} is",
            version.name
        );
        Event::normal(reason::OVERRIDE_ENDED, note)
    });
    let object = objects::weight_config(release, version, weight.as_deref(), &spec);
    let desired = desired(release, observed, plan, Kind::ConfigMap, &name, object);
    plan.objects
        .weight_configs
        .extend(desired.map(|desired| Desired { event, ..desired }));
}

/// The weight that was in force in place of the spec's: the annotation's, or what status says of one that is gone.
fn overridden(observed: &Observed, version: &str, live: Option<&WeightConfig>) -> Option<String> {
    if let Some((config, text)) = live.and_then(|config| Some((config, config.weight.as_deref()?))) {
        let given = config.spec_weight.as_deref().and_then(parse);
        return (parse(text) != given).then(|| text.to_owned());
    }
    let status = observed.status.iter().flat_map(|status| &status.versions);
    let mut before = status.filter(|one| one.name == version && one.source == WeightSource::Override);
    Some(before.next()?.weight?.to_string())
}

/// Whether the spec's weight is set (again): it changed, the annotation is gone, a promotion returns, or the version is
/// the only one left.
fn starts_anew(release: &Release, observed: &Observed, config: &WeightConfig, spec: &str, plan: &Plan) -> bool {
    let alone = release.versions.len() == 1
        && observed
            .policy
            .as_ref()
            .is_none_or(|policy| policy.spec.versions.len() <= 1);
    config.weight.is_none() || config.spec_weight.as_deref() != Some(spec) || promotion_ends(observed, plan) || alone
}

/// Whether the primary takes its requests back, or has rolled out in place.
fn promotion_ends(observed: &Observed, plan: &Plan) -> bool {
    let before = observed.status.as_ref().and_then(|status| status.promotion.as_ref());
    match &plan.promotion {
        Some(decision) => decision.step == PromotionStep::Return,
        None => before.is_some_and(|before| before.step == PromotionStep::InPlace),
    }
}
