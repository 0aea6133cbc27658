//! Placeholders in texts: `$name`, `${name}`.

/// Bytes that values may make of a text: they are users', and each can stand there thousands of times.
pub const LONGEST: usize = 32 * 1024;

/// Why a text cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// The placeholder of this name has no value.
    Unknown(String),
    /// It would be longer than `LONGEST`.
    TooLong,
}

impl Unfilled {
    /// In a sentence; `unknown` says it of a placeholder without value.
    pub fn words(self, unknown: impl FnOnce(String) -> String) -> String {
        match self {
            Self::Unknown(name) => unknown(name),
            Self::TooLong => {
                format!("with its placeholders filled in it has more than {LONGEST} bytes: shorten the values")
            }
        }
    }
}

/// The text with the values of its placeholders.
///
/// A placeholder is `$` and an identifier, or `${…}` with any name of letters, digits, `_`, `-` and `.`; `$$` is `$`. A `$`
/// before anything else stays, as PromQL and regular expressions have it. Values are not looked at again.
///
/// Errors: the first placeholder that has no value, or a text that would be longer than `LONGEST`.
pub fn fill<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            filled.push('$');
            rest = tail;
        } else if let Some((name, tail)) = placeholder(after) {
            filled.push_str(value(name).ok_or_else(|| Unfilled::Unknown(name.to_owned()))?);
            rest = tail;
        } else {
            filled.push('$');
            rest = after;
        }
        if filled.len() > LONGEST {
            return Err(Unfilled::TooLong);
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The name of the placeholder whose `$` the text comes after, and what follows it.
fn placeholder(after: &str) -> Option<(&str, &str)> {
    if let Some(braced) = after.strip_prefix('{') {
        let (name, tail) = braced.split_once('}')?;
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        return (!name.is_empty() && name.chars().all(of_a_name)).then_some((name, tail));
    }
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let (name, tail) = after.split_at(after.find(ends).unwrap_or(after.len()));
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(begins).then_some((name, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Unfilled> {
        fill(text, |name| match name {
            "a" => Some("1"),
            "_long_Name2" => Some("2"),
            "with-dash.dot" => Some("3"),
            "3" => Some("4"),
            "again" => Some("$a$$"),
            _ => None,
        })
    }

    #[test]
    fn placeholders_are_filled_in_and_everything_else_stays() {
        let table = [
            ("", ""),
            ("no placeholder", "no placeholder"),
            ("$a", "1"),
            ("${a}", "1"),
            ("x[$a]", "x[1]"),
            ("[${a}s]", "[1s]"),
            ("$a$a${a}$a", "1111"),
            ("$_long_Name2.", "2."),
            ("$a-b", "1-b"),
            ("${with-dash.dot}", "3"),
            ("${3}", "4"),
            ("$$a", "$a"),
            ("$$$a", "$1"),
            ("$$$$", "$$"),
            ("$", "$"),
            ("^ok$", "^ok$"),
            ("^ok$\"", "^ok$\""),
            ("$1 ${ $] $é", "$1 ${ $] $é"),
            ("${}", "${}"),
            ("${a", "${a"),
            ("${a b}$a", "${a b}1"),
            ("${é}", "${é}"),
            ("é$aé", "é1é"),
        ];
        for (text, want) in table {
            assert_eq!(filled(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_value_is_not_looked_at_again() {
        assert_eq!(filled("${again}").as_deref(), Ok("$a$$"));
    }

    #[test]
    fn the_first_unknown_placeholder_is_named() {
        for text in ["$b", "${b}", "$a $b $c", "$$ ${b}-$c"] {
            assert_eq!(filled(text), Err(Unfilled::Unknown("b".to_owned())), "{text}");
        }
        assert_eq!(filled("$ab"), Err(Unfilled::Unknown("ab".to_owned())));
        assert_eq!(filled("${a-b}"), Err(Unfilled::Unknown("a-b".to_owned())));
    }

    #[test]
    fn a_text_is_not_longer_than_it_may_be_however_often_a_value_stands_in_it() {
        let value = "x".repeat(4096);
        let filled = |times: usize| fill(&"$a".repeat(times), |_| Some(&value));
        assert_eq!(filled(8).unwrap().len(), LONGEST);
        assert_eq!(filled(9), Err(Unfilled::TooLong));
        assert_eq!(filled(8000), Err(Unfilled::TooLong));
    }
}
