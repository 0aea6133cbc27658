//! The processes under measurement, and what Linux says of them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::Memory;
use super::support::operator::{spawn, tied_to_this_process};

/// A running process; killed when dropped, and by the kernel with this one.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program; what it prints is appended to a file.
    pub fn start(program: &Path, arguments: &[&str], kubeconfig: &Path, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = tied_to_this_process(program.to_str().unwrap());
        command
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = spawn(command).expect("setpriv is part of util-linux");
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

    /// Resident memory and its peak.
    pub fn memory(&self) -> Memory {
        let status = self.proc("status");
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Memory {
            rss_kib: field("VmRSS:"),
            peak_kib: field("VmHWM:"),
        }
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
