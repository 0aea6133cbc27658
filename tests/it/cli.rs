//! The command line, as a user meets it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::golden;
use crate::support::Test;
use crate::support::kubectl::{Said, say};
use crate::support::operator::BINARY;

/// `iter8` with these arguments, and this on its standard input. No cluster is in reach.
pub fn iter8(arguments: &[&str], input: &str) -> Said {
    say(far_from_clusters().args(arguments), input)
}

pub fn far_from_clusters() -> Command {
    let mut command = Command::new(BINARY);
    command.env("KUBECONFIG", "/does/not/exist").env("COLUMNS", "100");
    command
}

/// What it prints. Fails when it fails.
#[track_caller]
pub fn ok(arguments: &[&str], input: &str) -> String {
    let said = iter8(arguments, input);
    assert!(said.ok, "iter8 {}: {}", arguments.join(" "), said.stderr);
    assert_eq!(said.stderr, "");
    said.stdout
}

/// The one line that it complains with; exit code 1.
#[track_caller]
pub fn complaint(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let text = String::from_utf8(output.stderr).unwrap();
    let [line] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("not one line:\n{text}")
    };
    line.strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

fn documents(yaml: &str) -> Vec<Value> {
    iter8::model::yaml::read_all(yaml).unwrap()
}

fn release(name: &str, change: impl Fn(&mut Value)) -> String {
    let mut object = json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "Release",
        "metadata": { "name": name },
        "spec": { "environment": "deployment", "application": { "versions": [{ "image": "httpbin" }] } },
    });
    change(&mut object);
    format!("---\n{object}\n")
}

/// The files in `crds/`, in the order in which they are printed.
const CRD_FILES: [&str; 4] = [
    "releases.yaml",
    "routepolicies.yaml",
    "experiments.yaml",
    "metrics.yaml",
];

#[test]
fn crdgen_prints_what_is_in_crds() {
    let printed = documents(&ok(&["crdgen"], ""));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let stored = CRD_FILES.map(|name| fs::read_to_string(folder.join(name)).unwrap());
    let stored: Vec<Value> = stored.iter().flat_map(|text| documents(text)).collect();
    assert_eq!(printed, stored);
}

#[test]
fn crdgen_writes_one_file_for_each_crd() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("a/b");
    let said = iter8(&["crdgen", "--output-dir", made.to_str().unwrap()], "");
    assert!(said.ok, "{}", said.stderr);
    assert_eq!(said.stdout, "");
    for name in CRD_FILES {
        let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(name);
        assert_eq!(
            fs::read_to_string(made.join(name)).unwrap(),
            fs::read_to_string(stored).unwrap()
        );
    }
    assert_eq!(fs::read_dir(made).unwrap().count(), CRD_FILES.len());
}

#[test]
fn render_prints_what_would_be_made() {
    golden::check(golden::cases("render").iter().map(|case| {
        let input = case.join("input.yaml");
        golden::compare(case, &ok(&["render", "--filename", input.to_str().unwrap()], ""))
    }));
}

#[test]
fn render_prints_the_same_as_json_and_from_stdin() {
    for case in golden::cases("render") {
        let input = golden::input(&case, "input.yaml");
        let yaml = ok(&["render", "--filename=-"], &input);
        assert_eq!(yaml, golden::input(&case, "want.yaml"));
        let json = ok(&["render", "--filename=-", "--output=json"], &input);
        let list: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(list["kind"], "List");
        assert_eq!(list["items"], json!(documents(&yaml)));
    }
}

#[test]
fn render_puts_what_names_no_namespace_into_the_given_one() {
    let input = release("web", |_| {}) + &release("api", |object| object["metadata"]["namespace"] = json!("own"));
    let printed = documents(&ok(&["render", "-f", "-", "-n", "given"], &input));
    let namespaces: Vec<&Value> = printed.iter().map(|object| &object["metadata"]["namespace"]).collect();
    assert!(namespaces.iter().any(|one| **one == "given") && namespaces.iter().any(|one| **one == "own"));
    assert!(namespaces.iter().all(|one| **one == "given" || **one == "own"));
}

#[test]
fn the_api_server_takes_what_render_prints() {
    let test = Test::without_operator("render");
    for case in golden::cases("render") {
        let input = golden::input(&case, "input.yaml").replace("namespace: shop", "");
        let printed = ok(&["render", "--filename=-", "--namespace", &test.namespace], &input);
        test.dry_run(&printed);
    }
}

