//! The processes under measurement, and what Linux says of them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::support::cluster::Cluster;

/// A running process; killed when dropped. To be started by the main thread: the kernel kills it when that ends.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program as the operator's ServiceAccount.
    pub fn start(cluster: &Cluster, program: &Path, arguments: &[&str], log: &str) -> Self {
        let log = cluster.folder.join(log);
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.env("KUBECONFIG", &cluster.operator_kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("setpriv is part of util-linux");
        Self { child }
    }

    /// SIGTERM; returns how long it took to end.
    pub fn stop(&mut self) -> Duration {
        let asked = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        asked.elapsed()
    }

    /// Resident memory and its peak, KiB.
    pub fn memory(&self) -> (u64, u64) {
        let status = self.proc("status");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Processor time used so far, ms, to 10 ms.
    pub fn cpu(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks * 10 // USER_HZ is 100
    }

    /// Waits until it has hardly used a processor for 3 s; returns when it last did.
    pub fn calm(&self) -> Instant {
        let (mut used, mut last) = (self.cpu(), Instant::now());
        while last.elapsed() < Duration::from_secs(3) {
            thread::sleep(Duration::from_millis(50));
            let now = self.cpu();
            if now > used + 10 {
                (used, last) = (now, Instant::now());
            }
        }
        last
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}
