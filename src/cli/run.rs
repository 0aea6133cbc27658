//! `iter8 run`: the operator.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::client;
use crate::controller::operator::Operator;
use crate::server::{shutdown, telemetry};

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
    runtime.block_on(async {
        let clients = client::connect().await?;
        let scope = args.namespace.as_deref().unwrap_or("all namespaces");
        tracing::info!(version = env!("CARGO_PKG_VERSION"), scope, "iter8 starts");
        let instance = std::env::var("POD_NAME").ok();
        let operator = Operator::start(clients, args.namespace.clone(), instance, Arc::new(|| Some(NO_FENCE)));
        shutdown::requested().await?;
        tracing::info!("iter8 stops: ending what was begun");
        operator.stop().await;
        Ok(())
    })
}
