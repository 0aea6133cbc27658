//! All I/O with the providers of metrics: one number for one query.
//!
//! Whoever may create a Metric says what is asked, and of whom. So hosts are allowed one by one, and everything has a bound:
//! the time that a query takes, how many are on their way, how much of an answer is read, how much of it is told.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::model::query::{Query, Reader, Sample};

mod answers;
mod hosts;
mod http;
pub mod jq;
mod prometheus;
mod shared;
#[cfg(test)]
mod tests;

use self::answers::brief;
use self::hosts::Hosts;
use self::http::Http;
use self::jq::Programs;
use self::shared::Shared;

/// How long a query may take, from when it is sent until its number is known.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many queries may be on their way.
const AT_ONCE: usize = 32;

/// Whom the operator asks.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The Prometheus that Metrics mean which name no other: a base URL, as in `http://prometheus.monitoring:9090`.
    pub prometheus: Option<String>,
    /// Who may be asked besides: `host` (at any port) or `host:port`.
    pub allowed_hosts: Vec<String>,
}

/// Asks providers of metrics.
pub struct Provider {
    prometheus: Option<String>,
    hosts: Hosts,
    asking: Arc<Asking>,
    shared: Shared<Key>,
}

impl Provider {
    /// A provider with these settings.
    ///
    /// Errors: a setting that is no URL, or no host.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        Ok(Self {
            hosts: Hosts::new(&settings)?,
            prometheus: settings.prometheus,
            asking: Arc::new(Asking {
                http: Http::new(),
                // Where nobody knows it, as without /proc, that is said when a program is to be run.
                programs: Programs::new(std::env::current_exe().unwrap_or_default()),
                places: Semaphore::new(AT_ONCE),
                timeout: TIMEOUT,
            }),
            shared: Shared::default(),
        })
    }

    /// The number; an answer that is not older than `max_age` may be one that somebody else asked for: equal queries are sent
    /// once.
    ///
    /// A query that was sent is answered and remembered even if nobody waits for it any more.
    pub async fn ask(&self, query: &Query, max_age: Duration) -> Sample {
        let host = match self.hosts.check(&query.url) {
            Ok(host) => host,
            Err(reason) => return Sample::Error(brief(reason)),
        };
        let (asking, own) = (Arc::clone(&self.asking), query.clone());
        let ask = async move { asking.ask(&host, &own).await };
        self.shared.get(Key::of(query), max_age, ask).await
    }

    /// The Prometheus that Metrics mean which name no other.
    pub fn prometheus(&self) -> Option<&str> {
        self.prometheus.as_deref()
    }
}

/// What asks, behind what is shared.
struct Asking {
    http: Http,
    programs: Programs,
    places: Semaphore,
    timeout: Duration,
}

impl Asking {
    async fn ask(&self, host: &str, query: &Query) -> Sample {
        // Waiting for a place is not the provider's fault: its time begins afterwards.
        let Ok(_place) = self.places.acquire().await else {
            return Sample::Error("the operator ends".to_owned());
        };
        let deadline = Instant::now() + self.timeout;
        let answer = match timeout_at(deadline, self.http.fetch(query)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Sample::Error(brief(format_args!("{host}: {reason}"))),
            Err(_) => return Sample::Error(format!("{host} did not answer within {:?}", self.timeout)),
        };
        match &query.reader {
            Reader::Prometheus => prometheus::read(&answer),
            Reader::Jq(expression) => self.programs.run(expression, answer, deadline).await,
        }
    }
}

/// What stands for a query where answers are remembered: it takes little room, and nothing that is secret can be read in it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key([u8; 32]);

impl Key {
    fn of(query: &Query) -> Self {
        let mut digest = QueryDigest(Sha256::new());
        query.hash(&mut digest);
        Self(digest.0.finalize().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Takes what `Hash` tells of a query.
struct QueryDigest(Sha256);

impl Hasher for QueryDigest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is read whole.
    fn finish(&self) -> u64 {
        0
    }
}
