use super::*;

const ANSWER: &str =
    r#"{"results": [{"count": "12.5", "none": null}, {"count": 3}], "big": 1e400, "text": "\"[", "name": "a"}"#;

/// In a thread with as much room as programs have.
fn output(expression: &str, answer: &str) -> Sample {
    let (expression, answer) = (expression.to_owned(), answer.to_owned());
    let work = move || evaluate(&expression, answer.as_bytes());
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}

fn failure(expression: &str) -> String {
    match output(expression, ANSWER) {
        Sample::Error(reason) => reason,
        other => panic!("{expression}: {other:?}"),
    }
}

fn no_data(expression: &str) -> String {
    match output(expression, ANSWER) {
        Sample::NoData(reason) => reason,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn the_first_output_is_the_number() {
    let table = [
        (".results[0].count | tonumber", 12.5),
        (".results[1].count", 3.0),
        ("[.results[].count | tonumber] | add / length", 7.75),
        (".results[1].count, error(\"never reached\")", 3.0),
        ("(.results | length) as $n | $n * 1000000000000000000000", 2e21),
        (
            ".results | map(.count | tonumber) | max | . * 100 | floor / 100 | -. | fabs",
            12.5,
        ),
        ("if .name == \"a\" then 1 else 0 end", 1.0),
        (".absent // 4", 4.0),
        ("def mean: add / length; [.results[].count | tonumber] | mean", 7.75),
        ("\"x1y\" | capture(\"(?<n>[0-9])\").n | tonumber", 1.0),
        ("\"2015-03-05T23:51:47Z\" | fromdate", 1_425_599_507.0),
    ];
    for (expression, want) in table {
        assert_eq!(output(expression, ANSWER), Sample::Value(want), "{expression}");
    }
}

#[test]
fn null_nan_and_nothing_are_no_data() {
    assert!(no_data(".results[0].none").contains("null"));
    assert!(no_data(".absent.at.all[0]").contains("null"));
    assert!(no_data("empty").contains("no output"));
    assert!(no_data(".results[] | select(.count == 99)").contains("no output"));
    assert!(no_data("nan").contains("NaN"));
    assert!(no_data("\"NaN\" | tonumber").contains("NaN"));
}

#[test]
fn what_is_no_number_is_an_error_that_shows_it() {
    let table = [
        (".big", "infinite"),
        (".results[0].count", "the string \"12.5\": | tonumber"),
        (".results[1]", "no number: {\"count\":3}"),
        ("true", "no number: true"),
        (
            ".name | tonumber",
            "cannot parse as JSON (byte offset 0: value expected): \"a\"",
        ),
        (".name[0]", "cannot index"),
        ("error(\"my own\")", "jqExpression: my own"),
        (".results[0", "it ends where there should be: closing bracket"),
        (".results |", "it ends where there should be: term"),
        (".results )", "there should be"),
        ("frobnicate", "there is no filter frobnicate"),
        ("frobnicate(1; 2)", "there is no filter frobnicate with 2 arguments"),
        ("$name", "there is no variable $name"),
        ("import \"a\" as a; 1", "not supported"),
        ("import \"a\" as $a; 1", "no files to import"),
    ];
    for (expression, want) in table {
        let reason = failure(expression);
        assert!(reason.contains(want), "{expression}: {reason}");
    }
    assert!(matches!(output(".", "<html>"), Sample::Error(reason) if reason.starts_with("the answer is not JSON")));
}

#[test]
fn the_usual_expression_says_no_data_when_no_series_matches() {
    let answer =
        |series: &str| format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
    let usual = ".data.result[0].value[1] | tonumber";
    assert_eq!(
        output(usual, &answer(r#"{"metric":{},"value":[1,"2.5"]}"#)),
        Sample::Value(2.5)
    );
    assert_eq!(
        output(usual, &answer("")),
        Sample::NoData("no series matches".to_owned())
    );
    assert!(matches!(
        output(usual, &answer(r#"{"value":[1,"NaN"]}"#)),
        Sample::NoData(_)
    ));
    assert!(matches!(
        output(usual, &answer(r#"{"value":[1,"+Inf"]}"#)),
        Sample::Error(_)
    ));
    assert!(matches!(
        output(".data.absent | tonumber", &answer(r#"{"value":[1,"2"]}"#)),
        Sample::Error(_)
    ));
}

#[test]
fn nothing_reaches_out_of_a_program() {
    for expression in ["env", "halt", "halt_error", "debug", "stderr", "input", "inputs"] {
        assert_eq!(
            failure(expression),
            format!("jqExpression: there is no filter {expression}")
        );
    }
    for expression in ["halt(1)", "halt_error(1)", "debug(1)"] {
        assert!(failure(expression).contains("there is no filter"), "{expression}");
    }
    for expression in ["$ENV.PATH", "$__prog_args"] {
        assert!(failure(expression).contains("there is no variable"), "{expression}");
    }
}

#[test]
fn an_error_is_short_however_large_its_value() {
    assert!(failure("[range(100000)] | error").len() < 400);
    assert!(failure("[range(100000)]").len() < 400);
}

#[test]
fn what_is_nested_too_deeply_is_not_read() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(output("flatten | length", &nested(DEPTH)), Sample::Value(0.0));
    for answer in [
        nested(DEPTH + 1),
        nested(500_000),
        "[".repeat(500_000),
        "[\"]]\\\"]\",".repeat(500_000),
        "[#\"\n".repeat(200_000),
        "{\"a\":".repeat(200_000),
    ] {
        let sample = output("1", &answer);
        assert!(
            matches!(&sample, Sample::Error(reason) if reason.contains("nested more than")),
            "{sample:?}"
        );
    }
    assert!(failure("[range(500000) | \"[\"] | add | fromjson").contains("nested more than"));
}

#[test]
fn a_program_may_be_as_deep_as_it_may_be_long() {
    let brackets = |open: &str, close: &str| open.repeat(2047) + "1" + &close.repeat(2047);
    assert_eq!(output(&brackets("(", ")"), ANSWER), Sample::Value(1.0));
    assert!(matches!(output(&brackets("[", "]"), ANSWER), Sample::Error(_)));
    assert_eq!(output(&("-".repeat(4094) + "1"), ANSWER), Sample::Value(1.0));
}
