//! Which kinds there are: those that the operator writes, and any other that a RoutePolicy may name.

use std::fmt;
use std::sync::Arc;

/// A kind that the operator itself reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Kind {
    Release,
    RoutePolicy,
    Deployment,
    Service,
    ConfigMap,
    VirtualService,
    HttpRoute,
    Experiment,
    Metric,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Release,
        Self::RoutePolicy,
        Self::Deployment,
        Self::Service,
        Self::ConfigMap,
        Self::VirtualService,
        Self::HttpRoute,
        Self::Experiment,
        Self::Metric,
    ];

    /// Its API group; the core group is empty.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Release | Self::RoutePolicy | Self::Experiment | Self::Metric => crate::api::GROUP,
            Self::Deployment => "apps",
            Self::Service | Self::ConfigMap => "",
            Self::VirtualService => "networking.istio.io",
            Self::HttpRoute => "gateway.networking.k8s.io",
        }
    }

    /// The version that it is read and written in.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Release | Self::RoutePolicy => crate::api::VERSION,
            Self::Experiment | Self::Metric => crate::api::EXPERIMENT_VERSION,
            _ => "v1",
        }
    }

    /// `group/version`, as in `apiVersion`.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Release | Self::RoutePolicy => "iter8.tools/v1alpha1",
            Self::Experiment | Self::Metric => "iter8.tools/v2alpha1",
            Self::Deployment => "apps/v1",
            Self::Service | Self::ConfigMap => "v1",
            Self::VirtualService => "networking.istio.io/v1",
            Self::HttpRoute => "gateway.networking.k8s.io/v1",
        }
    }

    /// Its name, as in `kind`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Release => "Release",
            Self::RoutePolicy => "RoutePolicy",
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::VirtualService => "VirtualService",
            Self::HttpRoute => "HTTPRoute",
            Self::Experiment => "Experiment",
            Self::Metric => "Metric",
        }
    }

    /// Its plural, as in URLs and RBAC rules.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Release => "releases",
            Self::RoutePolicy => "routepolicies",
            Self::Deployment => "deployments",
            Self::Service => "services",
            Self::ConfigMap => "configmaps",
            Self::VirtualService => "virtualservices",
            Self::HttpRoute => "httproutes",
            Self::Experiment => "experiments",
            Self::Metric => "metrics",
        }
    }

    /// The field manager that writes its status, of a kind of ours.
    pub const fn reporter(self) -> &'static str {
        match self {
            Self::RoutePolicy => crate::api::managers::ROUTE_POLICY,
            Self::Experiment => crate::api::managers::EXPERIMENT,
            _ => crate::api::managers::RELEASE,
        }
    }

    /// The field manager that writes it.
    pub const fn manager(self) -> &'static str {
        match self {
            Self::VirtualService | Self::HttpRoute => crate::api::managers::ROUTE_POLICY,
            Self::Experiment => crate::api::managers::EXPERIMENT,
            _ => crate::api::managers::RELEASE,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// Any kind: one of ours, or one that a RoutePolicy names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KindRef {
    /// A kind that the operator reads and writes.
    Known(Kind),
    /// A kind that is watched while a RoutePolicy names it.
    Other(Arc<Gvk>),
}

/// Group, version and kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// API group; the core group is empty.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl KindRef {
    /// From `apiVersion` and `kind`. Any served version of a kind that we know stands for that kind.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Kind::ALL
            .into_iter()
            .find(|known| known.group() == group && known.kind() == kind)
            .map_or_else(
                || {
                    Self::Other(Arc::new(Gvk {
                        group: group.to_owned(),
                        version: version.to_owned(),
                        kind: kind.to_owned(),
                    }))
                },
                Self::Known,
            )
    }

    /// As in `apiVersion`.
    pub fn api_version(&self) -> String {
        match self {
            Self::Known(kind) => kind.api_version().to_owned(),
            Self::Other(gvk) if gvk.group.is_empty() => gvk.version.clone(),
            Self::Other(gvk) => format!("{}/{}", gvk.group, gvk.version),
        }
    }
}

impl fmt::Display for KindRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(kind) => f.write_str(kind.kind()),
            Self::Other(gvk) => f.write_str(&gvk.kind),
        }
    }
}
