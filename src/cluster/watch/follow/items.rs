//! The items of a list that comes bit by bit: a list of everything is never held as a whole.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use kube::core::metadata::ListMeta;
use serde::de::{Deserialize, Error as _, IgnoredAny};
use serde_json::value::RawValue;

use super::Failure;

/// How long to wait for the end of an answer after the end of its list.
const END_WITHIN: Duration = Duration::from_secs(1);

/// A list, and the answer that it comes in.
pub(super) struct Items {
    body: Body,
    list: List,
}

/// What has come of a list, and where it is being read.
struct List {
    text: Vec<u8>,
    /// What of `text` has been read.
    read: usize,
    at: At,
    /// Whether its items have come, if only as `null`.
    has_items: bool,
    metadata: Option<ListMeta>,
}

/// What is to be read next.
enum At {
    /// The list's opening brace.
    Begin,
    /// A field's name, or what comes between two fields.
    Name,
    /// What comes between this field's name and its value.
    Colon(String),
    /// This field's value.
    Value(String),
    /// An item, or what comes between two items.
    Item,
}

/// What has been read.
enum Piece {
    /// An item; where it is in the text.
    Item(Range<usize>),
    /// The text that has come, and it ends within the list.
    Half,
    /// The list.
    Whole,
}

impl Items {
    pub(super) fn of(body: Body) -> Self {
        Self {
            body,
            list: List::new(),
        }
    }

    /// The next item, as JSON text. `None`: the list is over.
    ///
    /// To be dropped while it waits loses nothing. Error: the connection broke, or this is no list.
    pub(super) async fn next(&mut self) -> Result<Option<&str>, Failure> {
        loop {
            match self.list.piece().map_err(Failure::Unreadable)? {
                Piece::Item(place) => return self.list.item(place).map(Some).map_err(Failure::Unreadable),
                Piece::Half => self.more().await.map_err(Failure::Broken)?,
                Piece::Whole => {
                    self.drain().await;
                    return Ok(None);
                }
            }
        }
    }

    /// Where the list goes on, if it does, and the version that it is of, once it is over. Error: this is no list.
    pub(super) fn place(self) -> Result<(Option<String>, String), Failure> {
        self.list.place().map_err(Failure::Unreadable)
    }

    /// Waits for the end of the answer, which a server may send by itself: an answer that is dropped before its end looks to
    /// the server like a client that went away, and over HTTP/1.1 takes the connection with it.
    async fn drain(&mut self) {
        let end = async { while let Some(Ok(_)) = self.body.frame().await {} };
        let _ = tokio::time::timeout(END_WITHIN, end).await; // the list is there
    }

    async fn more(&mut self) -> kube::Result<()> {
        let Some(frame) = self.body.frame().await else {
            return Err(kube::Error::ReadEvents(ErrorKind::UnexpectedEof.into()));
        };
        if let Ok(data) = frame?.into_data() {
            self.list.push(&data);
        }
        Ok(())
    }
}

impl List {
    fn new() -> Self {
        Self {
            text: Vec::new(),
            read: 0,
            at: At::Begin,
            has_items: false,
            metadata: None,
        }
    }

    /// Takes in more of the text, and forgets what has been read of it.
    fn push(&mut self, text: &[u8]) {
        self.text.drain(..self.read);
        self.read = 0;
        self.text.extend_from_slice(text);
    }

    fn item(&self, place: Range<usize>) -> serde_json::Result<&str> {
        let text = self.text.get(place).unwrap_or_default();
        std::str::from_utf8(text).map_err(serde_json::Error::custom)
    }

    fn place(self) -> serde_json::Result<(Option<String>, String)> {
        let ListMeta {
            continue_,
            resource_version,
            ..
        } = self.metadata.unwrap_or_default();
        let version = resource_version.filter(|version| self.has_items && !version.is_empty());
        let version = version.ok_or_else(|| serde_json::Error::custom("no list, for it has no items or no version"))?;
        Ok((continue_.filter(|token| !token.is_empty()), version))
    }

    /// Reads on, to the next item at most.
    fn piece(&mut self) -> serde_json::Result<Piece> {
        loop {
            let rest = self.text.get(self.read..).unwrap_or_default();
            let Some(space) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                return Ok(Piece::Half);
            };
            self.read += space;
            let rest = rest.get(space..).unwrap_or_default();
            let byte = rest.first().copied().unwrap_or_default();
            let (read, at) = match (&self.at, byte) {
                (At::Begin, b'{') | (At::Name, b',') | (At::Item, b']') => (1, At::Name),
                (At::Name, b'}') => return Ok(Piece::Whole),
                (At::Colon(name), b':') => (1, At::Value(name.clone())),
                (At::Value(name), b'[') if name == "items" => {
                    self.has_items = true;
                    (1, At::Item)
                }
                (At::Item, b',') => (1, At::Item),
                (At::Name, _) => match value(rest)? {
                    Some((name, length)) => (length, At::Colon(name)),
                    None => return Ok(Piece::Half),
                },
                (At::Value(name), _) if name == "metadata" => match value(rest)? {
                    Some((metadata, length)) => {
                        self.metadata = Some(metadata);
                        (length, At::Name)
                    }
                    None => return Ok(Piece::Half),
                },
                (At::Value(name), _) => match value::<IgnoredAny>(rest)? {
                    Some((_, length)) => {
                        self.has_items |= name == "items" && byte == b'n';
                        (length, At::Name)
                    }
                    None => return Ok(Piece::Half),
                },
                (At::Item, _) => {
                    let Some((_, length)) = value::<&RawValue>(rest)? else {
                        return Ok(Piece::Half);
                    };
                    let begin = self.read;
                    self.read += length;
                    return Ok(Piece::Item(begin..self.read));
                }
                (At::Begin | At::Colon(_), _) => return Err(serde_json::Error::custom("no list")),
            };
            self.read += read;
            self.at = at;
        }
    }
}

