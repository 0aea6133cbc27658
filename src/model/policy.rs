//! A `RoutePolicy` whose every rule holds, and the route that follows from it in terms of no particular mesh.

use crate::api::route_match::HttpRouteMatch;
use crate::api::route_policy::{Backend, HttpRouteTarget, ResourceRef, RoutingStrategy, VirtualServiceTarget};

/// A valid `RoutePolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: super::observed::Uid,
    /// `metadata.generation`.
    pub generation: i64,
    /// How requests are shared among the versions.
    pub strategy: RoutingStrategy,
    /// The versions; the first is the primary. Never empty.
    pub versions: Vec<PolicyVersion>,
    /// The route to write.
    pub route: Target,
    /// Whether no route may be written.
    pub suspend: bool,
}

impl Policy {
    /// Whether the version at this index is the primary, or takes its place while it is ready.
    pub fn may_be_primary(&self, index: usize) -> bool {
        index == 0
            || self
                .versions
                .get(index)
                .is_some_and(|version| version.serves_for == Some(0))
    }
}

/// A version of a valid `RoutePolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyVersion {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub resources: Vec<ResourceRef>,
    /// Where its requests are sent.
    pub backend: Backend,
    /// The spec's weight, else the strategy's default (blue-green 50, mirror 100).
    pub weight: i32,
    /// Name of the `ConfigMap` with the live weight.
    pub weight_config_map: Option<String>,
    /// Canary: requests that match any of these are its own. Of a candidate never empty.
    pub matches: Vec<HttpRouteMatch>,
    /// Index of the version whose place this one takes while it is ready.
    pub serves_for: Option<usize>,
}

/// The route to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// An `HTTPRoute` of that name.
    HttpRoute(String, HttpRouteTarget),
    /// A `VirtualService` of that name.
    VirtualService(String, VirtualServiceTarget),
}

impl Target {
    /// Name of the route.
    pub fn name(&self) -> &str {
        match self {
            Self::HttpRoute(name, _) | Self::VirtualService(name, _) => name,
        }
    }
}

/// The rules of a route, in order; the catch-all is last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule: which requests, who answers, who gets copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Name of the rule: the version that it is for; of the catch-all the route's name.
    pub name: String,
    /// Requests that match any of these; empty: all.
    pub matches: Vec<HttpRouteMatch>,
    /// Who answers: integer weights that sum to 100. Never empty. 0: nobody is sent there, but the gateway knows it.
    pub backends: Vec<(Backend, i32)>,
    /// Who gets copies, with the percentage, 1..100.
    pub mirrors: Vec<(Backend, i32)>,
}
