//! Every reason that the code can set is in one list, and in `docs/operate.md`, with what to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use iter8::model::reason;

use crate::architecture::{Source, sources};

/// Where reasons are set.
const FLOORS: &[&str] = &["src/model", "src/plan", "src/cluster", "src/controller"];

/// Files with words of others: of the API, of other controllers.
const OF_OTHERS: &[&str] = &[
    "src/model/kind.rs",
    "src/model/ownership/",
    "src/model/quantity.rs",
    "src/model/reason.rs",
    "src/cluster/metrics.rs",
    "src/cluster/view/",
];

/// Words in other files that are no reasons, as they stand there.
const OTHERS: &[(&str, &str)] = &[
    ("src/cluster/error.rs", "NamespaceTerminating"),
    ("src/cluster/events.rs", "Normal"),
    ("src/cluster/events.rs", "Reconcile"),
    ("src/cluster/events.rs", "Warning"),
    ("src/cluster/watch/task.rs", "NotFound"),
    ("src/model/ownership.rs", "Apply"),
    ("src/model/query.rs", "Query"),
    ("src/model/validate/experiment.rs", "ConfigMap"),
    ("src/model/validate/hosts.rs", "Gateway"),
    ("src/model/validate/policy.rs", "ExtensionRef"),
    ("src/model/validate/policy.rs", "RequestHeaderModifier"),
    ("src/model/validate/policy.rs", "Service"),
    ("src/model/validate/policy.rs", "URLRewrite"),
    ("src/model/validate/schema.rs", "Experiment"),
    ("src/model/validate/schema.rs", "Metric"),
    ("src/model/validate/schema.rs", "Release"),
    ("src/model/validate/schema.rs", "RoutePolicy"),
    ("src/plan/conditions.rs", "Ready"),
    ("src/plan/conditions.rs", "Reconciling"),
    ("src/plan/conditions.rs", "Routed"),
    ("src/plan/conditions.rs", "Stalled"),
    ("src/plan/conditions.rs", "VersionsReady"),
    ("src/plan/experiment/places.rs", "ConfigMap"),
    ("src/plan/experiment/places.rs", "HTTPRoute"),
    ("src/plan/experiment/places.rs", "Service"),
    ("src/plan/experiment/places.rs", "VirtualService"),
    ("src/plan/experiment/report.rs", "Completed"),
    ("src/plan/experiment/target.rs", "ConfigurationsReady"),
    ("src/plan/experiment/target.rs", "Ready"),
    ("src/plan/experiment/target.rs", "RoutesReady"),
    ("src/plan/experiment/target.rs", "True"),
    ("src/plan/objects/application.rs", "ExternalName"),
    ("src/plan/policy/acceptance.rs", "Gateway"),
    ("src/plan/routes/http_route.rs", "Exact"),
    ("src/plan/routes/http_route.rs", "PathPrefix"),
    ("src/plan/routes/http_route.rs", "RegularExpression"),
];

/// The strings in the code of a file, tests left out, that are one CamelCase word.
fn words(source: &Source) -> BTreeSet<String> {
    let code = source.text.split("#[cfg(test)]").next().unwrap();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_word = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(|first| first.is_ascii_uppercase())
            && word.len() > 1
            && letters.all(|letter| letter.is_ascii_alphabetic())
            && word.chars().any(|letter| letter.is_ascii_lowercase())
    };
    code.flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|word| is_word(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_reason_is_nowhere_but_in_the_list() {
    let mut found = BTreeSet::new();
    for source in FLOORS.iter().flat_map(|floor| sources(floor)) {
        let of_others = OF_OTHERS.iter().any(|file| source.path.starts_with(file));
        let of_tests = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
        if !of_others && !of_tests {
            let path = &source.path;
            found.extend(words(&source).into_iter().map(|word| (path.clone(), word)));
        }
    }
    let known: BTreeSet<_> = OTHERS
        .iter()
        .map(|(path, word)| ((*path).to_owned(), (*word).to_owned()))
        .collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(
        new.is_empty(),
        "a reason belongs into src/model/reason.rs, any other word into OTHERS here: {new:#?}"
    );
    let stale: Vec<_> = known.difference(&found).collect();
    assert!(stale.is_empty(), "not in the code any more: {stale:#?}");
}

#[test]
fn every_reason_is_used() {
    let sources: Vec<_> = FLOORS.iter().flat_map(|floor| sources(floor)).collect();
    for word in reason::ALL {
        let mut name = String::new();
        for letter in word.chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        let used = format!("reason::{name}");
        let is_used = |source: &Source| {
            let mut places = source.text.match_indices(&used);
            places.any(|(at, _)| !source.text[at + used.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        assert!(sources.iter().any(is_used), "{word}: nobody sets it");
    }
}

#[test]
fn every_reason_has_one_row_in_the_troubleshooting_and_every_row_a_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("## Troubleshooting by reason").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| row.trim_end_matches(" |").split(" | ").collect())
        .collect();
    let mut reasons: Vec<&str> = rows.iter().map(|row| row[0].trim_end_matches('`')).collect();
    for row in &rows {
        assert!(
            row.len() >= 3 && row.iter().all(|cell| !cell.trim().is_empty()),
            "{row:?}"
        );
    }
    reasons.sort_unstable();
    assert_eq!(reasons, reason::ALL);
}
