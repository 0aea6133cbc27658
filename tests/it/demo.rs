//! The demo in a cluster that is there already: it plays to its end, and takes away what it brought and nothing else.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::support::cluster::{Cluster, SERVICE_ACCOUNT, bare_cluster};
use crate::support::kubectl::{Said, say};
use crate::support::operator::BINARY;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// The demo of a user whose current context is a cluster of ours.
struct Demo {
    cluster: Arc<Cluster>,
    /// Its own files, and those of its user's `kubectl`.
    home: TempDir,
}

impl Demo {
    fn run(&self, command: &str) -> Said {
        let kubectl = &self.cluster.kubectl;
        let folders = kubectl.binary.parent().map(Path::to_path_buf);
        let path = env::var_os("PATH").unwrap();
        let path = env::join_paths(folders.into_iter().chain(env::split_paths(&path))).unwrap();
        let mut demo = Command::new(format!("{TOP}/demo/demo.sh"));
        demo.arg(command).env("CLUSTER", "current").env("ITER8_BINARY", BINARY);
        demo.env("PATH", path).env("KUBECONFIG", &kubectl.kubeconfig);
        demo.env("XDG_CACHE_HOME", self.home.path())
            .env("HOME", self.home.path());
        say(&mut demo, "")
    }

    /// What of the demo's is in the cluster.
    fn brought(&self) -> Vec<String> {
        let all = [
            "get",
            "customresourcedefinitions,namespaces,clusterroles,clusterrolebindings",
            "--output=name",
        ];
        let found = self.cluster.kubectl.ok(all, "");
        found
            .lines()
            .filter(|name| name.contains("iter8"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.run("down"); // ends the operator, should the test have failed
    }
}

#[test]
fn the_demo_plays_in_a_cluster_that_is_there_and_takes_away_what_it_brought_and_nothing_else() {
    let Some(cluster) = bare_cluster("demo") else {
        return;
    };
    let demo = Demo {
        cluster: Arc::clone(&cluster),
        home: TempDir::new().unwrap(),
    };
    let kubectl = &cluster.kubectl;

    // Somebody has Metrics already.
    kubectl.ok(["delete", "namespace", SERVICE_ACCOUNT.0], "");
    let metrics = format!("{TOP}/crds/metrics.yaml");
    kubectl.ok(["apply", "--server-side", "--filename", &metrics], "");
    let before = demo.brought();
    let refused = demo.run("up");
    assert!(!refused.ok, "{}", refused.stdout);
    assert!(
        refused.stderr.contains("would disturb") && refused.stderr.contains("metrics.iter8.tools"),
        "{}",
        refused.stderr
    );
    assert_eq!(demo.brought(), before);
    kubectl.ok(["delete", "--filename", &metrics], "");

    let played = demo.run("up");
    assert!(played.ok, "{}\n{}", played.stdout, played.stderr);
    for part in ["30/70", "Promoting", "make demo-down"] {
        assert!(played.stdout.contains(part), "{part} is not in\n{}", played.stdout);
    }
    let operator = fs::read_to_string(demo.home.path().join("iter8/demo/operator.pid")).unwrap();
    // Of one that has ended and was not waited for it is empty.
    let command_line = Path::new("/proc").join(operator.trim()).join("cmdline");
    let runs = || !fs::read(&command_line).unwrap_or_default().is_empty();
    assert!(runs(), "the operator goes on running");

    let removed = demo.run("down");
    assert!(removed.ok, "{}\n{}", removed.stdout, removed.stderr);
    assert_eq!(demo.brought(), Vec::<String>::new());
    assert!(!runs(), "the operator has ended");
    assert!(!demo.home.path().join("iter8/demo").exists());
}
