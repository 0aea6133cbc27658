//! Programs of users that read answers: whatever they do, the operator goes on.

use std::path::PathBuf;
use std::time::Duration;

use hyper::body::Bytes;
use iter8::model::query::Sample;
use iter8::provider::jq::Programs;
use tokio::time::Instant;

use crate::support::api::RUNTIME;
use crate::support::operator::BINARY;

const ANSWER: &str = r#"{"results": [{"count": "12.5"}, {"count": 3}]}"#;

fn run(programs: &Programs, program: &str, within: Duration) -> Sample {
    let answer = Bytes::from_static(ANSWER.as_bytes());
    RUNTIME.block_on(programs.run(program, answer, Instant::now() + within))
}

/// It ends before this is over.
const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_program_is_run_by_a_process_of_its_own() {
    let programs = Programs::new(PathBuf::from(BINARY));
    for (program, want) in [
        (".results[0].count | tonumber", Sample::Value(12.5)),
        ("-.results[1].count", Sample::Value(-3.0)),
    ] {
        assert_eq!(run(&programs, program, LONG), want, "{program}");
    }
    for (program, words) in [
        (".results[0].count", "is the string \"12.5\""),
        ("env", "there is no filter env"),
    ] {
        let sample = run(&programs, program, LONG);
        let Sample::Error(why) = &sample else {
            panic!("{program}: {sample:?}");
        };
        assert!(why.contains(words), "{program}: {why}");
    }
}

#[test]
fn a_program_that_takes_too_much_is_an_error_of_its_own() {
    let programs = Programs::new(PathBuf::from(BINARY));
    for program in [
        "def f: 1 + f; f",
        "reduce range(3000000) as $i (0; [.]) | 1",
        "[range(1e10)] | length",
        "[limit(1e9; repeat(\"a\"))] | add | length",
    ] {
        let sample = run(&programs, program, LONG);
        let Sample::Error(why) = &sample else {
            panic!("{program}: {sample:?}");
        };
        assert!(why.contains("broke off"), "{program}: {why}");
    }
    assert_eq!(run(&programs, "1", LONG), Sample::Value(1.0));
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let programs = Programs::new(PathBuf::from(BINARY));
    // More of them than may run at once: each makes room for the next.
    for _ in 0..4 {
        let sample = run(&programs, "last(repeat(1))", Duration::from_millis(300));
        assert_eq!(sample, Sample::Error("jqExpression did not end in time".to_owned()));
    }
    assert_eq!(run(&programs, "1", LONG), Sample::Value(1.0));
}

#[test]
fn without_the_executable_that_is_said() {
    let programs = Programs::new(PathBuf::from("/nowhere/iter8"));
    let sample = run(&programs, "1", LONG);
    assert!(
        matches!(&sample, Sample::Error(why) if why.contains("cannot be run")),
        "{sample:?}"
    );
}
