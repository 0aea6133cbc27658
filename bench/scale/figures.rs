//! What was measured: the form of the files in `bench/results`.

use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::requests::Requests;
use super::side::Together;

/// A run.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub sizes: Vec<Size>,
}

/// Where and when.
#[derive(Serialize, Deserialize)]
pub struct Machine {
    /// As `2026-11-21 20:00 UTC`, at the end.
    pub at: String,
    pub minutes: f64,
    pub cores: usize,
    /// Load averages at the beginning and at the end.
    pub load: [String; 2],
    pub kubernetes: String,
}

/// One number of Releases.
#[derive(Serialize, Deserialize)]
pub struct Size {
    pub n: u64,
    pub create: Create,
    pub readiness: Changes,
    pub weight: Changes,
    /// After the changes.
    pub memory: Memory,
    pub probe_memory: Memory,
    pub churn: ChurnOfBoth,
    pub idle: Idle,
    pub restart: Restart,
}

/// Resident memory of a process.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Memory {
    pub rss_kib: u64,
    pub peak_kib: u64,
}

/// All Releases are made.
#[derive(Serialize, Deserialize)]
pub struct Create {
    /// Until the last route was right.
    pub seconds: f64,
    /// Until the API server had all Releases.
    pub releases_seconds: f64,
    /// The most Deployments that waited for the bench to make them available.
    pub status_backlog: u64,
    pub cpu_ms: u64,
    pub memory: Memory,
    pub requests: Requests,
}

/// Changes of one kind.
#[derive(Serialize, Deserialize)]
pub struct Changes {
    pub operator: Latencies,
    pub probe: Latencies,
    /// Number of the operator's changes, and of the probe's; requests are the operator's.
    pub count: u64,
    pub cpu_ms: u64,
    /// Not known of an older run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_cpu_ms: Option<u64>,
    pub requests: Requests,
}

/// From change to route.
#[derive(Serialize, Deserialize)]
pub struct Latencies {
    pub alone: Latency,
    pub burst: Latency,
    /// Of both; not known of an older run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_garbage: Option<[ByGarbage; 2]>,
}

/// Changes by whether kube-apiserver collected garbage before the last of those that were made at once had its route.
#[derive(Serialize, Deserialize)]
pub struct ByGarbage {
    /// It did.
    pub collecting: Option<Latency>,
    /// It did not.
    pub otherwise: Option<Latency>,
}

/// Of samples, ms. Percentiles by nearest rank.
#[derive(Clone, Serialize, Deserialize)]
pub struct Latency {
    pub samples: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// p50 and p99 of each round.
    pub rounds: Vec<[f64; 2]>,
}

/// Changes all the time, on both sides in turn.
#[derive(Serialize, Deserialize)]
pub struct ChurnOfBoth {
    pub operator: Churn,
    pub probe: Churn,
    pub cpu_ms: u64,
    pub memory: Memory,
    pub requests: Requests,
}

/// Changes all the time.
#[derive(Serialize, Deserialize)]
pub struct Churn {
    pub seconds: f64,
    pub changes: u64,
    /// Changes that were not made because the last one of that application had no route yet.
    pub left_out: u64,
    pub latency: Latency,
    /// Every second; the last one at the end.
    pub waiting: Vec<Waiting>,
}

/// Changes that have no route yet.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Waiting {
    pub changes: u64,
    /// For how long the first of them has had none.
    pub oldest_ms: f64,
}

/// Nothing happens.
#[derive(Serialize, Deserialize)]
pub struct Idle {
    pub seconds: u64,
    pub cpu_ms: u64,
    pub memory: Memory,
    pub requests: Requests,
    /// The first change after it: the operator's, and the probe's.
    pub first_change_ms: [f64; 2],
}

/// The operator ends and begins.
#[derive(Serialize, Deserialize)]
pub struct Restart {
    /// From SIGTERM to its end.
    pub stop_ms: f64,
    /// From its start until it hardly used a processor any more.
    pub quiet_seconds: f64,
    pub cpu_ms: u64,
    pub memory: Memory,
    pub requests: Requests,
    pub routes_changed: u64,
    /// Of these, those that lost a version.
    pub routes_lost: u64,
}

impl Latency {
    /// Of the samples of each round.
    pub fn of(rounds: &[Vec<f64>]) -> Self {
        let mut all: Vec<f64> = rounds.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let of_round = |round: &Vec<f64>| {
            let mut round = round.clone();
            round.sort_by(f64::total_cmp);
            [percentile(&round, 50), percentile(&round, 99)]
        };
        Self {
            samples: all.len(),
            p50_ms: percentile(&all, 50),
            p99_ms: percentile(&all, 99),
            max_ms: percentile(&all, 100),
            rounds: rounds.iter().map(of_round).collect(),
        }
    }
}

impl ByGarbage {
    /// `work`: when kube-apiserver collected garbage.
    pub fn of(rounds: &[Vec<Together>], work: &[Range<Instant>]) -> Self {
        let meets = |changes: &&Together| {
            let meets = |work: &Range<Instant>| work.start < changes.during.end && changes.during.start < work.end;
            work.iter().any(meets)
        };
        let (collecting, otherwise): (Vec<_>, Vec<_>) = rounds.iter().flatten().partition(meets);
        let latency = |changes: Vec<&Together>| {
            let took: Vec<f64> = changes.iter().flat_map(|changes| &changes.took).copied().collect();
            (!took.is_empty()).then(|| Latency::of(&[took]))
        };
        Self {
            collecting: latency(collecting),
            otherwise: latency(otherwise),
        }
    }
}

/// By nearest rank.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

impl Size {
    /// The greatest resident memory that the operator ever had, KiB.
    pub fn peak_kib(&self) -> u64 {
        let peaks = [self.create.memory, self.memory, self.churn.memory, self.idle.memory];
        let peaks = peaks.iter().chain([&self.restart.memory]).map(|memory| memory.peak_kib);
        peaks.max().unwrap()
    }
}
