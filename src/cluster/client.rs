//! The connections to the API server.

use std::error::Error;
use std::time::Duration;

use anyhow::anyhow;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use kube::{Client, Config};
use tower::util::MapFutureLayer;
use tower::{BoxError, ServiceBuilder};

use super::apply::Fence;
use super::metrics::{Metrics, count_requests};

mod gate;

use gate::Gate;

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may come before the server is asked whether it is there, as in Go's clients.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long the answer to that may take: then the connection is lost, and with it every watch on it. So a server that
/// vanished is missed after 45 s, and not when the watches' own time is over.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// How often the kernel asks within that time.
const KEEP_ALIVE_PROBES: u32 = 3;

/// Bytes of an answer that may be on their way before they are read: a list of everything comes as fast as it is read.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What asks the API server. Each is one HTTP/2 connection, which stays open: the first write after a quiet night does not
/// wait for a new one.
pub struct Clients {
    /// Lists and watches.
    pub watches: Client,
    /// Everything else, so that a write waits for no list.
    pub writes: Client,
    /// The Lease: it is renewed whatever becomes of the others. Not connected unless it is used.
    pub lease: Client,
}

/// What keeps the writes of a replica that no longer leads from reaching the server.
#[derive(Clone)]
pub struct Guard {
    /// Until when it leads.
    pub fence: Fence,
    /// How long bytes may be on their way after that: what is sent later than that by the kernel, as when a network is
    /// mended, could come after the next leader's first write.
    pub on_the_way: Duration,
}

/// Connects: with the kubeconfig if there is one (`KUBECONFIG`, `~/.kube/config`), else with the Pod's ServiceAccount.
///
/// Errors: neither names a cluster.
pub async fn connect(metrics: &Metrics, guard: Option<Guard>) -> anyhow::Result<Clients> {
    let config = Config::infer().await.map_err(|error| match error.source() {
        Some(kubeconfig) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => {
            anyhow!("no cluster to connect to: {kubeconfig}, and this is no Pod of one")
        }
        _ => anyhow!("no cluster to connect to: {error}"),
    })?;
    Ok(Clients {
        watches: with(config.clone(), metrics, None)?,
        lease: with(config.clone(), metrics, None)?,
        writes: with(config, metrics, guard)?,
    })
}

/// A client with this configuration, whose requests are counted.
///
/// No retries in the client (the queue's backoff decides, and sees every failure), no rate limit (the number of workers
/// bounds the requests), user agent `iter8/<version>`. A server that does not speak HTTP/2, as one without TLS, is spoken
/// to in HTTP/1.1, with a connection for each request at a time.
///
/// Errors: certificates or keys that cannot be read.
pub fn with(mut config: Config, metrics: &Metrics, guard: Option<Guard>) -> anyhow::Result<Client> {
    config.headers.push((
        "user-agent".parse()?,
        concat!("iter8/", env!("CARGO_PKG_VERSION")).parse()?,
    ));
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // HTTP/1.1 has no pings: there the kernel asks.
    http.set_keepalive(Some(KEEP_ALIVE));
    http.set_keepalive_interval(Some(KEEP_ALIVE_TIMEOUT / KEEP_ALIVE_PROBES));
    http.set_keepalive_retries(Some(KEEP_ALIVE_PROBES));
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(guard.as_ref().map(|guard| guard.on_the_way));
    let http = Gate {
        connector: http,
        fence: guard.map(|guard| guard.fence),
    };
    let mut https = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = FixedServerNameResolver::new(name.clone().try_into()?);
        https = https.with_server_name_resolver(name);
    }
    // Whoever waits for a connection gets the first that is there: nobody needs another. TLS has its time too: a server that
    // says nothing must not keep the place.
    let one_at_a_time = ServiceBuilder::new()
        .concurrency_limit(1)
        .layer(MapFutureLayer::new(Box::pin))
        .timeout(CONNECT_TIMEOUT);
    let connector = one_at_a_time.service(https.enable_all_versions().wrap_connector(http));
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(None)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(8 * STREAM_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(count_requests(&metrics.requests))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace))
}
