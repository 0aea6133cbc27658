//! A network namespace in which the addresses of pods are this machine's, and from which nothing leaves.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

/// Set inside.
const INSIDE: &str = "ITER8_TRAFFIC_INSIDE";

/// The addresses of pods, as the launcher's `--cidr` has them by default.
const SETUP: &str = "ip link set lo up && ip route add local 10.244.0.0/16 dev lo";

/// Returns inside of such a namespace, or says why there is none to be had. For this the program starts anew in it, as
/// the same process; what needs a network (the programs of cluster and mesh) is built and fetched before.
pub fn enter() -> Result<(), String> {
    if env::var_os(INSIDE).is_some() {
        assert_alone();
        return Ok(());
    }
    if env::var_os("ITER8_TEST_CLUSTER").is_some() {
        return Err("they start a cluster of their own, and ITER8_TEST_CLUSTER names another".to_owned());
    }
    // Root can do without a user namespace, which some machines forbid.
    let ways: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    let mut refused = String::new();
    for way in ways {
        match Command::new("unshare").args(way).args(["sh", "-c", SETUP]).output() {
            Ok(output) if output.status.success() => return Err(start_in(way)),
            Ok(Output { stderr, .. }) => refused = String::from_utf8_lossy(&stderr).into_owned(),
            Err(error) => refused = format!("unshare: {error}"),
        }
    }
    Err(format!(
        "a network namespace of their own cannot be had ({})",
        refused.trim()
    ))
}

/// Does not return, unless it fails.
fn start_in(way: &[&str]) -> String {
    let script = format!("{SETUP} && exec \"$0\" \"$@\"");
    let program = env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-c", &script]).arg(program);
    command.args(env::args_os().skip(1));
    command.env(INSIDE, "1").envs(programs());
    format!("unshare: {}", command.exec())
}

/// What `mesh.sh` prints, for the environment.
fn programs() -> Vec<(String, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traffic/mesh.sh");
    let output = Command::new(script)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    };
    text.lines().map(pair).collect()
}

/// A request to a pod's address must not leave the machine, whatever the environment says.
fn assert_alone() {
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap();
    let names: Vec<&str> = devices
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    assert_eq!(names, ["lo"], "{INSIDE} is set, but this is no namespace of its own");
}
