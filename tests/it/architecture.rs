//! The floors of `src/`: a folder uses only folders of lower floors, and floors 0 to 2 are pure.
//!
//! The floors are those of the table in `src/lib.rs`; the proof is read from the paths that the code names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::rust_paths::{self, Written};

/// The highest floor that is pure: no waiting, no client, no clock, no environment, no files.
const PURE: u8 = 2;

/// Lines that a file may have.
const MAX_LINES: usize = 500;

/// What the pure floors must not name, and what to do instead.
const IMPURE: &[(&str, &str)] = &[
    (
        "async",
        "make it a plain function: what waits belongs to cluster or controller",
    ),
    (
        "await",
        "make it a plain function: what waits belongs to cluster or controller",
    ),
    (
        "tokio",
        "make it a plain function: what waits belongs to cluster or controller",
    ),
    (
        "kube::Client",
        "take what was read as an argument: all I/O belongs to cluster",
    ),
    (
        "kube::Api",
        "take what was read as an argument: all I/O belongs to cluster",
    ),
    (
        "kube::client",
        "take what was read as an argument: all I/O belongs to cluster",
    ),
    (
        "kube::runtime",
        "take what was read as an argument: all I/O belongs to cluster",
    ),
    ("Utc::now", "take `now` as an argument"),
    ("Local::now", "take `now` as an argument"),
    ("SystemTime", "take `now` as an argument"),
    ("Instant", "take `now` as an argument"),
    ("std::env", "take the value as an argument: cli reads the environment"),
    ("std::fs", "take the text as an argument: cli reads files"),
    ("std::net", "all I/O belongs to cluster or server"),
    ("std::process", "all I/O belongs to cluster or server"),
];

/// A Rust file of the crate.
pub struct Source {
    /// Its path from the top of the repository.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// The names of the module that it is: `plan`, `release` for `src/plan/release/mod.rs`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| *part != "mod").collect()
    }

    /// The folders of `src/` that it names, with lines.
    fn uses<'a>(&'a self, floors: &'a Floors) -> impl Iterator<Item = (usize, String)> + 'a {
        let depth = self.module().len();
        rust_paths::written(&self.text)
            .into_iter()
            .filter_map(move |Written { line, segments }| {
                let ups = segments.iter().take_while(|segment| *segment == "super").count();
                let from_root = segments[0] == "crate" || ups >= depth;
                let folder = segments.get(ups.max(1))?;
                (from_root && floors.0.contains_key(folder)).then(|| (line, folder.clone()))
            })
    }
}

/// The floor of each folder.
struct Floors(BTreeMap<String, u8>);

impl Floors {
    /// Reads the table in the documentation of the crate: `//! | 5 | `cli` | … |`.
    fn read(lib: &str) -> Self {
        let mut floors = BTreeMap::new();
        for row in lib.lines().filter_map(|line| line.strip_prefix("//! | ")) {
            let mut cells = row.split(" | ");
            let (Some(Ok(floor)), Some(folders)) = (cells.next().map(str::parse), cells.next()) else {
                continue;
            };
            for folder in folders.split(", ") {
                floors.insert(folder.trim_matches('`').to_owned(), floor);
            }
        }
        Self(floors)
    }

    /// What is wrong with a file, each with its line and what to do.
    fn complaints(&self, source: &Source) -> Vec<String> {
        let module = source.module();
        let Some(floor) = self.0.get(module[0]) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (line, used) in source.uses(self) {
            let other = self.0[&used];
            if other > *floor || other == *floor && used != module[0] {
                found.push(format!(
                    "{}:{line}: {} (floor {floor}) uses {used} (floor {other}): move what both need to a lower floor, \
                     or take it as an argument",
                    source.path, module[0]
                ));
            }
        }
        if *floor <= PURE {
            found.extend(impurities(source));
        }
        found
    }
}

fn impurities(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for Written { line, segments } in rust_paths::written(&source.text) {
        for (banned, instead) in IMPURE {
            let words: Vec<&str> = banned.split("::").collect();
            if segments.windows(words.len()).any(|window| window == words) {
                found.push(format!("{}:{line}: {banned} in a pure floor: {instead}", source.path));
            }
        }
    }
    found
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files of a folder and those below.
pub fn sources(folder: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&top().join(folder), &mut files);
    files.sort();
    let source = |file: PathBuf| Source {
        path: file.strip_prefix(top()).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&file).unwrap(),
    };
    files.into_iter().map(source).collect()
}

fn floors() -> Floors {
    Floors::read(&fs::read_to_string(top().join("src/lib.rs")).unwrap())
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_folder_uses_only_lower_floors_and_the_lower_ones_are_pure() {
    let floors = floors();
    let complaints: Vec<String> = sources("src")
        .iter()
        .flat_map(|source| floors.complaints(source))
        .collect();
    none(&complaints);
}

#[test]
fn every_folder_has_a_floor() {
    let floors = floors();
    let without = sources("src").into_iter().filter(|source| {
        let module = source.module();
        module.len() > 1 && !floors.0.contains_key(module[0])
    });
    none(
        &without
            .map(|source| format!("{}: add its folder to the table in src/lib.rs", source.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_is_too_long() {
    let all = sources("src").into_iter().chain(sources("tests/it"));
    let long = all.filter(|source| source.text.lines().count() > MAX_LINES);
    none(
        &long
            .map(|source| format!("{}: over {MAX_LINES} lines: split it by what it does", source.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn what_breaks_the_rules_is_found() {
    let floors =
        Floors::read("//! | 3 | `cluster` | I/O |\n//! | 2 | `plan` | pure |\n//! | 0 | `api`, `mesh` | types |");
    let table = [
        ("src/plan/a.rs", "use crate::cluster::apply;", 1),
        (
            "src/plan/a.rs",
            "use crate::{\n    api::Release,\n    cluster::{self, apply},\n};",
            2,
        ),
        ("src/plan/a/b.rs", "use super::super::super::cluster;", 1),
        ("src/api/a.rs", "use crate::mesh::istio;", 1),
        ("src/plan/a.rs", "fn now() -> DateTime<Utc> { chrono::Utc::now() }", 1),
        ("src/plan/a.rs", "use std::{fmt, fs};", 1),
        ("src/plan/a.rs", "async fn wait() { sleep().await }", 2),
        (
            "src/plan/a.rs",
            "use crate::api::Release; // crate::cluster\nconst TEXT: &str = \"tokio\";",
            0,
        ),
        (
            "src/plan/a.rs",
            "use super::cluster_domain; use crate::plan::release;",
            0,
        ),
        (
            "src/cluster/a.rs",
            "use crate::plan::Plan; async fn wait() { tokio::task::yield_now().await }",
            0,
        ),
    ];
    for (path, text, count) in table {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let found = floors.complaints(&source);
        assert_eq!(found.len(), count, "{path}: {text}\n{found:?}");
    }
}
