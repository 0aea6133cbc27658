//! What the operator may do: the rules from which the roles in `config/` and in `charts/controller` are made.

/// One rule, as in RBAC (`rbac.authorization.k8s.io/v1`, `PolicyRule`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// API group; the core group is empty.
    pub group: &'static str,
    /// Plurals, with `/status` for that subresource.
    pub resources: &'static [&'static str],
    /// Verbs, as in RBAC.
    pub verbs: &'static [&'static str],
    /// What the operator needs it for.
    pub why: &'static str,
}

/// Everything is listed once, and then watched.
const READ: &[&str] = &["list", "watch"];
/// Server-side apply is a patch; of an object that does not exist yet also a create.
const READ_AND_WRITE: &[&str] = &["list", "watch", "create", "patch", "delete"];
/// Status is applied too, to objects that exist.
const REPORT: &[&str] = &["patch"];
/// An Experiment looks at its target by itself.
const LOOK_AND_READ: &[&str] = &["get", "list", "watch"];
/// A weight is read, and written where it stands.
const MOVE: &[&str] = &["get", "patch"];

impl Permission {
    /// Whether its objects are in no namespace, so that a `Role` cannot give it.
    pub fn is_outside_of_namespaces(&self) -> bool {
        self.group == "apiextensions.k8s.io"
    }
}

/// What the operator asks of an API server wherever it watches: in all namespaces, or in one. There it has a `Role`, and
/// not the right to that which is in no namespace.
pub const PERMISSIONS: &[Permission] = &[
    Permission {
        group: "iter8.tools",
        resources: &["releases"],
        verbs: READ,
        why: "what users want released",
    },
    Permission {
        group: "iter8.tools",
        resources: &["experiments", "metrics"],
        verbs: READ,
        why: "what users want tried out, and how numbers are asked for",
    },
    Permission {
        group: "iter8.tools",
        resources: &["releases/status", "routepolicies/status", "experiments/status"],
        verbs: REPORT,
        why: "what became of it",
    },
    Permission {
        group: "iter8.tools",
        resources: &["routepolicies"],
        verbs: READ_AND_WRITE,
        why: "what users want routed, and the routing of each Release",
    },
    Permission {
        group: "apps",
        resources: &["deployments"],
        verbs: READ_AND_WRITE,
        why: "the versions of a Release, and whether they are available",
    },
    Permission {
        group: "",
        resources: &["services", "configmaps"],
        verbs: READ_AND_WRITE,
        why: "the Services of a Release and its versions, and the live weights (of ConfigMaps only metadata is read)",
    },
    Permission {
        group: "networking.istio.io",
        resources: &["virtualservices"],
        verbs: READ_AND_WRITE,
        why: "routes of Istio",
    },
    Permission {
        group: "gateway.networking.k8s.io",
        resources: &["httproutes"],
        verbs: READ_AND_WRITE,
        why: "routes of the Gateway API",
    },
    Permission {
        group: "apps",
        resources: &["statefulsets", "daemonsets", "replicasets"],
        verbs: READ,
        why: "readiness of versions that a RoutePolicy says are made of these; other kinds need a rule of their own",
    },
    Permission {
        group: "serving.knative.dev",
        resources: &["services"],
        verbs: LOOK_AND_READ,
        why: "readiness of versions that a RoutePolicy says are made of these, and of targets of Experiments",
    },
    Permission {
        group: "apiextensions.k8s.io",
        resources: &["customresourcedefinitions"],
        verbs: READ,
        why: "which of these kinds are installed (only metadata is read)",
    },
    Permission {
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create", "patch"],
        why: "Events on Releases, RoutePolicies and Experiments",
    },
];

/// In what Experiments may move weights (`weightObjRef`), by default: the chart's `experiments.weightTargets` says it.
pub const WEIGHT_TARGETS: &[Permission] = &[
    Permission {
        group: "",
        resources: &["configmaps"],
        verbs: MOVE,
        why: "weights that Experiments move: in ConfigMaps",
    },
    Permission {
        group: "serving.knative.dev",
        resources: &["services"],
        verbs: MOVE,
        why: "weights that Experiments move: of revisions of Knative Services",
    },
    Permission {
        group: "networking.istio.io",
        resources: &["virtualservices"],
        verbs: MOVE,
        why: "weights that Experiments move: in VirtualServices of users",
    },
    Permission {
        group: "gateway.networking.k8s.io",
        resources: &["httproutes"],
        verbs: MOVE,
        why: "weights that Experiments move: in HTTPRoutes of users",
    },
];

/// What it asks for in the namespace that it runs in.
pub const OWN_NAMESPACE: &[Permission] = &[Permission {
    group: "coordination.k8s.io",
    resources: &["leases"],
    verbs: &["list", "watch", "create", "update"],
    why: "which replica leads",
}];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::Resource;
    use crate::model::kind::Kind;

    #[test]
    fn every_kind_of_the_operators_own_may_be_watched() {
        for kind in Kind::ALL {
            let Resource { group, plural, .. } = Resource::from(kind);
            let rule = PERMISSIONS
                .iter()
                .find(|rule| rule.group == group && rule.resources.contains(&plural.as_str()));
            let verbs = rule.map(|rule| rule.verbs).unwrap_or_default();
            assert!(READ.iter().all(|verb| verbs.contains(verb)), "{kind}: {verbs:?}");
        }
    }

    #[test]
    fn weights_are_nowhere_but_in_one_kind_a_rule() {
        for rule in WEIGHT_TARGETS {
            assert_eq!(rule.resources.len(), 1, "{rule:?}");
            assert_eq!(rule.verbs, MOVE, "{rule:?}");
            assert!(!rule.is_outside_of_namespaces(), "{rule:?}");
        }
    }
}
