//! `docs/operate.md` and what it explains: alerts and dashboard of the chart.

use std::fs;
use std::sync::Arc;

use serde_json::Value;

use crate::docs::{blocks, kubeconfig, shell};
use crate::support::Test;
use crate::support::cluster::{SERVICE_ACCOUNT, bare_cluster};

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_yaml::from_str(&read("charts/controller/files/alerts.yaml")).unwrap();
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

#[test]
fn each_alert_has_its_lines_in_the_page_that_it_points_to() {
    let page = read("docs/operate.md");
    let page = page.split_once("\n## Alerts\n").unwrap().1;
    let page = page.split("\n## ").next().unwrap();
    let sections = page.split("\n### ").skip(1);
    let explained: Vec<&str> = sections.map(|section| section.lines().next().unwrap()).collect();
    let alerts = alerts();
    let given: Vec<&str> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(explained, given);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let page = "https://github.com/iter8-tools/iter8/blob/main/docs/operate.md";
        let annotations = &alert["annotations"];
        assert_eq!(annotations["runbook_url"], format!("{page}#{}", name.to_lowercase()));
        for text in ["summary", "description"] {
            assert!(annotations[text].is_string(), "{name} has no {text}");
        }
        let severity = &alert["labels"]["severity"];
        let known = ["critical", "warning", "info"].iter().any(|word| severity == word);
        assert!(known, "{name}: {severity}");
    }
}

/// The expressions in rules or panels.
fn queries(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let here = fields.get("expr").and_then(Value::as_str).map(str::to_owned);
            here.into_iter().chain(fields.values().flat_map(queries)).collect()
        }
        Value::Array(items) => items.iter().flat_map(queries).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are_of_the_installation_only() {
    let page = read("docs/metrics.md");
    let alerted = queries(&alerts().into());
    let shown = queries(&serde_json::from_str(&read("charts/controller/files/dashboard.json")).unwrap());
    for (expressions, namespace) in [(alerted, "NAMESPACE"), (shown, "$namespace")] {
        assert!(!expressions.is_empty());
        for expression in expressions {
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let is_metric = |word: &&str| word.starts_with("iter8_") || word.starts_with("process_");
            let metrics: Vec<&str> = words.filter(is_metric).collect();
            assert!(!metrics.is_empty(), "{expression}");
            for metric in &metrics {
                let name = metric.trim_end_matches("_bucket");
                assert!(
                    page.contains(&format!("| `{name}` |")),
                    "docs/metrics.md does not know {name}"
                );
            }
            let scoped = expression.matches(&format!("{{namespace=\"{namespace}\"")).count();
            assert_eq!(scoped, metrics.len(), "{expression}");
        }
    }
}

#[test]
fn the_page_for_operators_works_as_it_is_written() {
    let Some(cluster) = bare_cluster("page") else {
        return;
    };
    let test = Test::within(Arc::clone(&cluster), "page");
    // The page makes it.
    cluster
        .kubectl
        .ok(["delete", "namespace", SERVICE_ACCOUNT.0, "--timeout=60s"], "");
    let (page, kubeconfig) = (read("docs/operate.md"), kubeconfig(&test));
    let mut commands = blocks(&page);
    commands.retain(|(language, _)| *language == "sh");
    assert!(!commands.is_empty());
    for (_, command) in commands {
        let said = shell(&test, &kubeconfig, command);
        assert!(said.ok, "this fails:\n{command}\n{}{}", said.stdout, said.stderr);
    }
}
