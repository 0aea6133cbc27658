//! Golden files: what is made must be what a file under `tests/golden` says.
//!
//! `UPDATE_GOLDEN=1 cargo test`, or `make generate`, rewrites the files; read the diff before you commit it.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folders under `tests/golden/<group>`, sorted; fails when there are none.
pub fn cases(group: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(group);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    cases.sort();
    cases
}

/// The text of a file of a case.
pub fn input(case: &Path, file: &str) -> String {
    let path = case.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares `got` with `want.yaml` of the case, or rewrites that. `Err` shows the difference line by line.
pub fn compare(case: &Path, got: &str) -> Result<(), String> {
    compare_file(&case.join("want.yaml"), got)
}

/// Compares `got` with a file, or rewrites that. `Err` shows the difference line by line.
pub fn compare_file(path: &Path, got: &str) -> Result<(), String> {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        return fs::write(path, got).map_err(|error| format!("{}: {error}", path.display()));
    }
    let want = fs::read_to_string(path).unwrap_or_default();
    if want == got {
        return Ok(());
    }
    Err(format!(
        "{} differs (UPDATE_GOLDEN=1 rewrites it):\n{}",
        path.display(),
        diff(&want, got)
    ))
}

/// Fails with all differences at once.
pub fn check(results: impl IntoIterator<Item = Result<(), String>>) {
    let errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

/// The lines between the common beginning and the common end, with three lines round them.
fn diff(want: &str, got: &str) -> String {
    const CONTEXT: usize = 3;
    let (want, got): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    let start = want.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let shorter = want.len().min(got.len()) - start;
    let end = want
        .iter()
        .rev()
        .zip(got.iter().rev())
        .take(shorter)
        .take_while(|(a, b)| a == b)
        .count();
    let mut lines = vec![format!("  @ line {}", start + 1)];
    lines.extend(
        want[start.saturating_sub(CONTEXT)..start]
            .iter()
            .map(|line| format!("  {line}")),
    );
    lines.extend(want[start..want.len() - end].iter().map(|line| format!("- {line}")));
    lines.extend(got[start..got.len() - end].iter().map(|line| format!("+ {line}")));
    lines.extend(
        want[want.len() - end..]
            .iter()
            .take(CONTEXT)
            .map(|line| format!("  {line}")),
    );
    lines.join("\n")
}

#[test]
fn a_difference_shows_the_lines_that_changed() {
    let shown = diff("a\nb\nc\nd\n", "a\nb\nx\ny\nd\n");
    assert_eq!(shown, "  @ line 3\n  a\n  b\n- c\n+ x\n+ y\n  d");
}
