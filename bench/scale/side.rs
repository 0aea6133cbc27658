//! A namespace whose applications change: the operator's, or the probe's.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::Client;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::apps::{self, App, BURST, FIRST};
use super::observer::{Looked, Observer};

/// After so long something that was waited for does not come.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often is told how many routes are right.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Whether the candidate's Deployment is available.
    Readiness,
    /// The annotation of the candidate's weight ConfigMap.
    Weight,
}

/// Applications, and who looks at them.
pub struct Side {
    client: Client,
    pub namespace: String,
    deployments: Observer,
    config_maps: Observer,
    pub routes: Observer,
    status_writer: JoinHandle<()>,
    backlog: Arc<AtomicUsize>,
    apps: Vec<App>,
    next: usize,
    /// After a change alone, and after a burst.
    pauses: [Duration; 2],
}

/// A route that takes longer is named, so that its way can be found in the operator's log.
const SLOW: Duration = Duration::from_secs(1);

/// A change that is about to be made.
pub struct Change {
    name: String,
    client: Client,
    request: http::Request<Vec<u8>>,
    seen: oneshot::Receiver<Instant>,
    route: oneshot::Receiver<Instant>,
}

/// A change that was made and seen, and whose route may not be right yet.
pub struct Made {
    name: String,
    pub seen: Instant,
    route: oneshot::Receiver<Instant>,
}

/// Changes that were made at once.
pub struct Together {
    /// From their requests to their last route.
    pub during: Range<Instant>,
    /// From each change to its route, ms.
    pub took: Vec<f64>,
}

/// How long it took to make all Releases and their routes.
pub struct Created {
    /// Until the API server had all Releases.
    pub releases: Duration,
    /// Until every route was right.
    pub routes: Duration,
    /// The most Deployments that waited to be made available.
    pub backlog: usize,
}

impl Side {
    /// An empty namespace, in which Deployments become available as soon as they are seen.
    pub async fn new(client: &Client, namespace: &str, apps: usize, pauses: [Duration; 2]) -> Self {
        apps::create_namespace(client, namespace).await;
        let (tell, seen) = mpsc::unbounded_channel();
        let backlog: Arc<AtomicUsize> = Arc::default();
        let writer = apps::make_available(client.clone(), namespace.to_owned(), seen, Arc::clone(&backlog));
        let available = App {
            available: true,
            ..App::NEW
        };
        Self {
            deployments: Observer::start(client, Looked::Deployments, namespace, Some(tell)),
            config_maps: Observer::start(client, Looked::ConfigMaps, namespace, None),
            routes: Observer::start(client, Looked::Routes, namespace, None),
            status_writer: tokio::spawn(writer),
            backlog,
            client: client.clone(),
            namespace: namespace.to_owned(),
            apps: vec![available; apps],
            next: 0,
            pauses,
        }
    }

    /// Makes the Releases, and waits until all routes are right.
    pub async fn create_releases(&mut self, quiet: bool) -> Created {
        let begun = Instant::now();
        let made = apps::create_releases(&self.client, &self.namespace, self.apps.len()).map(|()| begun.elapsed());
        let (releases, last) = tokio::join!(made, self.all_routes(quiet));
        Created {
            releases,
            routes: last - begun,
            backlog: self.backlog.load(Ordering::Relaxed),
        }
    }

    /// Makes the probe's objects like those of the first Release, and waits for its routes.
    pub async fn copy_from(&mut self, other: &str) {
        let first = apps::candidate(FIRST);
        let objects = [
            (Looked::ConfigMaps, apps::weight_config(FIRST)),
            (Looked::Deployments, first),
        ];
        for (what, first) in objects {
            apps::copy(&self.client, what, &first, other, &self.namespace, self.apps.len()).await;
        }
        self.all_routes(true).await;
        // What came before the Deployment was available has been overwritten by now.
        tokio::time::sleep(self.pauses[1]).await;
    }

