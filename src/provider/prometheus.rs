//! The answer of Prometheus to an instant query, and of all that speak its language.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answers::{brief, number};
use crate::model::query::Sample;

/// What Prometheus answers, also to a query that it refuses.
#[derive(Deserialize)]
struct Answer<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// A series, or as much of it as matters: labels are not kept.
#[derive(Deserialize)]
struct Series {
    value: Option<Point>,
    histogram: Option<IgnoredAny>,
}

/// A time, and a number as a string.
type Point = (f64, String);

/// The number in an answer.
pub fn read(answer: &[u8]) -> Sample {
    let answer: Answer<'_> = match serde_json::from_slice(answer) {
        Ok(answer) => answer,
        Err(error) => return strange(&error),
    };
    if answer.status != "success" {
        let error = answer.error.as_deref().unwrap_or("it does not say why");
        return Sample::Error(brief(format_args!("Prometheus could not answer: {error}")));
    }
    let Some(data) = answer.data else {
        return Sample::Error("Prometheus answered without data".to_owned());
    };
    let result = data.result.get();
    match data.result_type.as_str() {
        "vector" => match serde_json::from_str::<Vec<Series>>(result) {
            Ok(series) => vector(&series),
            Err(error) => strange(&error),
        },
        "scalar" => match serde_json::from_str(result) {
            Ok(point) => value(&point),
            Err(error) => strange(&error),
        },
        other => Sample::Error(brief(format_args!(
            "the result is a {other}: a query that is a vector or a scalar, without a range, makes one number"
        ))),
    }
}

/// What Prometheus says of a query that it refuses, if this is such an answer.
pub fn error(answer: &[u8]) -> Option<String> {
    serde_json::from_slice::<Answer<'_>>(answer).ok()?.error
}

fn strange(error: &serde_json::Error) -> Sample {
    Sample::Error(brief(format_args!("the answer is not one of Prometheus: {error}")))
}

fn vector(series: &[Series]) -> Sample {
    match series {
        [] => Sample::NoData("no series matches".to_owned()),
        [Series { value: Some(point), .. }] => value(point),
        [Series { histogram: Some(_), .. }] => Sample::Error(
            "the result is a histogram: histogram_quantile() or another function makes a number of it".to_owned(),
        ),
        [_] => Sample::Error("the result is a series without a value".to_owned()),
        _ => Sample::Error(format!(
            "the query matches {} series: sum() or another aggregation makes one of them",
            series.len()
        )),
    }
}

fn value((_, text): &Point) -> Sample {
    match text.parse() {
        Ok(value) => number(value),
        Err(_) => Sample::Error(brief(format_args!("the value {text:?} is no number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(kind: &str, result: &str) -> Sample {
        let answer = format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
        read(answer.as_bytes())
    }

    fn no_data(sample: &Sample) -> &str {
        match sample {
            Sample::NoData(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn failure(sample: &Sample) -> &str {
        match sample {
            Sample::Error(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_series_or_a_scalar_is_a_value() {
        let table = [
            (
                "vector",
                r#"[{"metric":{"a":"b"},"value":[1700000000.123,"12.5"]}]"#,
                12.5,
            ),
            ("vector", r#"[{"metric":{},"value":[1700000000,"1e-07"]}]"#, 1e-7),
            ("vector", r#"[{"metric":{},"value":[1700000000,"1.5e+06"]}]"#, 1.5e6),
            ("scalar", r#"[1700000000.123,"-3"]"#, -3.0),
        ];
        for (kind, result, want) in table {
            assert_eq!(success(kind, result), Sample::Value(want), "{result}");
        }
    }

    #[test]
    fn fields_can_come_in_any_order_and_unknown_ones_do_not_matter() {
        let answer = br#"{"warnings":["w"],"data":{"stats":{},"result":[{"value":[1,"2"],"x":1}],"resultType":"vector"},"status":"success","infos":[]}"#;
        assert_eq!(read(answer), Sample::Value(2.0));
    }

    #[test]
    fn nothing_scraped_and_nan_are_no_data() {
        assert_eq!(no_data(&success("vector", "[]")), "no series matches");
        assert!(no_data(&success("vector", r#"[{"metric":{},"value":[1,"NaN"]}]"#)).contains("NaN"));
        assert!(no_data(&success("scalar", r#"[1,"NaN"]"#)).contains("NaN"));
    }

    #[test]
    fn what_is_no_single_number_says_how_it_becomes_one() {
        let table = [
            ("vector", r#"[{"value":[1,"+Inf"]}]"#, "+Inf"),
            ("scalar", r#"[1,"-Inf"]"#, "-Inf"),
            (
                "vector",
                r#"[{"value":[1,"2"]},{"value":[1,"2"]},{"value":[1,"3"]}]"#,
                "3 series: sum()",
            ),
            (
                "vector",
                r#"[{"metric":{},"histogram":[1,{"count":"2"}]}]"#,
                "histogram_quantile()",
            ),
            ("vector", r#"[{"metric":{}}]"#, "without a value"),
            ("vector", r#"[{"value":[1,"two"]}]"#, "\"two\" is no number"),
            ("vector", "{}", "not one of Prometheus"),
            ("matrix", "[]", "is a matrix"),
            ("string", r#"[1,"2"]"#, "is a string"),
        ];
        for (kind, result, want) in table {
            let sample = success(kind, result);
            assert!(failure(&sample).contains(want), "{result}: {sample:?}");
        }
    }

    #[test]
    fn an_answer_without_success_is_an_error_with_its_reason() {
        let table = [
            (
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                "could not answer: parse error",
            ),
            (r#"{"status":"error"}"#, "does not say why"),
            (r#"{"status":"success"}"#, "without data"),
            ("<html>", "not one of Prometheus"),
            ("[]", "not one of Prometheus"),
            ("", "not one of Prometheus"),
        ];
        for (answer, want) in table {
            let sample = read(answer.as_bytes());
            assert!(failure(&sample).contains(want), "{answer}: {sample:?}");
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_read_alone() {
        let refusal = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(error(refusal).as_deref(), Some("parse error"));
        for other in ["<html>", r#"{"error":"not found"}"#, r#"{"status":"success"}"#] {
            assert_eq!(error(other.as_bytes()), None, "{other}");
        }
    }
}
