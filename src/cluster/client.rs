//! The connection to the API server.

use std::error::Error;

use anyhow::anyhow;
use kube::{Client, Config};

/// Connects: with the kubeconfig if there is one (`KUBECONFIG`, `~/.kube/config`), else with the Pod's ServiceAccount.
///
/// No retries in the client (the queue's backoff decides, and sees every failure), no rate limit (the number of workers
/// bounds the requests), user agent `iter8/<version>`.
///
/// Errors: neither names a cluster.
pub async fn connect() -> anyhow::Result<Client> {
    let config = Config::infer().await.map_err(|error| match error.source() {
        Some(kubeconfig) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => {
            anyhow!("no cluster to connect to: {kubeconfig}, and this is no Pod of one")
        }
        _ => anyhow!("no cluster to connect to: {error}"),
    })?;
    with(config)
}

/// A client with this configuration.
pub fn with(mut config: Config) -> anyhow::Result<Client> {
    config.default_retry = false;
    config.headers.push((
        "user-agent".parse()?,
        concat!("iter8/", env!("CARGO_PKG_VERSION")).parse()?,
    ));
    Ok(Client::try_from(config)?)
}
