//! The operator: the real binary, with the ServiceAccount's rights.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use super::{SOON, wait_until};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_iter8");

/// A running operator; killed when dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
}

impl Operator {
    /// Starts it. It watches one namespace, or all; its log is appended to a file.
    #[track_caller]
    pub fn start(kubeconfig: &Path, namespace: Option<&str>, log: &Path) -> Self {
        Self::start_with(kubeconfig, namespace, log, &[])
    }

    /// The same with more arguments; `--log-level=` among them stands for the usual one.
    #[track_caller]
    pub fn start_with(kubeconfig: &Path, namespace: Option<&str>, log: &Path, arguments: &[String]) -> Self {
        let mut command = tied_to_this_process(BINARY);
        command.args(["run"]).args(arguments);
        if !arguments.iter().any(|argument| argument.starts_with("--log-level=")) {
            command.arg("--log-level=info,iter8=debug");
        }
        if let Some(namespace) = namespace {
            command.args(["--namespace", namespace]);
        }
        Self::spawn(command, kubeconfig, log)
    }

    /// Starts it with these arguments and variables, and no other.
    #[track_caller]
    pub fn start_as(kubeconfig: &Path, log: &Path, arguments: &[String], variables: &[(String, String)]) -> Self {
        let mut command = tied_to_this_process(BINARY);
        command.args(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::spawn(command, kubeconfig, log)
    }

    fn spawn(mut command: Command, kubeconfig: &Path, log: &Path) -> Self {
        command.env("KUBECONFIG", kubeconfig).env("NO_COLOR", "1");
        let log = File::options().create(true).append(true).open(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = spawn(command).expect("the operator does not start");
        Self { child }
    }

    /// Ends it as a crash would: SIGKILL.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end, as the kubelet does: SIGTERM. It must do so, and well.
    #[track_caller]
    pub fn stop(&mut self) {
        self.ask_to_stop();
        self.has_stopped(SOON);
    }

    /// Waits until it has ended, which it must do well.
    #[track_caller]
    pub fn has_stopped(&mut self, within: Duration) {
        let status = wait_until("the operator has stopped", within, || {
            self.exit_status().ok_or_else(|| "it still runs".to_owned())
        });
        assert!(status.success(), "the operator stopped with {status}");
    }

    /// Asks it to end, and does not wait.
    #[track_caller]
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal: `STOP`, `CONT`, `HUP`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let (signal, pid) = (format!("-{signal}"), self.child.id().to_string());
        let sent = Command::new("kill").args([&signal, &pid]).status().unwrap();
        assert!(sent.success(), "the operator has ended before it was sent {signal}");
    }

    /// How it ended, if it did.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many TCP connections it holds, by Linux's account.
    pub fn connections(&self) -> usize {
        self.count_connections(|_| true)
    }

    /// How many of them Linux asks now and then whether the other end is still there.
    pub fn connections_kept_alive(&self) -> usize {
        self.count_connections(|timer| timer.starts_with("02:"))
    }

    fn count_connections(&self, with_timer: impl Fn(&str) -> bool) -> usize {
        let process = format!("/proc/{}", self.pid());
        let files = fs::read_dir(format!("{process}/fd")).unwrap();
        let files = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok()); // it may be closed by now
        let sockets: BTreeSet<String> = files.map(|file| file.display().to_string()).collect();
        let is_ours = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[3] == "01" && with_timer(fields[5]) && sockets.contains(&format!("socket:[{}]", fields[9]))
        };
        let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("{process}/net/{table}")).unwrap());
        tables
            .iter()
            .map(|table| table.lines().skip(1).filter(is_ours).count())
            .sum()
    }

    fn end(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of a log.
pub fn tail(log: &PathBuf, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A command that the kernel ends with the thread that started it, so that nothing is left of a test run that was killed.
pub fn tied_to_this_process(program: &str) -> Command {
    if cfg!(not(target_os = "linux")) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a process from a thread that lives as long as this process.
pub fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (orders, waiting) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in waiting {
                answer.send(command.spawn()).unwrap();
            }
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    SPAWNER.lock().unwrap().send((command, answer)).unwrap();
    child.recv().unwrap()
}
