//! When kube-apiserver collected garbage: it answers slowly while it does, and its log says when that was.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::cluster::Cluster;

/// The collector of a kube-apiserver that is not started anew.
pub struct Collector {
    log: PathBuf,
    /// When kube-apiserver was started, to 10 ms.
    started: Instant,
}

impl Collector {
    /// Of a cluster of our own.
    pub fn of(cluster: &Cluster) -> Self {
        let state = fs::read_to_string(cluster.folder.with_file_name("cluster.json")).unwrap();
        let state: Value = serde_json::from_str(&state).unwrap();
        let server = &state["components"]["kube-apiserver"];
        let age = age(server["pid"].as_u64().unwrap());
        Self {
            log: server["log"].as_str().unwrap().into(),
            started: Instant::now().checked_sub(age).unwrap(),
        }
    }

    /// When it was at work.
    pub fn work(&self) -> Vec<Range<Instant>> {
        let log = fs::read_to_string(&self.log).unwrap();
        let cycles = log.lines().filter_map(cycle);
        let work: Vec<_> = cycles
            .map(|cycle| self.started + cycle.start..self.started + cycle.end)
            .collect();
        // It collects before it serves the first request.
        assert!(
            !work.is_empty(),
            "no line of {} tells of a collection",
            self.log.display()
        );
        work
    }
}

/// How long a process has been there.
fn age(pid: u64) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[19].parse().unwrap();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    let started = Duration::from_millis(10 * ticks); // USER_HZ is 100
    Duration::from_secs_f64(uptime).saturating_sub(started)
}

/// Since the start of the process, of a line as `gc 7 @3.215s 4%: 0.05+28+0.005 ms clock, …` (`GODEBUG=gctrace=1`, package
/// runtime).
fn cycle(line: &str) -> Option<Range<Duration>> {
    let (start, rest) = line.strip_prefix("gc ")?.split_once('@')?.1.split_once("s ")?;
    let clock = rest.split_once("%: ")?.1.split_once(" ms clock")?.0;
    let phases: Option<Vec<f64>> = clock.split('+').map(|phase| phase.parse().ok()).collect();
    let start = Duration::from_secs_f64(start.parse().ok()?);
    Some(start..start + Duration::from_secs_f64(phases?.iter().sum::<f64>() / 1000.0))
}
