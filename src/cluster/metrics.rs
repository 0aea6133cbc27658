//! What is counted and measured, for Prometheus.
//!
//! Every operator has a registry of its own. Labels have few values: none is the name of an object or a namespace, and
//! kinds that only policies name count together as `other`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::store::{KindState, Store};
use crate::model::kind::{Kind, KindRef};

mod requests;

pub use requests::{CountRequests, count_requests};

/// Bounds of reconciles, in seconds.
const RECONCILE_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
/// Bounds of the time from readiness to the route, in seconds.
const ROUTE_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Name and meaning.
type About = (&'static str, &'static str);

const RECONCILES: About = (
    "iter8_reconcile_total",
    "Reconciles that ended, by controller (release, routepolicy) and outcome: success; conflict (done anew, as an object \
     changed meanwhile); error (tried again, later each time).",
);
const RECONCILE_DURATION: About = ("iter8_reconcile_duration_seconds", "How long reconciles took.");
const QUEUE_DEPTH: About = (
    "iter8_queue_depth",
    "Objects that wait to be reconciled, by priority: high (routes), normal (objects), low (what only tells of something).",
);
const QUEUE_OLDEST: About = (
    "iter8_queue_oldest_seconds",
    "How long the object that has waited longest for its reconcile has waited.",
);
const REQUESTS: About = (
    "iter8_api_requests_total",
    "Requests to the API server, by verb and kind as in RBAC rules (kinds that only policies name: other) and HTTP status \
     code, or error when there was no answer. A watch counts when it begins.",
);
const READINESS_TO_ROUTE: About = (
    "iter8_readiness_to_route_seconds",
    "From the event that made an object of a version ready to the answer to the write of the route that followed.",
);
const DRIFT_REPAIRS: About = (
    "iter8_drift_repairs_total",
    "Objects that somebody else changed or deleted, and that were made as they should be, by their kind.",
);
const LEADER: About = (
    "iter8_leader",
    "Whether this replica leads: 1, also where none is elected, or 0.",
);
const OBJECTS: About = (
    "iter8_objects",
    "Objects that the operator watches, by kind and readiness: true, false, unknown. Of a Release or RoutePolicy it is \
     condition Ready.",
);
const NAME_CONFLICTS: About = (
    "iter8_name_conflicts",
    "Releases and RoutePolicies that stand still as an object has a name that they need.",
);
const SYNCED: About = (
    "iter8_watch_synced",
    "Whether all objects of a kind are known: 1, or 0 when the kind is not installed, may not be watched, or its first list \
     is not in.",
);
const BUILD_INFO: About = ("iter8_build_info", "Always 1; the label tells the version.");

fn about((name, help): About) -> Opts {
    Opts::new(name, help)
}

/// A metric, for its documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub form: &'static str,
    /// Its labels.
    pub labels: Vec<String>,
    /// What it says.
    pub help: String,
}

/// The metrics of one operator.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    /// Reconciles that ended.
    pub reconciles: IntCounterVec,
    /// How long they took.
    pub reconcile_seconds: HistogramVec,
    /// Objects that wait to be reconciled.
    pub queue_depth: IntGaugeVec,
    /// How long the one that waits longest has waited.
    pub queue_oldest: Gauge,
    /// Requests to the API server.
    pub requests: IntCounterVec,
    /// From a version's readiness to its route.
    pub readiness_to_route: Histogram,
    /// What somebody else changed, and was taken back.
    pub drift_repairs: IntCounterVec,
    /// Whether this replica leads.
    pub leader: IntGauge,
    objects: IntGaugeVec,
    name_conflicts: IntGaugeVec,
    synced: IntGaugeVec,
    /// Held while gauges are set and read.
    scrape: Mutex<()>,
}

/// How a reconcile ended, as label `outcome` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Carried through.
    Success,
    /// What it was planned from has changed meanwhile: it is done anew.
    Conflict,
    /// Something failed that is tried again.
    Error,
}

impl Ended {
    const ALL: [Self; 3] = [Self::Success, Self::Conflict, Self::Error];

    /// The label's value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Conflict => "conflict",
            Self::Error => "error",
        }
    }
}

