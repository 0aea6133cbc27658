//! `iter8 run`: the operator.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::client::{self, Clients, Guard};
use crate::cluster::lease::{Leases, Term};
use crate::cluster::{Metrics, apply::Fence};
use crate::controller::experiment::WeightTarget;
use crate::controller::measuring::Laboratory;
use crate::controller::operator::{Operator, Setup};
use crate::controller::probe::Probe;
use crate::provider::{self, Provider};
use crate::server::election::{Election, Ended, Standing, Timing};
use crate::server::http::{self, Pages};
use crate::server::shutdown::Shutdown;
use crate::server::telemetry;

/// Run the operator until SIGTERM or SIGINT; what was begun is ended first.
///
/// The cluster is the current context of the kubeconfig (KUBECONFIG, else ~/.kube/config), or, inside a Pod, the one
/// that it runs in.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Watch this namespace only (default: all).
    #[arg(long, short, env = "ITER8_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,

    /// How log lines look.
    #[arg(long, env = "ITER8_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: telemetry::Format,

    /// Which log lines are written: error, warn, info, debug, trace, or a filter as in iter8=debug,kube=warn.
    #[arg(long, env = "ITER8_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: String,

    /// Take the level from this file instead, whenever it changes: it is read every 5 s, and at SIGHUP.
    #[arg(long, env = "ITER8_LOG_LEVEL_FILE", value_name = "FILE")]
    log_level_file: Option<PathBuf>,

    /// Answer /metrics, /healthz and /readyz there, as in 0.0.0.0:8080.
    #[arg(long, env = "ITER8_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    lease: LeaseArgs,

    #[command(flatten)]
    experiments: ExperimentArgs,
}

/// What experiments may do.
#[derive(Debug, clap::Args)]
struct ExperimentArgs {
    /// The Prometheus that Metrics ask, unless they say another, as in `http://prometheus.monitoring:9090`.
    #[arg(
        long,
        env = "ITER8_PROMETHEUS",
        value_name = "URL",
        default_value = "",
        hide_default_value = true
    )]
    prometheus: String,

    /// Other hosts that Metrics may name, as in api.example.com or prometheus.other:9090; anything else is refused.
    #[arg(
        long,
        env = "ITER8_ALLOWED_HOSTS",
        value_name = "HOSTS",
        value_delimiter = ',',
        default_value = "",
        hide_default_value = true
    )]
    allowed_hosts: Vec<String>,

    /// The kinds of objects whose weights experiments may move, each PLURAL[.GROUP]:KIND. The operator needs the right
    /// to get and patch them.
    #[arg(
        long,
        env = "ITER8_WEIGHT_TARGETS",
        value_name = "KINDS",
        value_delimiter = ',',
        default_value = "configmaps:ConfigMap,services.serving.knative.dev:Service,virtualservices.networking.istio.io:VirtualService,httproutes.gateway.networking.k8s.io:HTTPRoute"
    )]
    weight_targets: Vec<String>,

    /// The namespace whose Metrics experiments of all namespaces may name.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    metrics_namespace: Option<String>,
}

/// Which of several replicas writes.
#[derive(Debug, clap::Args)]
struct LeaseArgs {
    /// Write only while this replica holds a Lease, so that several can run; the others keep their caches warm.
    #[arg(long, env = "ITER8_LEADER_ELECT")]
    leader_elect: bool,

    /// Name of the Lease.
    #[arg(long, value_name = "NAME", default_value = "iter8")]
    lease_name: String,

    /// Namespace of the Lease (default: the Pod's own, or that of the kubeconfig's context).
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    lease_namespace: Option<String>,

    /// How long other replicas wait for a leader that does not renew the Lease.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    lease_duration: Duration,

    /// How long a leader that cannot renew the Lease goes on; then the process ends.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    lease_renew_deadline: Duration,

    /// How often a leader renews the Lease.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    lease_retry_period: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u32 = text
        .parse()
        .map_err(|_| "a whole number of seconds is needed".to_owned())?;
    Ok(Duration::from_secs(seconds.into()))
}

/// Longest time that a request may take where no other replica can take over.
const NO_FENCE: Duration = Duration::from_hours(1);

/// Runs the operator.
///
/// Errors: no cluster to connect to, a bad log level, an address that cannot be listened at, or a lost Lease.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let level = telemetry::init(args.log_format, &args.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(args, level))
}

