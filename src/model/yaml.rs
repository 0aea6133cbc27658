//! The one place where YAML is read and written.
//!
//! Always by way of `serde_json::Value`: written directly, enums would become YAML tags (`!canary`), which no other
//! tool reads.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why YAML could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(#[from] serde_yaml::Error),
    /// It is YAML, but not of the wanted form.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
}

/// Reads a text with one document.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let value: Value = serde_yaml::from_str(text)?;
    Ok(serde_json::from_value(value)?)
}

/// Reads all documents of a text; empty ones are left out.
pub fn read_all(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = <Value as serde::Deserialize>::deserialize(document)?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

/// Writes one document, without a leading `---`, that YAML 1.1 (`kubectl`, Helm) and 1.2 read alike.
pub fn write(value: &impl Serialize) -> Result<String, YamlError> {
    let marked = mark(serde_json::to_value(value)?);
    Ok(quote_marked(&serde_yaml::to_string(&marked)?))
}

/// Writes a text of several documents, as `kubectl apply -f` reads it.
pub fn write_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<String, YamlError> {
    let documents = values.into_iter().map(write).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}

/// Stands before a string that must be quoted: serde_yaml writes YAML 1.2, in which `on` is one without quotes, and
/// cannot be told otherwise. Of private-use characters, so that no text of a user has it.
const MARK: &str = "\u{E000}\u{E001}\u{E000}";

/// Puts the mark before every key and string that YAML 1.1 would read as something else.
fn mark(value: Value) -> Value {
    let marked = |text: String| if misread(&text) { format!("{MARK}{text}") } else { text };
    match value {
        Value::String(text) => Value::String(marked(text)),
        Value::Array(items) => items.into_iter().map(mark).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (marked(key), mark(value))).collect(),
        other => other,
    }
}

/// Whether YAML 1.1 reads the text as a boolean or a number, and YAML 1.2 does not.
fn misread(text: &str) -> bool {
    const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let digits = text.trim_start_matches(['+', '-', '.']);
    let binary = digits
        .strip_prefix("0b")
        .is_some_and(|rest| rest.chars().all(|c| "01_".contains(c)));
    let grouped = digits.contains('_')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
    binary || grouped || BOOLEANS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Turns marks into quotes. What `misread` finds has no character that ends a plain scalar or needs an escape.
fn quote_marked(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut quoted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_.+-".contains(c)))
            .unwrap_or(part.len());
        let (word, rest) = part.split_at(end);
        quoted.extend(["'", word, "'", rest]);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::release::Strategy;

    #[test]
    fn an_enum_is_a_plain_string() {
        assert_eq!(write(&Strategy::BlueGreen).unwrap(), "blue-green\n");
        assert_eq!(read::<Strategy>("blue-green").unwrap(), Strategy::BlueGreen);
    }

    #[test]
    fn a_string_that_yaml_1_1_reads_as_something_else_is_quoted() {
        for text in [
            "on", "Yes", "n", "null", "1.0", "1e3", "0x1f", "0777", "0b11", "1_000", "-1_0.5", "~", "true",
        ] {
            for value in [json!(text), json!([{"key": text}]), json!({text: {text: [text]}})] {
                let written = write(&value).unwrap();
                let quotes = written.matches(['\'', '"']).count();
                assert_eq!(quotes, 2 * value.to_string().matches(text).count(), "{written}");
                assert_eq!(read::<Value>(&written).unwrap(), value);
            }
        }
    }

    #[test]
    fn other_strings_stay_plain() {
        for text in [
            "once",
            "0b7cf00e-1f2a-4c3d-9e8f-00112233aabb",
            "httpbin:1_0",
            "25%",
            "app.kubernetes.io/name",
        ] {
            assert_eq!(write(&json!(text)).unwrap(), format!("{text}\n"));
        }
    }

    #[test]
    fn several_documents_come_back_and_empty_ones_do_not() {
        let values = vec![json!({"a": 1}), json!({"b": [2, "x"]})];
        assert_eq!(read_all(&write_all(&values).unwrap()).unwrap(), values);
        assert_eq!(read_all("---\n---\na: 1\n---\n").unwrap(), [json!({"a": 1})]);
    }

    #[test]
    fn an_error_says_where() {
        assert!(read::<Value>("a: [1\nb: 2").unwrap_err().to_string().contains("line"));
    }
}