impl Metrics {
    /// New ones; all that is known beforehand is there with value 0, as rates and alerts want it.
    ///
    /// Errors: two metrics of one name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let mut described = Vec::new();
        let mut add = Add {
            registry: &registry,
            described: &mut described,
        };
        let metrics = Self {
            reconciles: add.of(IntCounterVec::new(about(RECONCILES), &["controller", "outcome"])?)?,
            reconcile_seconds: add.of(HistogramVec::new(
                HistogramOpts::from(about(RECONCILE_DURATION)).buckets(RECONCILE_SECONDS.to_vec()),
                &["controller"],
            )?)?,
            queue_depth: add.of(IntGaugeVec::new(about(QUEUE_DEPTH), &["priority"])?)?,
            queue_oldest: add.of(Gauge::with_opts(about(QUEUE_OLDEST))?)?,
            requests: add.of(IntCounterVec::new(about(REQUESTS), &["verb", "kind", "code"])?)?,
            readiness_to_route: add.of(Histogram::with_opts(
                HistogramOpts::from(about(READINESS_TO_ROUTE)).buckets(ROUTE_SECONDS.to_vec()),
            )?)?,
            drift_repairs: add.of(IntCounterVec::new(about(DRIFT_REPAIRS), &["kind"])?)?,
            leader: add.of(IntGauge::with_opts(about(LEADER))?)?,
            objects: add.of(IntGaugeVec::new(about(OBJECTS), &["kind", "ready"])?)?,
            name_conflicts: add.of(IntGaugeVec::new(about(NAME_CONFLICTS), &["kind"])?)?,
            synced: add.of(IntGaugeVec::new(about(SYNCED), &["kind"])?)?,
            registry: registry.clone(),
            described: Vec::new(),
            scrape: Mutex::default(),
        };
        add.of_build()?;
        add.of_process()?;
        metrics.zero();
        Ok(Self { described, ..metrics })
    }

    /// What there is, by name.
    pub fn described(&self) -> Vec<Described> {
        let mut all = self.described.clone();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn zero(&self) {
        for controller in [Kind::Release, Kind::RoutePolicy, Kind::Experiment].map(controller) {
            for ended in Ended::ALL {
                self.reconciles.with_label_values(&[controller, ended.label()]);
            }
            self.reconcile_seconds.with_label_values(&[controller]);
        }
        for kind in Kind::ALL {
            self.drift_repairs.with_label_values(&[kind.kind()]);
        }
    }

    /// Counts a reconcile of a Release, `RoutePolicy` or Experiment.
    pub fn reconciled(&self, kind: Kind, ended: Ended, took: Duration) {
        let controller = controller(kind);
        self.reconciles.with_label_values(&[controller, ended.label()]).inc();
        self.reconcile_seconds
            .with_label_values(&[controller])
            .observe(took.as_secs_f64());
    }

    /// All of them, as Prometheus reads them, with what the store knows now; `look` sets what others know.
    ///
    /// Errors: a metric that cannot be written.
    pub fn text(&self, store: &Store, look: impl FnOnce(&Self)) -> prometheus::Result<String> {
        let _one_at_a_time = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.look_at(store);
        look(self);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn look_at(&self, store: &Store) {
        self.objects.reset();
        self.synced.reset();
        let mut synced = BTreeMap::new();
        for (kind, state, tally) in store.tallies() {
            let label = label(&kind);
            for (ready, count) in ["true", "false", "unknown"].into_iter().zip(tally.ready) {
                self.objects.with_label_values(&[label, ready]).add(number(count));
            }
            if matches!(kind, KindRef::Known(Kind::Release | Kind::RoutePolicy)) {
                let conflicts = number(tally.conflicts);
                self.name_conflicts.with_label_values(&[label]).set(conflicts);
            }
            // Of kinds that count together all must be known.
            let all = synced.entry(label).or_insert(true);
            *all &= state == KindState::Synced;
        }
        for (label, all) in synced {
            self.synced.with_label_values(&[label]).set(i64::from(all));
        }
    }
}

/// Adds metrics to a registry, and notes what they are.
struct Add<'a> {
    registry: &'a Registry,
    described: &'a mut Vec<Described>,
}

impl Add<'_> {
    fn of<C: Collector + Clone + 'static>(&mut self, metric: C) -> prometheus::Result<C> {
        self.note(&metric);
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn of_build(&mut self) -> prometheus::Result<()> {
        let info = self.of(IntGaugeVec::new(about(BUILD_INFO), &["version"])?)?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn of_process(&mut self) -> prometheus::Result<()> {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.note(&process);
        self.registry.register(Box::new(process))
    }

    #[cfg(not(target_os = "linux"))]
    fn of_process(&mut self) -> prometheus::Result<()> {
        Ok(())
    }

    fn note(&mut self, metric: &impl Collector) {
        // A counter of a process that has not told yet has no family.
        let families = metric.collect();
        for about in metric.desc() {
            let family = families.iter().find(|family| family.name() == about.fq_name);
            let form = family.map(prometheus::proto::MetricFamily::get_field_type);
            self.described.push(Described {
                name: about.fq_name.clone(),
                form: match form {
                    Some(MetricType::HISTOGRAM) => "histogram",
                    Some(MetricType::GAUGE) => "gauge",
                    Some(MetricType::COUNTER) => "counter",
                    _ if about.fq_name.ends_with("_total") => "counter",
                    _ => "gauge",
                },
                labels: about.variable_labels.clone(),
                help: about.help.clone(),
            });
        }
    }
}

/// The name of a kind's controller.
const fn controller(kind: Kind) -> &'static str {
    match kind {
        Kind::RoutePolicy => "routepolicy",
        Kind::Experiment => "experiment",
        _ => "release",
    }
}

/// The label of kinds that only policies name.
const OTHER: &str = "other";

/// Kinds that are none of the operator's own and have a label of their own: group, plural, kind, label.
const NAMED: &[(&str, &str, &str, &str)] = &[
    ("apps", "statefulsets", "StatefulSet", "StatefulSet"),
    ("apps", "daemonsets", "DaemonSet", "DaemonSet"),
    ("apps", "replicasets", "ReplicaSet", "ReplicaSet"),
    (
        "serving.knative.dev",
        "services",
        "Service",
        "Service.serving.knative.dev",
    ),
    ("events.k8s.io", "events", "Event", "Event"),
    ("coordination.k8s.io", "leases", "Lease", "Lease"),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "CustomResourceDefinition",
    ),
];

/// What label `kind` says of a kind.
pub fn label(kind: &KindRef) -> &'static str {
    match kind {
        KindRef::Known(kind) => kind.kind(),
        KindRef::Other(gvk) => NAMED
            .iter()
            .find(|(group, _, kind, _)| (gvk.group.as_str(), gvk.kind.as_str()) == (*group, *kind))
            .map_or(OTHER, |(.., label)| label),
    }
}

/// What label `kind` says of a kind in a URL.
fn label_of(group: &str, plural: &str) -> &'static str {
    let known = Kind::ALL
        .into_iter()
        .find(|kind| (kind.group(), kind.plural()) == (group, plural));
    known.map_or_else(
        || {
            let named = NAMED
                .iter()
                .find(|(other, name, ..)| (group, plural) == (*other, *name));
            named.map_or(OTHER, |(.., label)| label)
        },
        Kind::kind,
    )
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