/// The value that a text begins with, and its length; `None` if its end has not come yet. A number is over where another
/// byte comes, and none yet where the next must be a digit.
fn value<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<Option<(T, usize)>> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter();
    match values.next() {
        Some(Ok(value)) => {
            let length = values.byte_offset();
            Ok((length < text.len()).then_some((value, length)))
        }
        Some(Err(error)) if !error.is_eof() && !matches!(text.last(), Some(b'-' | b'+' | b'.' | b'e' | b'E')) => {
            Err(error)
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a text that comes in pieces of so many bytes: the items and the version, or the error.
    fn read(text: &str, piece: usize) -> Result<(Vec<String>, String), String> {
        let mut list = List::new();
        let mut items = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            list.push(bytes);
            loop {
                match list.piece().map_err(|error| error.to_string())? {
                    Piece::Item(place) => items.push(list.item(place).unwrap().to_owned()),
                    Piece::Half => break,
                    Piece::Whole => {
                        let place = list.place().map_err(|error| error.to_string())?;
                        return Ok((items, place.1));
                    }
                }
            }
        }
        Err("half".to_owned())
    }

    #[test]
    fn a_list_is_read_in_whatever_pieces_it_comes_and_in_whatever_order_its_fields_stand() {
        let (a, b) = (
            r#"{"a":"\"}],ü","b":[{},-1.5e+3,0.25E-7,-0,null,true]}"#,
            r#"{ "metadata" : {"items":[1]} }"#,
        );
        for text in [
            format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"7"}},"items":[{a},{b}]}}"#),
            format!(r#"{{"items":[{a},{b}],"kind":"List","metadata":{{"resourceVersion":"7","continue":""}}}}"#),
            format!("{{ \"items\" :\n[ {a} ,\t{b} ] , \"n\" : 12 ,\r\"metadata\" : {{\"resourceVersion\":\"7\"}} }}\n"),
        ] {
            for piece in 1..=text.len() {
                let read = read(&text, piece);
                assert_eq!(
                    read,
                    Ok((vec![a.to_owned(), b.to_owned()], "7".to_owned())),
                    "{piece}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_list_of_nothing_has_no_items() {
        for items in ["[]", "null", "[ ]"] {
            let text = format!(r#"{{"items":{items},"metadata":{{"resourceVersion":"7"}}}}"#);
            assert_eq!(read(&text, 5), Ok((Vec::new(), "7".to_owned())));
        }
    }

    #[test]
    fn what_ends_early_is_no_list_and_neither_is_anything_else() {
        let text = r#"{"items":[{"a":1}],"metadata":{"resourceVersion":"7"}}"#;
        for end in 0..text.len() {
            assert_eq!(read(&text[..end], 4), Err("half".to_owned()), "{end}");
        }
        for text in [
            "[]",
            "null",
            "list",
            r#"{"items"[]}"#,
            r#"{"items":[{"a":}]}"#,
            r#"{"items":[{]}"#,
            "{items:[]}",
            r#"{"metadata":{"resourceVersion":"7"}}"#,
            r#"{"items":{},"metadata":{"resourceVersion":"7"}}"#,
            r#"{"items":[],"metadata":{}}"#,
            r#"{"items":[],"metadata":{"resourceVersion":""}}"#,
            r#"{"items":[{"a":1.}],"metadata":{"resourceVersion":"7"}}"#,
            r#"{"kind":"Status","metadata":{},"status":"Failure","code":500}"#,
        ] {
            let error = read(text, 3).unwrap_err();
            assert_ne!(error, "half", "{text}");
        }
    }

    #[test]
    fn text_that_has_been_read_is_not_kept() {
        let item = format!("{{\"a\":\"{}\"}},", "x".repeat(100));
        let mut list = List::new();
        list.push(br#"{"items":["#);
        for _ in 0..1000 {
            list.push(item.as_bytes());
            while let Piece::Item(_) = list.piece().unwrap() {}
        }
        assert!(list.text.capacity() < 10 * item.len(), "{}", list.text.capacity());
    }
}
