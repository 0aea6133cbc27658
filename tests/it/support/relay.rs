//! A connection between the operator and the API server that a test can disturb.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioExecutor;
use k8s_openapi::ByteString;
use kube::Config;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::api::RUNTIME;

mod connection;
mod exchange;
mod fault;
mod wire;

pub use fault::{Asked, Fault, Refusal, Which};

use exchange::Upstream;
use fault::Rule;
use wire::Line;

/// Speaks with clients as the API server does, over TLS, in HTTP/2 or HTTP/1.1, and passes on what they ask for.
pub struct Relay {
    /// For clients: as the one whose rights it was started with.
    pub kubeconfig: PathBuf,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the connections of a relay have in common.
struct Shared {
    upstream: Upstream,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    hold: watch::Sender<bool>,
    /// The connections that were opened so far.
    lines: Mutex<Vec<Line>>,
    /// Whether nobody answers on connections that are opened from now on.
    silent: AtomicBool,
    /// Whether connections are closed as soon as they are open.
    closed: AtomicBool,
}

/// What a relay speaks besides HTTP/1.1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http2,
    Http1Only,
}

impl Relay {
    /// Passes everything on, for clients with the rights of this kubeconfig.
    pub fn start(rights: &Path) -> Self {
        Self::with(rights, Speaks::Http2)
    }

    /// Like an API server behind a proxy that speaks HTTP/1.1 only.
    pub fn without_http2(rights: &Path) -> Self {
        Self::with(rights, Speaks::Http1Only)
    }

    fn with(rights: &Path, speaks: Speaks) -> Self {
        let config = RUNTIME.block_on(async {
            let kubeconfig = Kubeconfig::read_from(rights).unwrap();
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()
        });
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.rustls_client_config().unwrap())
            .https_only()
            .enable_all_versions()
            .build();
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
        let shared = Arc::new(Shared {
            upstream: Upstream::new(client, &config.cluster_url),
            rules: Mutex::default(),
            asked: Mutex::default(),
            hold: watch::Sender::new(false),
            lines: Mutex::default(),
            silent: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tls, authority) = wire::tls(speaks == Speaks::Http2);
        let kubeconfig = rights.with_file_name(format!("relay-{port}.kubeconfig"));
        fs::write(&kubeconfig, redirected(rights, port, authority).to_string()).unwrap();
        let serve = connection::serve(listener, tls, Arc::clone(&shared));
        Self {
            kubeconfig,
            shared,
            task: RUNTIME.spawn(serve).abort_handle(),
        }
    }

    /// From now on the answers to writes are held back, though the writes are carried out.
    pub fn hold_answers_to_writes(&self) {
        self.shared.hold.send_replace(true);
    }

    /// Lets through what was held back.
    pub fn let_go(&self) {
        self.shared.hold.send_replace(false);
    }

    /// From now on this befalls requests, in place of what may befall them already; `most` bounds how many of them.
    pub fn disturb(&self, which: Which, fault: Fault, most: Option<usize>) {
        let left = most.unwrap_or(usize::MAX);
        self.shared.rules.lock().unwrap().push(Rule { which, fault, left });
    }

    /// From now on nothing befalls requests any more; one that hangs goes on doing so.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// From now on writes with this in their path are not carried out, and answered as by an API server that has
    /// lost its etcd for a moment; `None`: no more.
    pub fn fail_writes(&self, of: Option<&str>) {
        self.fail(Which::writes, of);
    }

    /// The same of reads.
    pub fn fail_reads(&self, of: Option<&str>) {
        self.fail(Which::reads, of);
    }

    fn fail(&self, which: impl Fn(&str) -> Which, of: Option<&str>) {
        self.heal();
        if let Some(of) = of {
            self.disturb(which(of), Fault::Refused(Refusal::FAILURE), None);
        }
    }

    /// What was asked for, in its order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The requests that something befell: method and path.
    pub fn disturbed(&self) -> Vec<String> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.disturbed);
        asked.into_iter().map(|asked| asked.line).collect()
    }

    /// The other end of all connections vanishes: nothing comes from there any more, and nobody says so.
    pub fn vanish(&self) {
        for line in self.shared.lines.lock().unwrap().iter() {
            line.freeze();
        }
    }

    /// Breaks all connections.
    pub fn hang_up(&self) {
        for line in self.shared.lines.lock().unwrap().drain(..) {
            line.cut();
        }
    }

    /// Whether connections that are opened from now on are closed at once.
    pub fn refuse_connections(&self, refuse: bool) {
        self.shared.closed.store(refuse, Ordering::Relaxed);
    }

    /// Whether connections that are opened from now on are never answered, not even by TLS.
    pub fn ignore_connections(&self, ignore: bool) {
        self.shared.silent.store(ignore, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        self.hang_up();
    }
}

impl Shared {
    /// Notes a request.
    fn note(&self, line: String, disturbed: bool) {
        let at = Instant::now();
        self.asked.lock().unwrap().push(Asked { at, line, disturbed });
    }

    /// What befalls a request, or the next event of a watch: the rule that was made last counts.
    fn fault(&self, method: &hyper::Method, path: &str, of_event: bool) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let applies = |rule: &&mut Rule| {
            rule.left > 0 && rule.fault.is_of_event() == of_event && rule.which.matches(method, path)
        };
        let rule = rules.iter_mut().rev().find(applies)?;
        rule.left -= 1;
        Some(rule.fault.clone())
    }
}

/// The kubeconfig with another server.
fn redirected(rights: &Path, port: u16, authority: Vec<u8>) -> Value {
    let mut config: Value = serde_yaml::from_str(&fs::read_to_string(rights).unwrap()).unwrap();
    config["clusters"][0]["cluster"] = json!({
        "server": format!("https://127.0.0.1:{port}"),
        "certificate-authority-data": ByteString(authority),
    });
    config
}
