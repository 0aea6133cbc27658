//! How things are written: sections, times, words, sentences.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

/// A title and what stands below it; every line of `body` ends with a newline.
pub fn section(title: &str, body: &str) -> String {
    format!("****** {title} ******\n{body}")
}

/// Lines `name: value`.
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let line = |(name, value): (&str, String)| format!("{name}: {}\n", one_line(&value));
    fields.into_iter().map(line).collect()
}

/// The text as one line: sentences of others may have several.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A time, as `kubectl get --output=yaml` writes it.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A value of an enum, as it is written in manifests.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The text without what a terminal would obey: names and sentences of others are in it.
pub fn harmless(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::release::Environment;

    #[test]
    fn sentences_are_one_line_each() {
        let fields = fields([("A", "b\n  c".to_owned()), ("D", String::new())]);
        assert_eq!(section("X", &fields), "****** X ******\nA: b c\nD: \n");
    }

    #[test]
    fn words_are_those_of_manifests() {
        assert_eq!(word(&Environment::DeploymentGtw), "deployment-gtw");
        assert_eq!(time(DateTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(harmless("a\u{1b}[31mb\u{7}\r\nc\u{9b}"), "a[31mb\nc");
    }
}
