//! `iter8 run`: the operator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::cluster::{Metrics, client};
use crate::controller::operator::{Operator, Setup};
use crate::controller::probe::Probe;
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

    /// Answer /metrics, /healthz and /readyz there, as in 0.0.0.0:8080.
    #[arg(long, env = "ITER8_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Longest time that a request may take, as no other replica can take over yet.
const NO_FENCE: Duration = Duration::from_hours(1);

/// Runs the operator.
///
/// Errors: no cluster to connect to, or a bad log level.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    telemetry::init(args.log_format, &args.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::install()?;
    let metrics = Arc::new(Metrics::new()?);
    let clients = client::connect(&metrics).await?;
    let listener = match args.listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("--listen {address}"))?,
        ),
        None => None,
    };
    let scope = args.namespace.as_deref().unwrap_or("all namespaces");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), scope, "iter8 starts");
    let operator = Operator::start(Setup {
        clients,
        namespace: args.namespace.clone(),
        instance: std::env::var("POD_NAME").ok(),
        fence: Arc::new(|| Some(NO_FENCE)),
        metrics,
    });
    if let Some(listener) = listener {
        tracing::info!(address = %listener.local_addr()?, "metrics and health are served");
        tokio::spawn(http::serve(listener, pages(operator.probe())));
    }
    shutdown.requested().await;
    tracing::info!("iter8 stops: ending what was begun");
    operator.stop().await;
    Ok(())
}

fn pages(probe: Probe) -> Pages {
    let (metrics, alive) = (probe.clone(), probe.clone());
    Pages {
        metrics: Arc::new(move || metrics.metrics()),
        alive: Arc::new(move || alive.alive()),
        ready: Arc::new(move || probe.ready()),
    }
}
