//! What is measured, and for how long.

use std::env;
use std::time::Duration;

use super::apps::BURST;

/// The sizes of `docs/performance.md`.
pub const SIZES: [usize; 3] = [100, 1000, 10_000];

/// A run.
pub struct Options {
    /// Numbers of Releases, one after the other in the same cluster.
    pub sizes: Vec<usize>,
    /// Rounds, in which operator and probe change in turn.
    pub rounds: usize,
    /// Changes of readiness in a round, one at a time; even.
    pub readiness_alone: usize,
    /// Changes of weight in a round, one at a time; even.
    pub weight_alone: usize,
    /// Bursts in a round, of each kind of change; even.
    pub bursts: usize,
    /// How long nothing happens. A client drops connections that were not used for 90 s.
    pub idle: Duration,
    /// How long the operator's applications are changed all the time, and how long the probe's.
    pub churn: [Duration; 2],
    /// Between one change alone and the next. What the operator tells of it, in status, is written by then.
    pub pause_alone: Duration,
    /// After a burst, and before the requests of a phase are counted: Events are sent by then.
    pub pause: Duration,
    /// Whether `docs/performance.md` is to show it.
    pub publish: bool,
    /// Whether to say what is going on.
    pub quiet: bool,
}

/// What makes it another run than the one that is published.
const VARIABLES: [&str; 5] = ["N", "ROUNDS", "IDLE_SECONDS", "CHURN_SECONDS", "PAUSE_MILLISECONDS"];

/// A garbage collection of kube-apiserver that what is told of a change sets off is over by then, with 100 Releases: it begins
/// 100 to 150 ms after the change, and takes 150 to 260.
const PAUSE_ALONE: Duration = Duration::from_millis(450);

/// Of changes all the time: without any there is nothing to tell of.
const LEAST: Duration = Duration::from_secs(1);

impl Options {
    /// The whole of it, or what the environment says in [`VARIABLES`].
    pub fn from_env() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let number = |name: &str| set(name).map(|text| text.parse::<usize>().expect("a number"));
        let seconds = |name: &str, or: u64| Duration::from_secs(number(name).map_or(or, |number| number as u64));
        let sizes = set("N").map_or_else(
            || SIZES.to_vec(),
            |sizes| {
                let sizes = sizes.split(',').map(|size| size.trim().parse());
                sizes.collect::<Result<_, _>>().expect("N is a list of numbers")
            },
        );
        assert!(sizes.iter().all(|size| *size >= BURST), "N is at least {BURST}");
        let churn = seconds("CHURN_SECONDS", 120);
        Self {
            publish: VARIABLES.iter().all(|name| set(name).is_none()),
            sizes,
            rounds: number("ROUNDS").unwrap_or(3).max(1),
            // One in a hundred meets a garbage collection of kube-apiserver: of fewer changes the slowest hundredth is chance.
            readiness_alone: 180,
            weight_alone: 80,
            bursts: 10,
            idle: seconds("IDLE_SECONDS", 600),
            churn: [churn.max(LEAST), (churn / 6).max(LEAST)],
            pause_alone: number("PAUSE_MILLISECONDS").map_or(PAUSE_ALONE, |pause| Duration::from_millis(pause as u64)),
            pause: Duration::from_secs(3),
            quiet: false,
        }
    }

    /// As little as shows every kind of request.
    pub fn check() -> Self {
        Self {
            sizes: vec![100],
            rounds: 1,
            readiness_alone: 6,
            weight_alone: 2,
            bursts: 2,
            idle: Duration::from_secs(3),
            churn: [Duration::from_secs(4), Duration::from_secs(1)],
            pause_alone: PAUSE_ALONE,
            pause: Duration::from_millis(1500),
            publish: false,
            quiet: true,
        }
    }
}
