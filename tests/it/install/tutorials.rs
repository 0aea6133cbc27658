//! The tutorials of the original iter8 by their own commands, out of their pages in `tests/seeds`, with the operator
//! that the first of them installs.

use std::fs;
use std::sync::{Arc, LazyLock};

use crate::docs::{blocks, kubeconfig, shell};
use crate::support::Test;
use crate::support::cluster::{Cluster, SERVICE_ACCOUNT, bare_cluster};
use crate::support::operator::Operator;
use crate::support::pods::processes;
use crate::tutorials::{Tutorial, blue_green_istio, canary_gateway_api, mirror_istio};

/// What is mended in the pages, and nothing else is: why, what is written there, and what is meant. (A third slip of the
/// seeds, `true` as the value of a label without quotes, is in a page without Helm commands: `tests/it/tutorials` has it.)
const REPAIRS: &[(&str, &str, &str)] = &[
    (
        "the doubled line of the mirroring tutorial",
        "cat <<EOF | helm upgrade --install httpbin --repo https://iter8-tools.github.io/iter8 release --version 0.18 -f -\n\
         cat <<EOF | ",
        "cat <<EOF | ",
    ),
    (
        "the charts: those of this repository, not of another computer",
        "CHARTS=/Users/kalantar/projects/go.workspace/src/github.com/iter8-tools/iter8/charts",
        "CHARTS=charts",
    ),
    (
        "the charts: those of this repository, not of another one",
        "--repo https://iter8-tools.github.io/iter8 release --version 0.18",
        "charts/release",
    ),
];

/// A page of the tutorials, mended.
fn page(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds/");
    let text = fs::read_to_string(format!("{path}{name}.md")).unwrap();
    let mend = |text: String, (_, wrong, right): &(_, &str, &str)| text.replace(wrong, right);
    REPAIRS.iter().fold(text, mend)
}

/// Its commands that call Helm, from top to bottom.
fn helm_commands(page: &str) -> Vec<String> {
    let commands = blocks(page).into_iter().filter(|(language, _)| *language == "shell");
    commands
        .map(|(_, command)| command.to_owned())
        .filter(|command| command.contains("helm "))
        .collect()
}

/// A cluster with the operator that the tutorial's command installs, for all namespaces.
fn installed() -> Option<Arc<Cluster>> {
    static INSTALLED: LazyLock<Option<(Arc<Cluster>, Vec<Operator>)>> = LazyLock::new(|| {
        let cluster = bare_cluster("tutorials")?;
        let test = Test::in_namespace(Arc::clone(&cluster), "installation".to_owned());
        let commands = helm_commands(&page("blue-green-istio"));
        // Somebody whose commands mean the operator's namespace.
        let install = format!(
            "kubectl config set-context --current --namespace={} >&2\n{}",
            SERVICE_ACCOUNT.0, commands[0]
        );
        let said = shell(&test, &kubeconfig(&test), &install);
        assert!(said.ok, "{}{}", said.stdout, said.stderr);
        cluster.collect_new_kinds();
        let operators = processes(&cluster, SERVICE_ACCOUNT.0, "iter8");
        Some((cluster, operators))
    });
    INSTALLED.as_ref().map(|(cluster, _)| Arc::clone(cluster))
}

/// Does what a page says, from its first Release on.
#[track_caller]
fn follow(page: &str, test: &Test, tutorial: &Tutorial) {
    let mut commands = helm_commands(page);
    // What one command exports the next ones use.
    let exports: Vec<String> = commands
        .iter()
        .flat_map(|command| command.lines())
        .filter(|line| line.starts_with("export "))
        .map(str::to_owned)
        .collect();
    let exports = exports.join("\n");
    commands.retain(|command| !command.contains("/controller"));
    let delete = commands.pop().unwrap();
    assert_eq!(commands.len(), tutorial.steps.len(), "{commands:#?}");
    let kubeconfig = kubeconfig(test);
    let run = |command: &str| {
        let said = shell(test, &kubeconfig, &format!("{exports}\n{command}"));
        assert!(said.ok, "{command}\n{}{}", said.stdout, said.stderr);
    };
    let safety = test.watch_safety();
    for (command, (values, check)) in commands.iter().zip(tutorial.steps) {
        assert!(
            command.contains(values),
            "other values than in tests/it/tutorials: {command}"
        );
        run(command);
        test.wait_ready("release/httpbin");
        check(test);
    }
    safety.assert_safe();
    tutorial.ends_whole(test, || run(&delete));
}

#[test]
fn the_commands_of_the_blue_green_tutorial_work() {
    let Some(cluster) = installed() else { return };
    let test = Test::within(cluster, "blue-green commands");
    follow(&page("blue-green-istio"), &test, &blue_green_istio::TUTORIAL);
}

#[test]
fn the_commands_of_the_canary_tutorial_work() {
    let Some(cluster) = installed() else { return };
    // That of the tutorial.
    let test = Test::in_namespace(cluster, "test".to_owned());
    follow(&page("canary-gateway-api"), &test, &canary_gateway_api::TUTORIAL);
}

#[test]
fn the_commands_of_the_mirroring_tutorial_work() {
    let Some(cluster) = installed() else { return };
    let test = Test::within(cluster, "mirror commands");
    follow(&page("mirror-istio"), &test, &mirror_istio::TUTORIAL);
}

#[test]
fn every_repair_is_needed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");
    let pages = fs::read_dir(path)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let pages: Vec<String> = pages.collect();
    for (why, wrong, _) in REPAIRS {
        assert!(pages.iter().any(|page| page.contains(wrong)), "no page has {why}");
    }
}
