//! What is going on, on stderr, and how long it will go on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::churn::RATE;
use super::options::Options;

/// Phases of a size, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Creation,
    ProbeObjects,
    Round(usize),
    Churn,
    Idle,
    Restart,
}

/// All phases, with how long each may take.
pub struct Progress {
    begun: Instant,
    to_come: VecDeque<Duration>,
    quiet: bool,
}

impl Phase {
    /// Those of every size.
    pub fn all(options: &Options) -> Vec<Self> {
        let mut phases = vec![Self::Creation, Self::ProbeObjects];
        phases.extend((0..options.rounds).map(Self::Round));
        phases.extend([Self::Churn, Self::Idle, Self::Restart]);
        phases
    }

    /// How long it may take.
    fn estimate(self, size: usize, options: &Options) -> Duration {
        let (short, long) = (options.pause_alone, options.pause);
        let releases = u32::try_from(size).unwrap();
        match self {
            // About 30 Releases a second on 2 cores, and fewer the more there are: the API server counts all IP addresses
            // of Services whenever one gets its own.
            Self::Creation => releases * (Duration::from_millis(30) + releases * Duration::from_micros(8)) + long * 2,
            Self::ProbeObjects => long * 8,
            Self::Round(_) => {
                let alone = u32::try_from(options.readiness_alone + options.weight_alone).unwrap();
                let bursts = u32::try_from(options.bursts).unwrap();
                (alone * (short + short / 8) + (2 * bursts + 2) * (long + short)) * 2
            }
            Self::Churn => options.churn[0] + options.churn[1] + long * 3,
            Self::Idle => options.idle + long,
            Self::Restart => releases * Duration::from_micros(700) + long * 3,
        }
    }

    fn sentence(self, options: &Options) -> String {
        match self {
            Self::Creation => "all Releases are made".to_owned(),
            Self::ProbeObjects => "the probe gets its objects".to_owned(),
            Self::Round(round) => format!("changes, round {} of {}", round + 1, options.rounds),
            Self::Churn => format!("{RATE} changes a second"),
            Self::Idle => "nothing happens".to_owned(),
            Self::Restart => "the operator ends and begins".to_owned(),
        }
    }
}

impl Progress {
    /// Before anything began.
    pub fn new(options: &Options) -> Self {
        let of_size = |size: &usize| {
            let phases = Phase::all(options).into_iter();
            phases.map(|phase| phase.estimate(*size, options)).collect::<Vec<_>>()
        };
        Self {
            begun: Instant::now(),
            to_come: options.sizes.iter().flat_map(of_size).collect(),
            quiet: options.quiet,
        }
    }

    /// A phase: says that it begins, and how long it took.
    pub fn phase<T>(&mut self, phase: Phase, size: usize, options: &Options, act: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        self.say(&format!(
            "[{}] N={size}: {} (about {}; all: {} left)",
            clock(self.begun.elapsed()),
            phase.sentence(options),
            clock(self.to_come.front().copied().unwrap_or_default()),
            clock(self.to_come.iter().sum()),
        ));
        let result = act();
        self.to_come.pop_front();
        self.say(&format!("  took {}", clock(begun.elapsed())));
        result
    }

    /// Tells something.
    pub fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("{what}");
        }
    }

    /// Minutes since the beginning.
    pub fn minutes(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() / 60.0
    }
}

fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
