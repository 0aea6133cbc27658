//! What becomes of requests while an application changes. Each story is told under load and says what it saw; the tests
//! say what it must be, and [`crate::figures`] measures it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::{App, READY_AFTER, annotated, version, with_weight};
use crate::load::{Answers, Load};
use crate::mesh::Mesh;
use crate::pods::DELAY;
use crate::support::recorder::{Recorder, Seen};
use crate::support::routes;
use crate::support::{SOON, wait_until};

/// All of them.
pub static STORIES: [Story; 9] = [
    Story {
        sentence: "no_request_is_lost_when_a_candidate_comes_and_goes",
        name: "candidate added, weights moved, candidate given up",
        tell: comes_and_goes,
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_candidates_are_ready_at_once",
        name: "candidate added that is ready at once, and given up; three times",
        tell: ready_at_once,
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_a_blue_green_candidate_is_promoted",
        name: "promotion, blue-green",
        tell: |mesh| promotion(mesh, "blue-green", false),
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_a_canary_is_promoted",
        name: "promotion, canary",
        tell: |mesh| promotion(mesh, "canary", false),
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_a_mirrored_candidate_is_promoted",
        name: "promotion, mirror",
        tell: |mesh| promotion(mesh, "mirror", false),
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_the_operator_dies_in_a_blue_green_promotion",
        name: "promotion, blue-green, operator killed",
        tell: |mesh| promotion(mesh, "blue-green", true),
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_the_operator_dies_in_the_promotion_of_a_canary",
        name: "promotion, canary, operator killed",
        tell: |mesh| promotion(mesh, "canary", true),
        loses: false,
    },
    Story {
        sentence: "no_request_is_lost_when_the_operator_dies_in_the_promotion_of_a_mirrored_candidate",
        name: "promotion, mirror, operator killed",
        tell: |mesh| promotion(mesh, "mirror", true),
        loses: false,
    },
    Story {
        sentence: "when_a_pod_fails_requests_fail_no_longer_than_route_and_mesh_take",
        name: "the candidate's only pod fails",
        tell: a_pod_fails,
        loses: true,
    },
];

/// Requests each second.
const RATE: u32 = 200;

/// The share of those that a canary answers.
const MARKED: u32 = 50;

/// How long the mesh may take to follow a route that is stored. Contour waits up to 0.5 s for further changes.
const MESH: Duration = Duration::from_millis(1500);

