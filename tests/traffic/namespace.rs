//! A network namespace in which the addresses of pods are this machine's, and from which nothing leaves.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set inside.
const INSIDE: &str = "ITER8_TRAFFIC_INSIDE";

/// Enters it.
const ENTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traffic/inside.sh");

/// Builds and fetches what needs a network.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traffic/mesh.sh");

/// Returns inside of such a namespace, or says why there is none to be had. For this the program starts anew in it, as
/// the same process.
pub fn enter() -> Result<(), String> {
    if env::var_os(INSIDE).is_some() {
        assert_alone();
        return Ok(());
    }
    if env::var_os("ITER8_TEST_CLUSTER").is_some() {
        return Err("they start a cluster of their own, and ITER8_TEST_CLUSTER names another".to_owned());
    }
    let possible = Command::new(ENTER).arg("true").output().unwrap();
    if !possible.status.success() {
        return Err(String::from_utf8_lossy(&possible.stderr).trim().to_owned());
    }
    let mut again = Command::new(ENTER);
    again.arg(env::current_exe().unwrap()).args(env::args_os().skip(1));
    again.env(INSIDE, "1").envs(programs()?);
    Err(format!("{ENTER}: {}", again.exec()))
}

/// What `mesh.sh` prints, for the environment.
fn programs() -> Result<Vec<(String, String)>, String> {
    let output = Command::new(PROGRAMS).stderr(Stdio::inherit()).output().unwrap();
    if !output.status.success() {
        return Err(format!("{PROGRAMS} has failed, and said why"));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    };
    Ok(text.lines().map(pair).collect())
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
