//! `iter8 describe`: what objects say of themselves.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::cli::{complaint, far_from_clusters, iter8, ok};
use crate::docs;
use crate::golden;
use crate::support::Test;
use crate::support::kubectl::{Said, say};
use crate::support::manifest::{release, weighted};
use crate::support::operator::BINARY;

#[test]
fn describe_prints_what_objects_say_of_themselves() {
    golden::check(golden::cases("describe").iter().map(|case| {
        let input = case.join("input.yaml");
        let printed = ok(&["describe", "--filename", input.to_str().unwrap()], "");
        golden::compare_file(&case.join("want.txt"), &printed)
    }));
}

#[test]
fn describe_prints_the_same_from_stdin_and_of_json() {
    for case in golden::cases("describe") {
        let (yaml, want) = (golden::input(&case, "input.yaml"), golden::input(&case, "want.txt"));
        assert_eq!(ok(&["describe", "-f", "-"], &yaml), want);
        let items = iter8::model::yaml::read_all(&yaml).unwrap();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        assert_eq!(ok(&["describe", "-f", "-"], &list.to_string()), want);
    }
}

fn experiment(change: impl Fn(&mut Value)) -> String {
    let mut object = json!({
        "apiVersion": "iter8.tools/v2alpha1",
        "kind": "Experiment",
        "metadata": { "name": "new" },
        "spec": {
            "target": "default/web",
            "strategy": { "testingPattern": "Conformance" },
            "versionInfo": { "baseline": { "name": "a" } },
        },
    });
    change(&mut object);
    object.to_string()
}

#[test]
fn an_object_that_names_no_namespace_is_in_the_given_one() {
    for (arguments, want) in [(vec![], "default"), (vec!["--namespace=shop"], "shop")] {
        let printed = ok(&[vec!["describe", "-f", "-"], arguments].concat(), &experiment(|_| {}));
        assert!(
            printed.contains(&format!("\nExperiment namespace: {want}\n")),
            "{printed}"
        );
    }
}

/// The one line that it says of this input.
fn refusal(input: &str) -> String {
    let said = iter8(&["describe", "-f", "-"], input);
    assert!(!said.ok && said.stdout.is_empty(), "{}", said.stdout);
    let line = said
        .stderr
        .strip_prefix("error: -: ")
        .unwrap_or_else(|| panic!("{}", said.stderr));
    line.trim_end().to_owned()
}

#[test]
fn what_is_wrong_with_a_file_is_one_sentence() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    let bad_pattern = experiment(|object| object["spec"]["strategy"]["testingPattern"] = json!("Canry"));
    let other_version = experiment(|object| object["apiVersion"] = json!("iter8.tools/v2alpha2"));
    for (input, part) in [
        ("", "no object in it"),
        ("{kind: List, items: []}", "no object in it"),
        ("a: [1\n", "not valid YAML: "),
        (
            "just text",
            "something without a kind: none of Experiment, Release, RoutePolicy",
        ),
        (pod, "v1 Pod a: none of Experiment, Release, RoutePolicy"),
        (&bad_pattern, "Experiment new: not valid: unknown variant `Canry`"),
        (
            &other_version,
            "Experiment new: apiVersion must be iter8.tools/v2alpha1, not iter8.tools/v2alpha2",
        ),
    ] {
        let said = refusal(input);
        assert!(said.starts_with(part) && said.lines().count() == 1, "{said}");
    }
    let said = complaint(far_from_clusters().args(["describe", "-f", "/does/not/exist"]));
    assert!(said.starts_with("/does/not/exist: No such file"), "{said}");
}

#[test]
fn all_mistakes_of_a_file_are_told_and_nothing_is_printed() {
    let bad = experiment(|object| object["spec"]["target"] = json!(1));
    let input = [experiment(|_| {}), bad.clone(), bad].join("\n---\n");
    let said = iter8(&["describe", "-f", "-"], &input);
    assert!(!said.ok && said.stdout.is_empty(), "{}", said.stdout);
    assert_eq!(
        said.stderr.matches("\n  Experiment new: not valid: ").count(),
        2,
        "{}",
        said.stderr
    );
}

