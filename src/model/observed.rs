//! What the operator keeps of the objects that it watches: no more than decisions need.
//!
//! `cluster` fills these from watch events and from the answers to its own writes; `plan` reads them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A `metadata.uid`, 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid(pub u128);

impl Uid {
    /// Reads the usual hexadecimal form with dashes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut value: u128 = 0;
        let mut digits = 0;
        for character in text.chars().filter(|c| *c != '-') {
            value = value.checked_mul(16)? | u128::from(character.to_digit(16)?);
            digits += 1;
        }
        (digits == 32).then_some(Self(value))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let mut rest = hex.as_str();
        for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
            let (part, tail) = rest.split_at(length);
            rest = tail;
            write!(f, "{}{part}", if index == 0 { "" } else { "-" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is kept of an object's `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`; comparable as an integer (KEP-5504), 0 where it was none.
    pub resource_version: u64,
    /// `metadata.generation`; 0 for kinds without one.
    pub generation: i64,
    /// `metadata.creationTimestamp`, seconds since 1970.
    pub created: i64,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The uid of the controller ownerReference.
    pub controller: Option<Uid>,
    /// Without a controller ownerReference: the Release in label `iter8.tools/release`, if our manager applied the
    /// object (left by `--cascade=orphan`, or restored from a backup).
    pub adoptable_by: Option<Box<str>>,
    /// Digest of the fields that our field manager owns, in the form that they were applied in; 0 when it owns none.
    pub digest: u64,
}

impl Meta {
    /// Whether the object belongs to the Release of this uid and name: it refers to it, or an earlier Release of that
    /// name left it.
    pub fn is_of(&self, uid: Uid, name: &str) -> bool {
        self.controller == Some(uid) || self.adoptable_by.as_deref() == Some(name)
    }

    /// Whether our manager applied the object and nobody owns it.
    pub fn is_orphan(&self) -> bool {
        self.controller.is_none() && self.digest != 0
    }
}

/// An object: its metadata and what matters of its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<B> {
    /// The metadata.
    pub meta: Meta,
    /// The body.
    pub body: B,
}

/// Who sets a Deployment's `spec.replicas`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicasOwner {
    /// Nobody: the server's default.
    #[default]
    Nobody,
    /// Our apply of the Deployment.
    Release,
    /// Our apply of a promotion's number alone.
    Promotion,
    /// Somebody through the `scale` subresource: an autoscaler or `kubectl scale`.
    Scale,
    /// Any other manager.
    Other,
}

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// `spec.replicas`.
    pub replicas: i32,
    /// Who sets it. Where several do: `Scale` before `Other` before `Release` before `Promotion`.
    pub replicas_owner: ReplicasOwner,
    /// Annotation `iter8.tools/replicas`: the spec's number when we last set it.
    pub spec_replicas: Option<i32>,
    /// `spec.progressDeadlineSeconds` (default 600).
    pub progress_deadline_seconds: i32,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.replicas`.
    pub total: i32,
    /// `status.updatedReplicas`.
    pub updated: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// Condition `Available`, if reported.
    pub available_condition: Option<bool>,
    /// Whether condition `Progressing` is False with reason `ProgressDeadlineExceeded`.
    pub deadline_exceeded: bool,
    /// Annotation `iter8.tools/template`; empty when it has none.
    pub template: Box<str>,
    /// The images of the containers, in order.
    pub images: Box<[Box<str>]>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The labels of the pods that it selects.
    pub selector: BTreeMap<Box<str>, Box<str>>,
    /// The ports.
    pub ports: Box<[ServicePort]>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// `name`; empty when it has none.
    pub name: Box<str>,
    /// `port`.
    pub port: i32,
    /// `targetPort`: a number or the name of a container port.
    pub target: Box<str>,
}

/// A `ConfigMap`, of which only the weight annotations are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightConfig {
    /// Annotation `iter8.tools/weight`, as it is written.
    pub weight: Option<Box<str>>,
    /// Annotation `iter8.tools/spec-weight`, as it is written.
    pub spec_weight: Option<Box<str>>,
    /// Whether our field manager owns the weight annotation.
    pub weight_ours: bool,
}

/// A stored `VirtualService` or `HTTPRoute`: which Services it names, where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRoute {
    /// The rules, in order.
    pub rules: Box<[StoredRule]>,
    /// What its parents report (`HTTPRoute` only).
    pub parents: Box<[ParentReport]>,
    /// When our manager last changed it, seconds since 1970 (`HTTPRoute` only); 0: not known.
    pub written: i64,
}

/// For people: who gets what.
impl fmt::Display for StoredRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            f.write_str(if rule.matched { "what matches to " } else { "" })?;
            for (index, StoredBackend { service, weight, .. }) in rule.backends.iter().enumerate() {
                write!(f, "{}{service} {weight}", if index == 0 { "" } else { ", " })?;
            }
            for StoredBackend { service, weight, .. } in &rule.mirrors {
                write!(f, ", copies to {service} {weight}")?;
            }
        }
        Ok(())
    }
}

/// A rule of a stored route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRule {
    /// Whether it takes only the requests that match something (false: the catch-all).
    pub matched: bool,
    /// The Services that answer, with their weights.
    pub backends: Box<[StoredBackend]>,
    /// The Services that get copies, with their percentages.
    pub mirrors: Box<[StoredBackend]>,
}

/// A Service that a stored route names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBackend {
    /// Name of the Service: the first label of a host.
    pub service: Box<str>,
    /// The port.
    pub port: i32,
    /// Weight or percentage.
    pub weight: i32,
}

/// What one parent of an `HTTPRoute` reports of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentReport {
    /// `<kind>/<namespace>/<name>`, of a listener or a named port with `/<sectionName>`.
    pub parent: Box<str>,
    /// The smaller `observedGeneration` of its conditions Accepted and ResolvedRefs; 0 while one is missing.
    pub observed_generation: i64,
    /// Whether Accepted and ResolvedRefs are both True.
    pub accepted: bool,
    /// Reason of the condition that is not True.
    pub reason: Box<str>,
    /// Message of the condition that is not True.
    pub message: Box<str>,
}

impl ParentReport {
    /// What a parent is told by.
    pub fn key(kind: &str, namespace: &str, name: &str, section: Option<&str>) -> String {
        let section = section.map(|section| format!("/{section}")).unwrap_or_default();
        format!("{kind}/{namespace}/{name}{section}")
    }
}

/// `StatefulSet`, `ReplicaSet`, `DaemonSet`: kinds with ready replicas and no readiness condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// `spec.replicas`; a `DaemonSet` has none.
    pub replicas: Option<i32>,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.readyReplicas`, of a `DaemonSet` `status.numberReady`.
    pub ready: i32,
}

