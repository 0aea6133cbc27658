//! The documentation: what its pages tell people to type works and prints what they say, their links lead somewhere, and
//! every reason that the operator gives is explained.
//!
//! On a page, blocks marked `sh` are run in their order, and a block `text` after one is the end of what it prints; blocks
//! marked otherwise (`shell`) are not run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::support::Test;
use crate::support::kubectl::{Said, say};
use crate::support::operator::BINARY;

const TUTORIALS: &str = "docs/tutorials";

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a page: what is written behind the fence, and the text.
pub fn blocks(page: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = page.split("```").collect();
    assert!(parts.len() % 2 == 1, "a block is not closed");
    parts
        .iter()
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
        .collect()
}

/// Does what a page says, in a namespace of its own.
#[track_caller]
fn follow(page: &str) {
    let test = Test::new(page);
    let kubeconfig = kubeconfig(&test);
    let mut printed = String::new();
    let written = read(page);
    for (language, block) in blocks(&written) {
        match language {
            "sh" => {
                let said = shell(&test, &kubeconfig, block);
                assert!(said.ok, "{page}: this fails:\n{block}\n{}{}", said.stdout, said.stderr);
                printed = said.stdout;
            }
            "text" => {
                let got = lines(&printed.replace(&format!(".{}.svc", test.namespace), ".default.svc"));
                assert!(
                    got.ends_with(&lines(block)),
                    "{page} says\n{block}\nbut this is printed:\n{printed}"
                );
            }
            _ => {}
        }
    }
}

/// Sees that the API server takes what a page applies, where the rest needs more than a control plane: Metrics, Experiments,
/// and what they are about.
#[track_caller]
fn offer(page: &str) {
    let test = Test::without_operator(page);
    let written = read(page);
    let manifests: Vec<&str> = blocks(&written)
        .into_iter()
        .filter(|(language, _)| *language == "shell")
        .flat_map(|(_, block)| block.split("<<EOF\n").skip(1).chain(block.split("<<'EOF'\n").skip(1)))
        .map(|rest| rest.split("\nEOF\n").next().unwrap())
        .collect();
    assert!(!manifests.is_empty(), "{page} applies nothing");
    for manifest in manifests {
        test.dry_run(manifest);
    }
}

/// The lines, without how wide columns are and how old things are.
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().map(ageless).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The word, or `AGE` for one like `3s` or `2m10s`.
fn ageless(word: &str) -> &str {
    let is_age = word.ends_with(['s', 'm', 'h']) && word.chars().all(|c| "0123456789smh".contains(c));
    if is_age { "AGE" } else { word }
}

pub fn shell(test: &Test, kubeconfig: &Path, script: &str) -> Said {
    let kubectl = test.cluster.kubectl.binary.parent().map(Path::to_path_buf);
    let iter8 = Path::new(BINARY).parent().map(Path::to_path_buf);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = kubectl.into_iter().chain(iter8).chain(env::split_paths(&path));
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-s"]).current_dir(top());
    bash.env("KUBECONFIG", kubeconfig)
        .env("PATH", env::join_paths(folders).unwrap());
    say(&mut bash, script)
}

/// The admin's kubeconfig, with the test's namespace as the one that commands mean.
pub fn kubeconfig(test: &Test) -> PathBuf {
    let admin = fs::read_to_string(&test.cluster.kubectl.kubeconfig).unwrap();
    let mut config: Value = serde_yaml::from_str(&admin).unwrap();
    config["contexts"][0]["context"]["namespace"] = test.namespace.as_str().into();
    let path = test.cluster.folder.join(format!("{}.kubeconfig", test.namespace));
    fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn the_blue_green_tutorial_works_as_it_is_written() {
    follow("docs/tutorials/blue-green-istio.md");
}

#[test]
fn the_canary_tutorial_works_as_it_is_written() {
    follow("docs/tutorials/canary-gateway-api.md");
}

#[test]
fn the_mirroring_tutorial_works_as_it_is_written() {
    follow("docs/tutorials/mirror-istio.md");
}

#[test]
fn the_tutorial_for_apps_of_ones_own_works_as_it_is_written() {
    follow("docs/tutorials/bring-your-own-app.md");
}

#[test]
fn the_manifests_of_the_tutorial_on_experiments_are_accepted() {
    offer("docs/tutorials/knative-mirroring-experiment.md");
}

#[test]
fn the_manifests_of_the_page_on_experiments_are_accepted() {
    offer("docs/experiment.md");
}

#[test]
fn the_readme_works_as_it_is_written() {
    follow("README.md");
}

#[test]
fn every_tutorial_is_followed_and_listed() {
    let (tests, list) = (read("tests/it/docs.rs"), read("docs/tutorials/README.md"));
    for entry in fs::read_dir(top().join(TUTORIALS)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "README.md" {
            let is_read = ["follow", "offer"]
                .iter()
                .any(|read| tests.contains(&format!("{read}(\"{TUTORIALS}/{name}\")")));
            assert!(is_read, "no test follows {name}");
            assert!(
                list.contains(&format!("]({name})")),
                "{TUTORIALS}/README.md does not list {name}"
            );
        }
    }
}

/// The pages, with their text.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top().to_path_buf(), top().join("tests/cluster")];
    folders.extend(["docs", TUTORIALS].map(|folder| top().join(folder)));
    for folder in folders {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.insert(path.clone(), fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// Whether a page has a heading that `#anchor` leads to, as GitHub makes it.
fn has_anchor(page: &str, anchor: &str) -> bool {
    let slug = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    page.lines().any(|line| line.starts_with('#') && slug(line) == anchor)
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(target.exists(), "{}: no {link}", path.display());
            let anchored = anchor.is_empty() || has_anchor(&fs::read_to_string(&target).unwrap(), anchor);
            assert!(anchored, "{}: no heading for {link}", path.display());
        }
    }
}
