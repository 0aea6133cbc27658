//! Clients: what becomes of each of their requests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::{self, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::pods::VERSION;
use crate::support::{SOON, wait_until};

/// For requests and answers; those to the API server have another, so that neither waits for the other.
pub static TRAFFIC: LazyLock<Runtime> = LazyLock::new(|| {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
});

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Failures with less than this between them are one burst.
const CALM: Duration = Duration::from_secs(1);

/// How many requests of a steady stream wait for their answers at a time.
const MOST_WAITING: usize = 100;

/// How many requests wait for their answers at a time when a number of them is sent.
const AT_ONCE: usize = 8;

/// Whom requests are for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where they are sent.
    pub envoy: SocketAddr,
    /// Their `Host`.
    pub host: String,
    /// Their other headers.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it was sent.
    pub sent: Instant,
    /// The version that answered; otherwise what went wrong.
    pub version: Result<String, String>,
    /// Response header `app-version`.
    pub app_version: String,
}

/// What became of requests, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Answers(pub Vec<Answer>);

/// Failures in a row.
#[derive(Clone, Debug)]
pub struct Burst {
    /// When the first of them was sent.
    pub from: Instant,
    /// When the last of them was sent.
    pub to: Instant,
    /// How often what went wrong.
    pub failures: BTreeMap<String, usize>,
}

impl Answers {
    /// The percentage of answers that a version gave.
    #[allow(clippy::cast_precision_loss)] // thousands
    pub fn percent(&self, version: &str) -> f64 {
        let by_it = self.0.iter().filter(|answer| answer.version.as_deref() == Ok(version));
        100.0 * by_it.count() as f64 / self.0.len() as f64
    }

    /// When the last request was sent that a version answered.
    pub fn last_of(&self, version: &str) -> Option<Instant> {
        let by_it = |answer: &&Answer| answer.version.as_deref() == Ok(version);
        self.0.iter().rfind(by_it).map(|answer| answer.sent)
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.0.iter().filter(|answer| answer.version.is_err()).count()
    }

    /// The failures, in bursts.
    pub fn bursts(&self) -> Vec<Burst> {
        let mut bursts: Vec<Burst> = Vec::new();
        for answer in &self.0 {
            let Err(reason) = &answer.version else { continue };
            match bursts.last_mut() {
                Some(burst) if answer.sent - burst.to < CALM => burst.to = answer.sent,
                _ => bursts.push(Burst {
                    from: answer.sent,
                    to: answer.sent,
                    failures: BTreeMap::new(),
                }),
            }
            let burst = bursts.last_mut().unwrap();
            *burst.failures.entry(reason.clone()).or_default() += 1;
        }
        bursts
    }

    /// A table of the failures, with times since a moment.
    pub fn failures(&self, moment: Instant) -> String {
        let mut text = String::new();
        for Burst { from, to, failures } in self.bursts() {
            let after = |time: Instant| time.saturating_duration_since(moment).as_secs_f64();
            let _ = writeln!(text, "  {:.2} s to {:.2} s: {failures:?}", after(from), after(to));
        }
        text
    }

    /// Fails if a request did.
    #[track_caller]
    pub fn assert_none_failed(&self, since: Instant) {
        let (failed, all) = (self.failed(), self.0.len());
        assert!(all > 0, "no requests");
        assert_eq!(
            failed,
            0,
            "of {all} requests {failed} failed:\n{}",
            self.failures(since)
        );
    }
}

/// Sends a number of requests, a few at a time.
pub fn send(number: usize, target: &Target) -> Answers {
    TRAFFIC.block_on(async {
        let client = client();
        let requests = (0..number).map(|_| ask(client.clone(), target.clone()));
        let answers: Vec<Answer> = futures::StreamExt::collect(futures::StreamExt::buffer_unordered(
            futures::stream::iter(requests),
            AT_ONCE,
        ))
        .await;
        Answers(answers)
    })
}

/// A steady stream of requests.
pub struct Load {
    each_second: u32,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    task: JoinHandle<Answers>,
}

impl Load {
    /// Begins to send so many each second, as long as not too many of those before wait for their answers.
    pub fn start(each_second: u32, target: Target) -> Self {
        let (stop, answered) = (Arc::default(), Arc::default());
        let task = TRAFFIC.spawn(stream(each_second, target, Arc::clone(&stop), Arc::clone(&answered)));
        Self {
            each_second,
            stop,
            answered,
            task,
        }
    }

    /// Returns when another second's requests have been answered or have failed.
    #[track_caller]
    pub fn goes_on(&self) {
        let answered = || self.answered.load(Ordering::Relaxed);
        let until = answered() + self.each_second as usize;
        wait_until("requests are answered", SOON, || {
            if answered() < until {
                Err(format!("{} of {until}", answered()))
            } else {
                Ok(())
            }
        });
    }

    /// Ends it, and waits for the last answers.
    pub fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        TRAFFIC.block_on(self.task).unwrap()
    }
}

async fn stream(each_second: u32, target: Target, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Answers {
    let client = client();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / each_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut requests = Vec::new();
    let waiting = Arc::new(Semaphore::new(MOST_WAITING));
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        // On a machine that is too busy a queue would only grow.
        let place = Arc::clone(&waiting).acquire_owned().await.unwrap();
        let (request, answered) = (ask(client.clone(), target.clone()), Arc::clone(&answered));
        requests.push(tokio::spawn(async move {
            let answer = request.await;
            answered.fetch_add(1, Ordering::Relaxed);
            drop(place);
            answer
        }));
    }
    let mut answers = Answers::default();
    for request in requests {
        answers.0.push(request.await.unwrap());
    }
    answers
}

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn ask(client: HttpClient, target: Target) -> Answer {
    let sent = Instant::now();
    let mut request = Request::get(format!("http://{}/", target.envoy)).header(HOST, &target.host);
    for (name, value) in &target.headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::new()).unwrap();
    let answer = async {
        let response = client.request(request).await.map_err(|error| causes(&error))?;
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        let (version, app_version) = (header(VERSION), header("app-version"));
        let body = response.into_body().collect().await.map_err(|error| causes(&error))?;
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            return Err(format!("{status} {version} {body}"));
        }
        Ok((version, app_version))
    };
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
    let (version, app_version) = match answer {
        Ok((version, app_version)) => (Ok(version), app_version),
        Err(reason) => (Err(reason), String::new()),
    };
    Answer {
        sent,
        version,
        app_version,
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