/// An object of any other kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// `spec.replicas`, where the kind has it.
    pub replicas: Option<i32>,
    /// Condition `Ready`: `None` when the object needs none.
    pub ready: Option<crate::api::status::Tristate>,
    /// Whether it has a status at all.
    pub reported: bool,
    /// The condition's `observedGeneration`, else the status's; `None` when neither is reported.
    pub observed_generation: Option<i64>,
}

/// What matters of an object's body, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A `Deployment`.
    Deployment(Box<Deployment>),
    /// A `Service`.
    Service(Service),
    /// A `ConfigMap`.
    ConfigMap(WeightConfig),
    /// A `VirtualService` or an `HTTPRoute`.
    Route(Box<StoredRoute>),
    /// A `StatefulSet`, `ReplicaSet` or `DaemonSet`.
    Workload(Workload),
    /// Any other kind.
    Other(Other),
    /// A Release, as text: it is parsed when it is reconciled.
    Release(Raw),
    /// A `RoutePolicy`, as text: it is parsed when it is reconciled.
    RoutePolicy(Raw),
    /// An Experiment, as text: it is parsed when it is reconciled.
    Experiment(Raw),
    /// A Metric, as text: it is parsed when it is asked for.
    Metric(Raw),
    /// It could not be read; the reason.
    Malformed(Box<str>),
}

/// `spec` and `status` of one of our own objects as JSON text: small, and parsed only when needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raw {
    /// `spec`.
    pub spec: Box<str>,
    /// `status`; empty when it has none.
    pub status: Box<str>,
}

impl Raw {
    /// Reads the spec; the error says what is wrong with it.
    pub fn spec<S: DeserializeOwned>(&self) -> Result<S, serde_json::Error> {
        serde_json::from_str(&self.spec)
    }

    /// Reads the status. One that cannot be read counts as none: it is written anew.
    pub fn status<S: DeserializeOwned>(&self) -> Option<S> {
        serde_json::from_str(&self.status).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_route_says_who_gets_what() {
        let backend = |service: &str, weight| StoredBackend {
            service: service.into(),
            port: 80,
            weight,
        };
        let rule = |matched, backends: &[StoredBackend], mirrors: &[StoredBackend]| StoredRule {
            matched,
            backends: backends.into(),
            mirrors: mirrors.into(),
        };
        let [a, b] = [backend("web-0", 70), backend("web-1", 30)];
        for (rules, words) in [
            (vec![rule(false, &[a.clone(), b.clone()], &[])], "web-0 70, web-1 30"),
            (
                vec![
                    rule(true, slice::from_ref(&b), &[]),
                    rule(false, slice::from_ref(&a), &[]),
                ],
                "what matches to web-1 30; web-0 70",
            ),
            (vec![rule(false, &[a], &[b])], "web-0 70, copies to web-1 30"),
        ] {
            let route = StoredRoute {
                rules: rules.into(),
                ..StoredRoute::default()
            };
            assert_eq!(route.to_string(), words);
        }
    }

    #[test]
    fn a_uid_reads_and_prints_the_same() {
        let text = "0b7cf00e-1f2a-4c3d-9e8f-00112233aabb";
        assert_eq!(Uid::parse(text).unwrap().to_string(), text);
        assert_eq!(Uid::parse("0b7cf00e"), None);
        assert_eq!(Uid::parse("not-a-uid-at-all-zzzzzzzzzzzzzzzzzzz"), None);
    }
}