async fn run(args: &Args, level: telemetry::Level) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::install()?;
    if let Some(file) = &args.log_level_file {
        tokio::spawn(level.follow(file.clone()));
    }
    let metrics = Arc::new(Metrics::new()?);
    let timing = args.lease.timing()?;
    let term = Term::default();
    let guard = args.lease.leader_elect.then(|| Guard {
        fence: term.fence(),
        on_the_way: timing.lease.saturating_sub(timing.renew_deadline).mul_f64(0.8),
    });
    let fence: Fence = guard.as_ref().map_or_else(
        || Arc::new(|| Some(NO_FENCE)) as Fence,
        |guard| Arc::clone(&guard.fence),
    );
    let clients = client::connect(&metrics, guard).await?;
    let listener = match args.listen {
        Some(address) => Some(listen(address).await.with_context(|| format!("--listen {address}"))?),
        None => None,
    };
    let election = args
        .lease
        .leader_elect
        .then(|| args.lease.election(&clients, timing, term));
    let scope = args.namespace.as_deref().unwrap_or("all namespaces");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), scope, "iter8 starts");
    let operator = Operator::start(Setup {
        clients,
        namespace: args.namespace.clone(),
        instance: pod_name(),
        fence,
        metrics,
        laboratory: args.experiments.laboratory()?,
        weight_targets: args.experiments.weight_targets()?,
    });
    if let Some(listener) = listener {
        tracing::info!(address = %listener.local_addr()?, "metrics and health are served");
        let standing = election.as_ref().map(Election::standing);
        tokio::spawn(http::serve(listener, pages(operator.probe(), standing)));
    }
    let mut candidate = election.map(|election| Candidate::new(election, &operator));
    tokio::select! {
        () = shutdown.requested() => {}
        lost = Candidate::lost(&mut candidate) => return lost,
    }
    tracing::info!("iter8 stops: ending what was begun");
    let ended = operator.stop().await;
    match candidate {
        // One that cannot tell what became of its writes lets the Lease run out.
        Some(candidate) if ended => candidate.stop().await,
        _ => Ok(()),
    }
}

/// Listens there. Every address is meant by `[::]`, also of a machine that has no IPv6.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        listener => listener,
    }
}

fn pod_name() -> Option<String> {
    std::env::var("POD_NAME").ok()
}

impl ExperimentArgs {
    /// Errors: one that is none.
    fn weight_targets(&self) -> anyhow::Result<Vec<WeightTarget>> {
        let targets = self.weight_targets.iter().filter(|target| !target.trim().is_empty());
        let targets = targets.map(|target| target.parse().map_err(anyhow::Error::msg));
        targets.collect::<Result<_, _>>().context("--weight-targets")
    }

    fn laboratory(&self) -> anyhow::Result<Laboratory> {
        let given = |text: &String| !text.trim().is_empty();
        let hosts = self.allowed_hosts.iter().filter(|host| given(host));
        let provider = Provider::new(provider::Settings {
            prometheus: Some(self.prometheus.trim().to_owned()).filter(given),
            allowed_hosts: hosts.map(|host| host.trim().to_owned()).collect(),
        })?;
        Ok(Laboratory {
            provider,
            namespace: self.metrics_namespace.clone(),
        })
    }
}

impl LeaseArgs {
    fn timing(&self) -> anyhow::Result<Timing> {
        let timing = Timing {
            lease: self.lease_duration,
            renew_deadline: self.lease_renew_deadline,
            retry: self.lease_retry_period,
        };
        timing.check()
    }

    fn election(&self, clients: &Clients, timing: Timing, term: Term) -> Election {
        let leases = Leases::new(clients.lease.clone(), self.lease_namespace.as_deref(), &self.lease_name);
        // Two processes are never taken for one, even when they have the same name.
        let pod = pod_name().unwrap_or_else(|| "iter8".to_owned());
        Election::new(leases, format!("{pod}_{:08x}", fastrand::u32(..)), timing, term)
    }
}

/// A replica that takes part in an election.
struct Candidate {
    stop: watch::Sender<bool>,
    task: JoinHandle<Ended>,
}

impl Candidate {
    fn new(election: Election, operator: &Operator) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(election.run(operator.begin(), stopped));
        Self { stop, task }
    }

    /// Waits until the Lease is lost; for ever, if there is none.
    async fn lost(candidate: &mut Option<Self>) -> anyhow::Result<()> {
        match candidate {
            Some(candidate) => judge((&mut candidate.task).await?),
            None => std::future::pending().await,
        }
    }

    /// Gives the Lease back.
    async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        judge(self.task.await?)
    }
}

fn judge(ended: Ended) -> anyhow::Result<()> {
    match ended {
        Ended::Stopped => Ok(()),
        Ended::Lost => Err(anyhow::anyhow!("the lease is lost: another replica may lead")),
    }
}

fn pages(probe: Probe, standing: Option<Standing>) -> Pages {
    let (metrics, alive) = (probe.clone(), probe.clone());
    let ready = move || {
        let (ready, mut text) = probe.ready();
        let (seen, lease) = standing.as_ref().map_or((true, String::new()), Standing::told);
        text.push_str(&lease);
        (ready && seen, text)
    };
    Pages {
        metrics: Arc::new(move || metrics.metrics()),
        alive: Arc::new(move || alive.alive()),
        ready: Arc::new(ready),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        experiments: ExperimentArgs,
    }

    fn weight_targets(arguments: &[&str]) -> anyhow::Result<Vec<WeightTarget>> {
        let all = ["iter8"].iter().chain(arguments);
        Only::try_parse_from(all)?.experiments.weight_targets()
    }

    #[test]
    fn an_operator_may_be_told_to_move_no_weights_at_all() {
        assert_eq!(weight_targets(&[]).unwrap().len(), 4);
        assert_eq!(weight_targets(&["--weight-targets="]).unwrap(), []);
        let one = weight_targets(&["--weight-targets=configmaps:ConfigMap"]).unwrap();
        assert_eq!((one[0].group.as_str(), one[0].kind.as_str()), ("", "ConfigMap"));
        assert!(weight_targets(&["--weight-targets=configmaps"]).is_err());
    }
}