#[test]
fn what_an_object_says_cannot_command_the_terminal() {
    let ready = json!({
        "type": "Ready", "status": "False", "reason": "Pending", "message": "a\u{1b}[2Jb\nc",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({ "stage": "Waiting", "conditions": [ready] });
    let printed = ok(
        &["describe", "-f", "-"],
        &experiment(|object| object["status"] = status.clone()),
    );
    assert!(printed.ends_with("\nMessage: a[2Jb c\n"), "{printed}");
}

#[test]
fn bad_arguments_are_told_before_a_cluster_is_asked() {
    for (arguments, part) in [
        (
            vec!["pod", "a"],
            "pod: no kind that can be described, as are experiment, release, routepolicy",
        ),
        (
            vec!["exp"],
            "exp: the name of one is missing, as in iter8 describe exp NAME",
        ),
        (vec!["exp/a", "b"], "exp/a b: that is two names"),
        (vec!["exp", "a/b"], "\"a/b\" is no name that an object can have"),
        (vec!["exp/a"], "no cluster to connect to: "),
    ] {
        let said = complaint(far_from_clusters().arg("describe").args(&arguments));
        assert!(said.starts_with(part), "{arguments:?}: {said}");
    }
    for arguments in [vec![], vec!["exp", "a", "-f", "-"]] {
        assert!(!iter8(&[vec!["describe"], arguments].concat(), "").ok);
    }
}

#[test]
fn help_tells_both_ways_to_call_it() {
    let words = |help: String| help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(ok(&["--help"], "")).contains("describe Print what an object says"));
    let help = words(ok(&["describe", "--help"], ""));
    for part in [
        "describe experiment mirroring",
        "| iter8 describe -f -",
        "[KIND] [NAME]",
        "--filename <FILE>",
        "--namespace <NAME>",
        "KUBECONFIG",
    ] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
}

fn describe(test: &Test, arguments: &[&str]) -> Said {
    let mut command = Command::new(BINARY);
    command.env("KUBECONFIG", docs::kubeconfig(test));
    say(command.arg("describe").args(arguments), "")
}

#[test]
fn describe_reads_from_the_cluster_what_kubectl_does() {
    let test = Test::new("describe");
    let web = release(
        "web",
        "deployment-istio",
        "blue-green",
        &[weighted("web:1", 30), weighted("web:2", 70)],
    );
    test.apply(&web.to_string());
    test.wait_ready("release/web");
    for (kind, short) in [("release", "rel"), ("routepolicy", "rp")] {
        let yaml = test.kubectl(["get", kind, "web", "--output=yaml"]);
        let want = ok(&["describe", "-f", "-"], &yaml);
        for part in ["\nReady: True since ", "|  30% |", "|  70% |", "VirtualService web\n"] {
            assert!(want.contains(part), "{part} is not in\n{want}");
        }
        let slashed = format!("{kind}/web");
        let elsewhere = ["--namespace", test.namespace.as_str()];
        for arguments in [
            vec![kind, "web"],
            [vec![short, "web"], elsewhere.to_vec()].concat(),
            vec![&slashed],
        ] {
            let said = describe(&test, &arguments);
            assert!(said.ok, "{}", said.stderr);
            assert_eq!(said.stdout, want, "{arguments:?}");
        }
    }
}

#[test]
fn describe_says_what_the_cluster_does_not_have() {
    let test = Test::without_operator("describe-none");
    let said = describe(&test, &["release", "web"]);
    assert!(!said.ok && said.stdout.is_empty());
    let want = format!("error: there is no Release web in namespace {}\n", test.namespace);
    assert_eq!(said.stderr, want);
    let said = describe(&test, &["rel", "web", "-n", "does-not-exist"]);
    assert_eq!(
        said.stderr,
        "error: there is no Release web in namespace does-not-exist\n"
    );
}

#[test]
fn a_cluster_that_does_not_answer_is_told() {
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    // Nobody listens on port 1.
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{ "name": "a", "user": {} }],
        "clusters": [{ "name": "a", "cluster": { "server": "http://127.0.0.1:1" } }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a", "namespace": "shop" } }],
    });
    fs::write(kubeconfig.path(), config.to_string()).unwrap();
    let mut command = far_from_clusters();
    command.env("KUBECONFIG", kubeconfig.path());
    let said = complaint(command.args(["describe", "release", "web"]));
    assert!(said.starts_with("Release web in namespace shop: "), "{said}");
    assert!(said.contains("onnection refused"), "{said}");
}
