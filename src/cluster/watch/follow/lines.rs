//! The lines of an answer that comes bit by bit.

use http_body_util::BodyExt;
use kube::client::Body;

/// The lines that have come, and what has come of the next.
pub(super) struct Lines {
    body: Body,
    text: Vec<u8>,
    /// Where the next line begins in `text`.
    begin: usize,
    /// How far `text` has been looked through.
    seen: usize,
}

impl Lines {
    pub(super) fn of(body: Body) -> Self {
        let (text, begin, seen) = (Vec::new(), 0, 0);
        Self {
            body,
            text,
            begin,
            seen,
        }
    }

    /// The next line, without its end. `None`: the answer is over, perhaps within a line.
    ///
    /// To be dropped while it waits loses nothing. Error: the connection broke.
    pub(super) async fn next(&mut self) -> kube::Result<Option<&[u8]>> {
        loop {
            let rest = self.text.get(self.seen..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.seen + end;
                let begin = std::mem::replace(&mut self.begin, end + 1);
                self.seen = self.begin;
                return Ok(self.text.get(begin..end));
            }
            self.text.drain(..self.begin);
            self.begin = 0;
            self.seen = self.text.len();
            if self.text.is_empty() {
                self.text = Vec::new(); // a watch may be silent for long
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.text.extend_from_slice(&data);
            }
        }
    }
}
