//! What revisions of Knative Services tell Prometheus of their requests, without revisions and without requests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::api::RUNTIME;

/// The upper bounds of the histogram's buckets, in milliseconds, but for the last one, which has none.
const BOUNDS: [f64; 9] = [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];

/// The requests that a revision answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// So many a second.
    pub rate: f64,
    /// Each within so many milliseconds.
    pub latency: f64,
    /// The share of them whose answer is an error, from 0 to 1.
    pub errors: f64,
}

impl Load {
    /// Five requests a second, each answered well within so many milliseconds.
    pub const fn with_latency(latency: f64) -> Self {
        let (rate, errors) = (5.0, 0.0);
        Self { rate, latency, errors }
    }

    /// The time within which the histogram says that 95 of 100 are answered: within a bucket it takes all times for equally
    /// often.
    pub fn tail(&self) -> f64 {
        let upper = BOUNDS.partition_point(|bound| *bound < self.latency);
        let lower = if upper == 0 { 0.0 } else { BOUNDS[upper - 1] };
        lower + 0.95 * (BOUNDS[upper] - lower)
    }
}

/// Serves `revision_app_request_latencies` of revisions: counters that grow with time.
pub struct Exporter {
    /// Where it listens.
    pub address: SocketAddr,
    revisions: Revisions,
    task: AbortHandle,
}

type Revisions = Arc<Mutex<BTreeMap<String, Revision>>>;

/// A revision, with what it has answered so far.
struct Revision {
    load: Load,
    counted: Instant,
    good: Answers,
    bad: Answers,
}

/// Answers of one class.
#[derive(Default)]
struct Answers {
    /// The last one is of all answers.
    buckets: [f64; BOUNDS.len() + 1],
    sum: f64,
}

impl Exporter {
    /// Begins, with no revision.
    pub fn start() -> Self {
        let revisions = Revisions::default();
        let served = Arc::clone(&revisions);
        let page = move || {
            let text = page(&mut served.lock().unwrap());
            async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text) }
        };
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/metrics", get(page));
        let serve = RUNTIME.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            revisions,
            task: serve.abort_handle(),
        }
    }

    /// From now on the revision has these requests.
    pub fn set(&self, revision: &str, load: Load) {
        let mut revisions = self.revisions.lock().unwrap();
        let revision = revisions
            .entry(revision.to_owned())
            .or_insert_with(|| Revision::new(load));
        revision.count();
        revision.load = load;
    }

    /// From now on nothing is told of the revision.
    pub fn remove(&self, revision: &str) {
        self.revisions.lock().unwrap().remove(revision);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Revision {
    fn new(load: Load) -> Self {
        Self {
            load,
            counted: Instant::now(),
            good: Answers::default(),
            bad: Answers::default(),
        }
    }

    /// Counts what it has answered since it was last counted.
    fn count(&mut self) {
        let now = Instant::now();
        let answers = self.load.rate * (now - self.counted).as_secs_f64();
        self.counted = now;
        self.good.add(answers * (1.0 - self.load.errors), self.load.latency);
        self.bad.add(answers * self.load.errors, self.load.latency);
    }
}

impl Answers {
    fn add(&mut self, answers: f64, latency: f64) {
        self.sum += answers * latency;
        let first = BOUNDS.partition_point(|bound| *bound < latency);
        for bucket in &mut self.buckets[first..] {
            *bucket += answers;
        }
    }

    fn write(&self, text: &mut String, revision: &str, class: &str) {
        let name = "revision_app_request_latencies";
        let labels = format!(r#"revision_name="{revision}",response_code_class="{class}""#);
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&self.buckets) {
            writeln!(text, r#"{name}_bucket{{{labels},le="{bound}"}} {count}"#).unwrap();
        }
        let count = self.buckets[BOUNDS.len()];
        writeln!(
            text,
            "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}",
            self.sum
        )
        .unwrap();
    }
}

/// What Prometheus reads. A class without answers has no series, as with Knative.
fn page(revisions: &mut BTreeMap<String, Revision>) -> String {
    let mut text = "# TYPE revision_app_request_latencies histogram\n".to_owned();
    for (name, revision) in revisions {
        revision.count();
        revision.good.write(&mut text, name, "2xx");
        if revision.bad.sum > 0.0 {
            revision.bad.write(&mut text, name, "5xx");
        }
    }
    text
}
