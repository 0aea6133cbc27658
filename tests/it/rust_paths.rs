//! The paths that Rust code names, groups written out: `use a::{b, c::d}` names `a::b` and `a::c::d`.

/// A path, and the line that its last name stands in. A single name is a path too, as are keywords.
#[derive(Debug, PartialEq)]
pub struct Written {
    pub line: usize,
    pub segments: Vec<String>,
}

/// All paths of a text, but for those in comments and strings.
pub fn written(text: &str) -> Vec<Written> {
    let mut reader = Reader {
        tokens: tokens(&code(text)),
        at: 0,
        found: Vec::new(),
    };
    while reader.at < reader.tokens.len() {
        reader.path(&[]);
    }
    reader.found
}

struct Reader {
    tokens: Vec<(usize, String)>,
    at: usize,
    found: Vec<Written>,
}

impl Reader {
    fn is(&self, token: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|(_, text)| text == token)
    }

    /// Reads one path, or skips one token that begins none.
    fn path(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        while let Some((line, text)) = self.tokens.get(self.at).filter(|(_, text)| is_name(text)).cloned() {
            segments.push(text);
            self.at += 1;
            if !self.is("::") {
                return self.found.push(Written { line, segments });
            }
            self.at += 1;
        }
        if segments.is_empty() || !self.is("{") {
            self.at += 1;
            return;
        }
        while self.at < self.tokens.len() && !self.is("}") {
            self.at += 1; // over `{` or `,`
            self.path(&segments);
            while self.is("as") || self.tokens.get(self.at).is_some_and(|(_, text)| is_name(text)) {
                self.at += 1; // over `as other`
            }
        }
        self.at += 1;
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and every other character alone, with their lines.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let in_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                _ if in_name(first) => rest.find(|c| !in_name(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, tail) = rest.split_at(length);
            if !first.is_whitespace() {
                found.push((index + 1, token.to_owned()));
            }
            rest = tail;
        }
    }
    found
}

/// The text with nothing left of comments, strings and characters but their line breaks.
fn code(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = hidden(rest, kept.chars().last());
        let (seen, tail) = rest.split_at(length.unwrap_or(first.len_utf8()));
        if length.is_some() {
            kept.extend(seen.chars().filter(|c| *c == '\n'));
            kept.push(' ');
        } else {
            kept.push_str(seen);
        }
        rest = tail;
    }
    kept
}

/// How many bytes the comment, string or character takes that the text begins with, if it begins with one.
fn hidden(text: &str, before: Option<char>) -> Option<usize> {
    let until = |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(until(2, "*/"));
    }
    let hashes = text
        .strip_prefix('r')
        .map(|rest| rest.len() - rest.trim_start_matches('#').len());
    if let Some(hashes) = hashes.filter(|hashes| text[1 + hashes..].starts_with('"'))
        && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    {
        return Some(until(2 + hashes, &format!("\"{}", "#".repeat(hashes))));
    }
    match text.chars().next()? {
        '"' => Some(closed(text, '"')),
        '\'' if text.starts_with("'\\") || text.chars().nth(2) == Some('\'') => Some(closed(text, '\'')),
        _ => None,
    }
}

/// The length of a literal that ends at the next `quote` without a backslash before it.
fn closed(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[test]
fn groups_are_written_out_and_comments_and_strings_hold_no_paths() {
    let text = "use a::{b, c::{self as x, d}, E};\n/* f::g */ let s = r#\"h \"i\" \"#; // j\nlet c = '\"'; k::l('a)";
    let found: Vec<String> = written(text)
        .iter()
        .map(|path| format!("{} {}", path.line, path.segments.join("::")))
        .collect();
    assert_eq!(
        found,
        [
            "1 use",
            "1 a::b",
            "1 a::c::self",
            "1 a::c::d",
            "1 a::E",
            "2 let",
            "2 s",
            "3 let",
            "3 c",
            "3 k::l",
            "3 a"
        ]
    );
}
