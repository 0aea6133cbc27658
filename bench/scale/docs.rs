//! The generated part of `docs/performance.md`, and its charts.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::figures::Results;
use super::{plots, tables};

const BEGIN: &str = "<!-- figures: written by make bench -->\n";
const END: &str = "<!-- end of the figures -->\n";
/// What is shown under which heading.
const CHARTS: [(&str, &str, &str); 3] = [
    (
        "### From change to route",
        "latency.svg",
        "From change to route, by number of Releases",
    ),
    (
        "### 50 changes a second",
        "churn.svg",
        "50 changes a second: what waits for its route",
    ),
    (
        "### Memory",
        "memory.svg",
        "Memory and processor time, by number of Releases",
    ),
];

/// Writes page and charts.
pub fn write(results: &Results) {
    for (path, text) in files(results) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Whether page and charts are what `write` would make of them.
pub fn is_up_to_date(results: &Results) -> bool {
    let same = |(path, text): (PathBuf, String)| fs::read_to_string(path).is_ok_and(|there| there == text);
    files(results).into_iter().all(same)
}

fn files(results: &Results) -> Vec<(PathBuf, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the page has the mark of its generated part");
    let (_, after) = rest
        .split_once(END)
        .expect("the page has the mark behind its generated part");
    let mut figures = tables::all(results);
    for (heading, file, what) in CHARTS {
        let mut with_chart = format!("{heading}\n");
        writeln!(with_chart, "\n![{what}](performance/{file})").unwrap();
        figures = figures.replace(&format!("{heading}\n"), &with_chart);
    }
    let mut files = vec![(page, format!("{before}{BEGIN}\n{figures}\n{END}{after}"))];
    files.extend(plots::all(results).map(|(name, text)| (docs.join("performance").join(name), text)));
    files
}
