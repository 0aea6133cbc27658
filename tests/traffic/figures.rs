//! `make traffic RUNS=10`: every story so many times, as a table.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use crate::mesh::{MESHES, Mesh};
use crate::stories::{Outcome, STORIES, Story};

const HEAD: &str = "\
| change | runs | requests | failed | most in one run | followed, ms | seconds |
|---|---|---|---|---|---|---|
";

/// Plays every story, or those whose names `<mesh>::<name>` contain this, so many times, and prints what was seen. Fails
/// if a request was lost that must not be.
pub fn measure(runs: usize, filter: &str) -> ExitCode {
    let mut tables = String::new();
    let mut lost = 0;
    for mesh in MESHES {
        let told = |story: &&Story| format!("{}::{}", mesh.name, story.name).contains(filter);
        let stories: Vec<&Story> = STORIES.iter().filter(told).collect();
        if stories.is_empty() {
            continue;
        }
        let _ = write!(tables, "\n{}\n\n{HEAD}", mesh.title);
        for story in stories {
            let (outcomes, failures) = outcomes(mesh, story, runs);
            lost += failures + row(&mut tables, story, &outcomes);
        }
    }
    print!("{tables}");
    ExitCode::from(u8::from(lost > 0))
}

/// What each run saw, and how many did not come to their end.
fn outcomes(mesh: &'static Mesh, story: &Story, runs: usize) -> (Vec<Outcome>, usize) {
    let mut outcomes = Vec::new();
    for run in 1..=runs {
        eprintln!("[{run}/{runs}] {}::{}", mesh.name, story.name);
        // Its test has said what is wrong.
        if let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| (story.tell)(mesh))) {
            eprintln!("{}{}", outcome.answers.failures(outcome.begin), outcome.log);
            outcomes.push(outcome);
        }
    }
    let failures = runs - outcomes.len();
    (outcomes, failures)
}

/// Adds a row; returns how many requests were lost that must not be.
fn row(table: &mut String, story: &Story, outcomes: &[Outcome]) -> usize {
    let requests: usize = outcomes.iter().map(|outcome| outcome.answers.0.len()).sum();
    let failed: Vec<usize> = outcomes.iter().map(|outcome| outcome.answers.failed()).collect();
    let mut lags: Vec<Duration> = outcomes.iter().filter_map(Outcome::lag).collect();
    let mut times: Vec<Duration> = outcomes.iter().map(|outcome| outcome.took).collect();
    let all: usize = failed.iter().sum();
    let _ = writeln!(
        table,
        "| {} | {} | {requests} | {all} | {} | {} | {} |",
        story.name,
        outcomes.len(),
        failed.iter().max().unwrap_or(&0),
        range(&mut lags, |time| time.as_millis().to_string()),
        range(&mut times, |time| format!("{:.1}", time.as_secs_f64())),
    );
    if story.loses { 0 } else { all }
}

/// Median and most.
fn range(times: &mut [Duration], text: impl Fn(Duration) -> String) -> String {
    times.sort();
    let Some(most) = times.last() else {
        return "–".to_owned();
    };
    format!("{} / {}", text(times[times.len() / 2]), text(*most))
}
