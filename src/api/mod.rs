//! The kinds of group `iter8.tools`: types only, no logic.
//!
//! Every type here is what a user writes or reads with `kubectl`; its doc comments become the descriptions of the CRDs
//! (`kubectl explain release.spec`).

pub mod crds;
pub mod experiment;
pub mod metric;
pub mod release;
pub mod route_match;
pub mod route_policy;
pub mod rules;
pub mod status;

pub use experiment::{Experiment, ExperimentSpec, ExperimentStatus};
pub use metric::{Metric, MetricSpec};
pub use release::{Release, ReleaseSpec, ReleaseStatus};
pub use route_policy::{RoutePolicy, RoutePolicySpec, RoutePolicyStatus};

/// The API group of all our kinds.
pub const GROUP: &str = "iter8.tools";

/// The version that `Release` and `RoutePolicy` are served in.
pub const VERSION: &str = "v1alpha1";

/// The version that `Experiment` and `Metric` are served in.
pub const EXPERIMENT_VERSION: &str = "v2alpha1";

/// Label keys that the operator sets or reads.
pub mod labels {
    /// `"true"` on every workload, Service and weight `ConfigMap` of a version.
    pub const WATCH: &str = "iter8.tools/watch";
    /// The Release that an object was made for; with our field manager it marks an object that may be adopted.
    pub const RELEASE: &str = "iter8.tools/release";
}

/// Annotation keys that the operator sets or reads.
pub mod annotations {
    /// On a weight `ConfigMap`: the live weight, an integer 0..100. Users may change it.
    pub const WEIGHT: &str = "iter8.tools/weight";
    /// On a weight `ConfigMap`: the spec's weight when `WEIGHT` was last set from it.
    pub const SPEC_WEIGHT: &str = "iter8.tools/spec-weight";
    /// On a Deployment: digest of its pod template without the version's own name and `app` label.
    pub const TEMPLATE: &str = "iter8.tools/template";
    /// On a Deployment: the spec's number of replicas when it was last set from it.
    pub const REPLICAS: &str = "iter8.tools/replicas";
}

/// Field managers of server-side apply, one per controller.
pub mod managers {
    /// Everything that the Release controller writes.
    pub const RELEASE: &str = "iter8-release";
    /// The number of replicas that a promotion gives to its source.
    pub const RELEASE_SCALE: &str = "iter8-release-scale";
    /// Routes and the status of `RoutePolicies`.
    pub const ROUTE_POLICY: &str = "iter8-route-policy";
    /// The weights that experiments move, and the status of `Experiments`.
    pub const EXPERIMENT: &str = "iter8-experiment";
}
