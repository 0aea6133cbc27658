//! A Release whose every rule holds: what `plan` works on.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::api::release::{Environment, Strategy};
use crate::api::route_match::HttpRouteMatch;

/// A valid Release.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: super::observed::Uid,
    /// `metadata.generation`.
    pub generation: i64,
    /// The application's name: of the Service that clients call and of the route.
    pub application: String,
    /// Where the application runs.
    pub environment: Environment,
    /// How requests move between versions.
    pub strategy: Strategy,
    /// A Gateway for requests from outside.
    pub gateway: Option<GatewayRef>,
    /// The application's labels; a version's come over them.
    pub labels: BTreeMap<String, String>,
    /// The application's annotations; a version's come over them.
    pub annotations: BTreeMap<String, String>,
    /// Port that clients call.
    pub port: i32,
    /// The versions; the first is the primary. Never empty.
    pub versions: Vec<Version>,
    /// Seconds between a version's leaving the route and its removal.
    pub drain_seconds: i32,
    /// Whether nothing but status may be written.
    pub suspend: bool,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRef {
    /// Its namespace; absent: the Release's.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// A version of a valid Release. It is never changed once it is there: `merged` follows from the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Its name: of its Deployment and Service.
    pub name: String,
    /// Its labels, with the application's below them.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, with the application's below them.
    pub annotations: BTreeMap<String, String>,
    /// Container image; absent only when the specification gives containers.
    pub image: Option<String>,
    /// Port that it listens on.
    pub port: i32,
    /// Number of pods, if the spec says one.
    pub replicas: Option<i32>,
    /// Its weight: the spec's, else the strategy's default (blue-green 50, mirror 100).
    pub weight: i32,
    /// Canary: requests that match any of these are its own. Of a candidate never empty: the default stands here.
    pub matches: Vec<HttpRouteMatch>,
    /// Merged over the generated Deployment's `spec`.
    pub deployment_specification: Option<Specification>,
    /// Merged over the generated Service's `spec`.
    pub service_specification: Option<Specification>,
    /// What comes of that.
    pub merged: Merged,
}

/// What comes of merging a version's specifications over what is generated, once somebody has asked for it: many decisions
/// look at it.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// The Deployment's `spec`, without `replicas`.
    pub deployment: OnceLock<Map<String, Value>>,
    /// The digest of its pod template.
    pub template: OnceLock<String>,
    /// The Service's `spec`.
    pub service: OnceLock<Map<String, Value>>,
}

/// It follows from the rest of the version.
impl PartialEq for Merged {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What is merged over a generated object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Specification {
    /// Labels over the version's.
    pub labels: BTreeMap<String, String>,
    /// Annotations over the version's.
    pub annotations: BTreeMap<String, String>,
    /// Fields of `spec`.
    pub spec: Map<String, Value>,
}