/// A story.
pub struct Story {
    /// As a test.
    pub sentence: &'static str,
    /// As a row of a table.
    pub name: &'static str,
    /// Plays it.
    pub tell: fn(&'static Mesh) -> Outcome,
    /// Whether requests may be lost for as long as route and mesh take.
    pub loses: bool,
}

/// What a story saw.
pub struct Outcome {
    /// When the change was asked for.
    pub begin: Instant,
    /// From then until everything is as it was asked for.
    pub took: Duration,
    /// Of all requests.
    pub answers: Answers,
    /// When the route was stored after which something must be so: no answer of version `a`, or no failure.
    pub route: Option<Instant>,
    /// When the last request was sent that was not so.
    pub last: Option<Instant>,
    /// What Envoy says of failures.
    pub log: String,
}

impl Outcome {
    /// How long the mesh took to follow the route.
    pub fn lag(&self) -> Option<Duration> {
        Some(self.last?.saturating_duration_since(self.route?))
    }
}

impl Story {
    /// Plays it once, and says what must be.
    pub fn test(&self, mesh: &'static Mesh) {
        let outcome = (self.tell)(mesh);
        let Outcome { answers, begin, .. } = &outcome;
        println!(
            "{}: {}: {} requests, {} failed",
            mesh.title,
            self.name,
            answers.0.len(),
            answers.failed()
        );
        println!("{}{}", answers.failures(*begin), outcome.log);
        if !self.loses {
            answers.assert_none_failed(*begin);
        }
        if let Some(lag) = outcome.lag() {
            assert!(lag < MESH, "{lag:?} after the route was stored it was not followed yet");
        }
    }
}

/// A version with 40 requests under way at any moment, if it gets all of them.
fn busy(image: &str) -> Value {
    annotated(version(image), DELAY, "200ms")
}

fn comes_and_goes(mesh: &'static Mesh) -> Outcome {
    let app = App::new(mesh, "blue-green");
    app.begin(&[busy("a")]);
    let load = app.load(RATE);
    load.goes_on();
    let begin = Instant::now();
    app.apply(&[busy("a"), busy("b")]);
    app.settles();
    load.goes_on();
    app.apply(&[with_weight(busy("a"), 30), with_weight(busy("b"), 70)]);
    app.settles();
    app.live_weight(1, 10);
    app.test
        .shares_become(&app.name, &[(&app.version(0), 75), (&app.version(1), 25)]);
    load.goes_on();
    app.apply(&[busy("a")]);
    app.settles();
    app.test.gone("deployment", &app.version(1));
    came_and_went(&app, begin, load)
}

/// What became of requests while `b` came and went.
fn came_and_went(app: &App, begin: Instant, load: Load) -> Outcome {
    let took = begin.elapsed();
    load.goes_on();
    let answers = load.stop();
    assert!(answers.percent("b") > 5.0, "b was never asked");
    Outcome {
        begin,
        took,
        answers,
        route: None,
        last: None,
        log: app.failures(),
    }
}

/// Of `b`, whose Service and endpoints are news for the mesh together with the route to them.
fn ready_at_once(mesh: &'static Mesh) -> Outcome {
    let app = App::new(mesh, "blue-green");
    app.begin(&[busy("a")]);
    let candidate = annotated(busy("b"), READY_AFTER, "0s");
    let load = app.load(RATE);
    load.goes_on();
    let begin = Instant::now();
    for _ in 0..3 {
        app.apply(&[busy("a"), candidate.clone()]);
        app.settles();
        load.goes_on();
        app.apply(&[busy("a")]);
        app.settles();
        app.test.gone("deployment", &app.version(1));
    }
    came_and_went(&app, begin, load)
}

/// Of `b`, which is a candidate beside `a`.
fn promotion(mesh: &'static Mesh, strategy: &'static str, kill: bool) -> Outcome {
    let app = App::new(mesh, strategy);
    app.begin(&[busy("a"), busy("b")]);
    let loads = loads(&app, strategy);
    loads.iter().for_each(Load::goes_on);
    let routes = app.test.watch(mesh.route);
    let begin = Instant::now();
    app.apply(&[busy("b")]);
    if kill {
        let moment = mesh.promotion.mul_f64(fastrand::f64());
        println!("the operator is killed after {moment:?}");
        thread::sleep(moment.saturating_sub(begin.elapsed()));
        app.test.kill();
        app.test.start();
    }
    app.settles();
    app.test.gone("deployment", &app.version(1));
    let took = begin.elapsed();
    loads.iter().for_each(Load::goes_on);
    let answers: Vec<Answers> = loads.into_iter().map(Load::stop).collect();
    if let Some(marked) = answers.get(1) {
        assert_eq!(marked.last_of("a"), None, "a answered what is for b");
    }
    let route = stored(&routes, begin, |catch_all| catch_all != app.version(0));
    let last = answers[0].last_of("a");
    let mut all: Vec<_> = answers.into_iter().flat_map(|answers| answers.0).collect();
    all.sort_by_key(|answer| answer.sent);
    Outcome {
        begin,
        took,
        answers: Answers(all),
        route: Some(route),
        last,
        log: app.failures(),
    }
}

/// Of a canary also the requests that only it answers.
fn loads(app: &App, strategy: &str) -> Vec<Load> {
    if strategy != "canary" {
        return vec![app.load(RATE)];
    }
    let marked = app.target(&[("traffic", "test")]);
    wait_until("the canary answers", SOON, || {
        let answer = crate::load::send(1, &marked).0[0].version.clone();
        if answer.as_deref() == Ok("b") {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    vec![app.load(RATE - MARKED), Load::start(MARKED, marked)]
}

fn a_pod_fails(mesh: &'static Mesh) -> Outcome {
    let app = App::new(mesh, "blue-green");
    app.begin(&[busy("a"), busy("b")]);
    let load = app.load(RATE);
    load.goes_on();
    let routes = app.test.watch(mesh.route);
    let begin = Instant::now();
    // It serves no longer, and is reported as not Ready at the same moment: the readiness probe is not our part.
    let selector = format!("--selector=app={}", app.version(1));
    app.test
        .kubectl(["annotate", "pod", &selector, "kwok.iter8.tools/unready=true"]);
    app.test.shares_become(&app.name, &[(&app.version(0), 100)]);
    let took = begin.elapsed();
    load.goes_on();
    load.goes_on();
    let answers = load.stop();
    let route = stored(&routes, begin, |catch_all| catch_all == app.version(0));
    let last = answers.bursts().last().map(|burst| burst.to);
    Outcome {
        begin,
        took,
        answers,
        route: Some(route),
        last,
        log: app.failures(),
    }
}

/// When the first route since then was stored whose catch-all names only such Services with a weight.
#[track_caller]
fn stored(routes: &Recorder, since: Instant, wanted: impl Fn(&str) -> bool) -> Instant {
    let fits = |seen: &&Seen| {
        let rules = routes::rules(&seen.object);
        let catch_all = rules.iter().rfind(|rule| rule.matches.is_empty());
        let backends = catch_all.map(|rule| rule.backends.clone()).unwrap_or_default();
        seen.at > since
            && backends
                .iter()
                .filter(|(_, weight)| *weight > 0)
                .all(|(name, _)| wanted(name))
    };
    let versions = routes.versions();
    versions.iter().find(fits).expect("there was no such route").at
}
