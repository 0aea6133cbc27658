//! What was aimed at, and what came of it.

use super::figures::{Changes, Latency, Results, Size};
use super::promises;

/// The operator's latency as a multiple of the probe's.
const RATIO: f64 = 1.2;
/// Seconds until quiet after a restart.
const QUIET: f64 = 10.0;
/// Resident memory at its peak, MiB, with up to so many Releases.
const MEMORY: [(u64, f64); 2] = [(1000, 32.0), (10_000, 100.0)];
/// The processor time of a change with the most Releases as a multiple of that with the fewest.
const FLAT: f64 = 1.2;

/// A row of figures, each with whether the goal is met.
pub struct Goal {
    pub what: String,
    pub limit: String,
    pub figures: Vec<(String, bool)>,
}

impl Goal {
    fn of(results: &Results, what: &str, limit: impl Into<String>, figure: impl Fn(&Size) -> (String, bool)) -> Self {
        Self {
            what: what.to_owned(),
            limit: limit.into(),
            figures: results.sizes.iter().map(figure).collect(),
        }
    }

    /// Whether it is met everywhere.
    pub fn is_met(&self) -> bool {
        self.figures.iter().all(|(_, met)| *met)
    }
}

/// All of them.
pub fn all(results: &Results) -> Vec<Goal> {
    let goal =
        |what: &str, limit: String, figure: &dyn Fn(&Size) -> (String, bool)| Goal::of(results, what, limit, figure);
    let [(small, low), (large, high)] = MEMORY;
    let smallest = results.sizes.iter().min_by_key(|size| size.n).unwrap();
    let mut goals = latencies(results);
    goals.extend([
        goal("promises about requests that were broken", "0".to_owned(), &|size| {
            let broken = promises::of_size(size).len();
            (broken.to_string(), broken == 0)
        }),
        goal(
            "a change: statuses of the Release / of its policy",
            "≤ 1 / 1".to_owned(),
            &|size| {
                let [release, policy] = promises::STATUS.map(|key| each_change(size, key));
                (format!("{release:.2} / {policy:.2}"), release <= 1.0 && policy <= 1.0)
            },
        ),
        goal("restart: quiet after, s", format!("≤ {QUIET}"), &|size| {
            let quiet = size.restart.quiet_seconds;
            (format!("{quiet:.1}"), quiet <= QUIET)
        }),
        goal("restart: writes / routes changed", "0 / 0".to_owned(), &|size| {
            let (writes, routes) = (size.restart.requests.writes(), size.restart.routes_changed);
            (format!("{writes} / {routes}"), writes + routes == 0)
        }),
        goal("idle: requests", "0".to_owned(), &|size| {
            let requests = size.idle.requests.beyond_watches();
            (requests.to_string(), requests == 0)
        }),
        goal(
            "memory at its peak, MiB",
            format!("≤ {low} at {}, {high} at {}", thousands(small), thousands(large)),
            &|size| {
                let (peak, limit) = (mib(size.peak_kib()), if size.n <= small { low } else { high });
                (format!("{peak:.1}"), peak <= limit)
            },
        ),
    ]);
    goals.extend(KINDS.map(|(kind, changes)| {
        goal(
            &format!("processor time of a change of {kind}, ms"),
            format!("≤ {FLAT} × that at N={}", thousands(smallest.n)),
            &|size| {
                let each = cpu_each(changes(size));
                (format!("{each:.2}"), each <= FLAT * cpu_each(changes(smallest)))
            },
        )
    }));
    goals
}

/// Requests of a key for each change of readiness or weight.
fn each_change(size: &Size, key: &str) -> f64 {
    let [readiness, weight] = [&size.readiness, &size.weight];
    let requests = readiness.requests.get(key) + weight.requests.get(key);
    ratio_of(requests, readiness.count + weight.count)
}

type Kind = (&'static str, fn(&Size) -> &Changes);

/// What changes.
const KINDS: [Kind; 2] = [("readiness", |size| &size.readiness), ("weight", |size| &size.weight)];

fn latencies(results: &Results) -> Vec<Goal> {
    type Of = fn(&Changes) -> (&Latency, &Latency);
    let alone: Of = |changes| (&changes.operator.alone, &changes.probe.alone);
    let burst: Of = |changes| (&changes.operator.burst, &changes.probe.burst);
    let mut goals = Vec::new();
    for (kind, changes) in KINDS {
        for (how, of) in [("one at a time", alone), ("50 at once", burst)] {
            for (name, p) in [("p50", 0), ("p99", 1)] {
                let what = format!("{kind} → route, {how}: {name} ÷ the probe's");
                goals.push(Goal::of(results, &what, format!("≤ {RATIO}"), |size| {
                    let (operator, probe) = of(changes(size));
                    let ratio = ratio(operator, probe, p);
                    (with_rounds(ratio, operator, probe, p), ratio <= RATIO)
                }));
            }
        }
    }
    goals
}

/// Of p50 (0) or p99 (1).
fn ratio(operator: &Latency, probe: &Latency, p: usize) -> f64 {
    let of = |latency: &Latency| [latency.p50_ms, latency.p99_ms][p];
    of(operator) / of(probe)
}

/// The ratio, and the least and the greatest of the rounds.
fn with_rounds(ratio: f64, operator: &Latency, probe: &Latency, p: usize) -> String {
    let rounds = operator.rounds.iter().zip(&probe.rounds);
    let ratios: Vec<f64> = rounds.map(|(operator, probe)| operator[p] / probe[p]).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    format!("{ratio:.2} ({least:.2}–{greatest:.2})")
}

/// Processor time of one change, ms.
pub fn cpu_each(changes: &Changes) -> f64 {
    ratio_of(changes.cpu_ms, changes.count)
}

/// So many for each of these.
#[allow(clippy::cast_precision_loss)] // far below 2^52
pub fn ratio_of(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}

#[allow(clippy::cast_precision_loss)]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// As `10,000`.
pub fn thousands(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", thousands(number / 1000), number % 1000)
}