#[test]
fn render_names_every_mistake_in_a_file() {
    let bad = release("web", |object| {
        object["spec"]["aplication"] = json!({});
        object["spec"]["application"]["versions"][0]["wieght"] = json!(5);
    }) + &release("api", |object| {
        object["spec"]["application"]["strategy"] = json!("blue-green");
        object["spec"]["application"]["versions"] = json!([{ "image": "a", "weight": 101 }, {}]);
    }) + &release("good", |_| {})
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
    let said = iter8(&["render", "--filename=-"], &bad);
    assert_eq!(said.code, Some(1));
    assert_eq!(said.stdout, "", "nothing is printed of a file with a mistake");
    for part in [
        "error: -:",
        "Release web: spec.aplication: ",
        "Release web: spec.application.versions[0].wieght: ",
        "Release api: spec.application.versions[0].weight: ",
        "Release api: spec.application.versions[1].image: ",
        "v1 ConfigMap other: neither a Release nor a RoutePolicy of iter8.tools/v1alpha1",
    ] {
        assert!(said.stderr.contains(part), "{part} is not in\n{}", said.stderr);
    }
    assert!(!said.stderr.contains("good"), "{}", said.stderr);
}

#[test]
fn render_says_what_is_wrong_with_a_file_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("empty"), "# nothing\n").unwrap();
    fs::write(path("broken"), "a: [1\n").unwrap();
    for (name, part) in [
        ("missing", "No such file"),
        ("empty", "no object in it"),
        ("broken", "line 2"),
    ] {
        let said = complaint(far_from_clusters().args(["render", "--filename", &path(name)]));
        assert!(said.starts_with(&path(name)) && said.contains(part), "{said}");
    }
}

#[test]
fn a_service_that_would_not_select_its_pods_is_a_mistake_too() {
    let bad = release("web", |object| {
        object["spec"]["application"]["versions"][0]["serviceSpecification"] =
            json!({ "spec": { "selector": { "app": "other" } } });
    });
    let said = iter8(&["render", "--filename=-"], &bad);
    assert!(!said.ok && said.stderr.contains("app=other"), "{}", said.stderr);
}

#[test]
fn version_names_the_program_and_its_version() {
    let want = format!("iter8 {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(ok(&["version"], ""), want);
    assert_eq!(ok(&["--version"], ""), want);
}

#[test]
fn help_names_every_command_and_every_option() {
    // Lines are broken to the width of the terminal.
    let words = |help: String| help.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = words(ok(&["--help"], ""));
    for part in [
        "blue-green, canary and mirrored",
        "run ",
        "crdgen ",
        "render ",
        "version ",
    ] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    let options = [
        (
            "run",
            vec![
                "--namespace <NAME>",
                "ITER8_NAMESPACE",
                "--log-format",
                "ITER8_LOG_FORMAT",
                "json",
                "--log-level <LEVEL>",
                "ITER8_LOG_LEVEL",
                "iter8=debug,kube=warn",
                "KUBECONFIG",
                "SIGTERM",
            ],
        ),
        (
            "render",
            vec![
                "--filename <FILE>",
                "--namespace <NAME>",
                "--output",
                "yaml",
                "json",
                "Exit code 1",
            ],
        ),
        ("crdgen", vec!["--output-dir <DIR>", "kubectl apply --server-side"]),
    ];
    for (command, parts) in options {
        let help = words(ok(&[command, "--help"], ""));
        for part in parts {
            assert!(help.contains(part), "{part} is not in\n{help}");
        }
    }
}

#[test]
fn a_bad_log_level_is_told_with_the_good_ones() {
    for level in ["loud", "iter8=loud", "info,kube=loud", ""] {
        let said = complaint(far_from_clusters().args(["run", "--log-level", level]));
        assert!(said.starts_with(&format!("log level {level:?}: ")), "{said}");
        assert!(
            said.contains("error, warn, info, debug, trace") && said.contains("iter8=debug"),
            "{said}"
        );
    }
    for level in ["debug", "WARN", "iter8=debug,kube=warn", "info,iter8=debug"] {
        let said = complaint(far_from_clusters().args(["run", "--log-level", level]));
        assert!(said.starts_with("no cluster to connect to: "), "{said}");
    }
}

#[test]
fn without_a_cluster_run_says_where_it_looked() {
    let said = complaint(far_from_clusters().arg("run"));
    assert!(said.starts_with("no cluster to connect to: "), "{said}");
    assert!(said.contains("/does/not/exist") && said.contains("no Pod"), "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    let text = "{ apiVersion: v1, kind: Config, current-context: gone, contexts: [], clusters: [], users: [] }";
    fs::write(kubeconfig.path(), text).unwrap();
    let said = complaint(far_from_clusters().env("KUBECONFIG", kubeconfig.path()).arg("run"));
    assert!(
        said.starts_with("no cluster to connect to: ") && said.contains("gone"),
        "{said}"
    );
}

#[test]
fn a_reader_may_stop_when_it_has_seen_enough() {
    let mut child = far_from_clusters()
        .arg("crdgen")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        ExitStatus::success(&output.status),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stderr.is_empty());
}