    /// Waits until every route is right; returns when the last one was.
    async fn all_routes(&self, quiet: bool) -> Instant {
        let of = |(index, app): (usize, &App)| self.routes.expect(&apps::name(index), app.share());
        let mut routes: FuturesUnordered<_> = self.apps.iter().enumerate().map(of).collect();
        let (begun, mut told, mut right) = (Instant::now(), Instant::now(), 0);
        let mut last = begun;
        loop {
            let next = tokio::time::timeout(PATIENCE, routes.next()).await;
            let Some(at) = next.expect("the routes become right: see the logs") else {
                return last;
            };
            (last, right) = (last.max(at.unwrap()), right + 1);
            if !quiet && told.elapsed() > TELL_EVERY {
                told = Instant::now();
                eprintln!(
                    "  {right} of {} routes after {:.0} s",
                    self.apps.len(),
                    begun.elapsed().as_secs_f64()
                );
            }
        }
    }

    /// The first application's route for each share that the candidate may have, for another namespace.
    pub async fn templates(&mut self, namespace: &str) -> Value {
        let mut templates = Map::new();
        for what in [What::Weight, What::Weight, What::Readiness, What::Readiness] {
            self.change(0, what).latency().await;
            let route = apps::template(&self.client, Looked::Routes, FIRST, &self.namespace, namespace).await;
            templates.insert(self.apps[0].share().to_string(), route);
        }
        tokio::time::sleep(self.pauses[1]).await;
        templates.into()
    }

    /// Changes one application, there and back.
    pub async fn alone(&mut self, what: What) -> Vec<Together> {
        let pause = self.pauses[0];
        let pause = pause + pause.mul_f64(fastrand::f64() / 10.0);
        self.there_and_back(1, what, pause).await
    }

    /// Changes many applications at once, there and back.
    pub async fn bursts(&mut self, what: What) -> Vec<Together> {
        self.there_and_back(BURST, what, self.pauses[1]).await
    }

    async fn there_and_back(&mut self, count: usize, what: What, pause: Duration) -> Vec<Together> {
        let first = self.take(count);
        let mut both = Vec::new();
        for _ in 0..2 {
            let changes: Vec<Change> = (first..first + count)
                .map(|index| self.change(index % self.apps.len(), what))
                .collect();
            let begun = Instant::now();
            let took = join_all(changes.into_iter().map(Change::latency)).await;
            both.push(Together {
                during: begun..Instant::now(),
                took,
            });
            tokio::time::sleep(pause).await;
        }
        both
    }

    /// The first of the next applications.
    pub fn take(&mut self, count: usize) -> usize {
        let first = self.next % self.apps.len();
        self.next += count;
        first
    }

    /// Number of applications.
    pub fn len(&self) -> usize {
        self.apps.len()
    }

    /// Changes one application, whose route is right.
    pub fn change(&mut self, index: usize, what: What) -> Change {
        let (name, app) = (apps::name(index), &mut self.apps[index]);
        let (request, seen) = match what {
            What::Readiness => {
                app.available = !app.available;
                let candidate = apps::candidate(&name);
                (
                    apps::set_available(&self.namespace, &candidate, 1, app.available),
                    self.deployments.expect(&candidate, i32::from(app.available)),
                )
            }
            What::Weight => {
                app.weight = app.other_weight();
                let config_map = apps::weight_config(&name);
                (
                    apps::set_weight(&self.namespace, &config_map, app.weight),
                    self.config_maps.expect(&config_map, app.weight),
                )
            }
        };
        let route = self.routes.expect(&name, app.share());
        Change {
            name,
            client: self.client.clone(),
            request,
            seen,
            route,
        }
    }
}

impl Change {
    /// Makes it, and waits until it is seen.
    pub async fn make(self) -> Made {
        apps::send(&self.client, self.request).await;
        Made {
            name: self.name,
            seen: self.seen.await.unwrap(),
            route: self.route,
        }
    }

    /// Makes it; from it to its route, ms.
    pub async fn latency(self) -> f64 {
        self.make().await.latency().await
    }
}

impl Made {
    /// Waits until the route is right; how long it took, ms.
    pub async fn latency(self) -> f64 {
        let route = tokio::time::timeout(PATIENCE, self.route).await;
        let at = route.expect("the route follows").unwrap();
        let took = at.saturating_duration_since(self.seen);
        if took > SLOW {
            let now = chrono::Utc::now().format("%H:%M:%S%.3f");
            eprintln!("  {now}: the route of {} took {:.1} s", self.name, took.as_secs_f64());
        }
        took.as_secs_f64() * 1000.0
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.status_writer.abort();
    }
}
