//! What all answers have in common.

use std::fmt::{self, Display, Write};

use crate::model::query::Sample;

/// The most characters that are told of what a provider or an expression says: it ends in a status.
const BRIEF: usize = 300;

/// A number as a sample.
pub fn number(value: f64) -> Sample {
    if value.is_nan() {
        Sample::NoData("NaN: nothing was measured".to_owned())
    } else if value.is_infinite() {
        let sign = if value > 0.0 { '+' } else { '-' };
        Sample::Error(format!("the value is infinite ({sign}Inf)"))
    } else {
        Sample::Value(value)
    }
}

/// The beginning of a text, in one line.
///
/// No more than that is made of what is displayed: a value in an error of jq can be as large as its program makes it.
pub fn brief(text: impl Display) -> String {
    let mut line = Line {
        text: String::new(),
        left: BRIEF,
    };
    if write!(line, "{text}").is_err() {
        line.text.push('…');
    }
    line.text
}

struct Line {
    text: String,
    left: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(if c.is_control() { ' ' } else { c });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finite_number_is_a_value() {
        assert_eq!(number(-1.5e-9), Sample::Value(-1.5e-9));
        assert!(matches!(number(f64::NAN), Sample::NoData(reason) if reason.contains("NaN")));
        assert!(matches!(number(f64::INFINITY), Sample::Error(reason) if reason.contains("+Inf")));
        assert!(matches!(number(f64::NEG_INFINITY), Sample::Error(reason) if reason.contains("-Inf")));
    }

    #[test]
    fn a_text_is_one_line_and_short() {
        assert_eq!(brief("a\n\tb\u{7f}é"), "a  b é");
        assert_eq!(brief("é".repeat(BRIEF)), "é".repeat(BRIEF));
        assert_eq!(brief("é".repeat(BRIEF + 1)), "é".repeat(BRIEF) + "…");
    }

    #[test]
    fn what_is_displayed_is_not_made_to_its_end() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("on and ")?;
                }
            }
        }
        assert!(brief(Endless).starts_with("on and on and "));
    }
}
