//! Lists and watches one kind: one step at a time, so that its caller decides what an error means.
//!
//! kube's own `watcher` is not used: it asks for a streaming list at resourceVersion 0, which an API server may answer
//! from a cache older than our last write. And a list in the form of a watch's events, or in pages, costs an API server twice
//! the processor time. So everything is asked for at once, as of now, and read bit by bit; an API server of 1.33 and newer
//! writes it so, too. Source: Kubernetes API concepts, "Resource versions", and KEP-5116, "Streaming response encoding".

use std::time::Duration;

use http::{Response, header::RETRY_AFTER};
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::cluster::error::{LONGEST_WAIT, causes};
use crate::cluster::view::Head;
use items::Items;
use lines::Lines;

mod items;
mod lines;

/// Objects in one page of a list that does not come as a whole.
const PAGE: u32 = 100;
/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u32 = 290;
/// A watch that is silent for longer than the server lets it live is dead.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// How long to wait for a list's next object, and for a watch to begin.
const LIST_SILENCE: Duration = Duration::from_secs(30);

/// What a step brings.
pub(super) enum Event<'a> {
    /// A list is about to be asked for: it will show whatever is known by now, or what became of it.
    Begin,
    /// An object of a list.
    Listed(Head<'a>),
    /// An object that was created or changed.
    Apply(Head<'a>),
    /// An object that was deleted, as it was last.
    Delete(Head<'a>),
    /// An object of which not even the metadata can be read.
    Unreadable,
    /// The list is done, and the server takes the watch after it; it shows the cluster at this resourceVersion.
    Done(u64),
}

/// Where a list and watch stands.
pub(super) struct Follow {
    client: Client,
    requests: Request,
    /// Only metadata is asked for.
    metadata_only: bool,
    /// Where to go on watching; `None`: list first.
    resource_version: Option<String>,
    /// Whether to list page by page.
    paged: bool,
    /// Whether that was changed by the last step's failure.
    other_form: bool,
    /// Whether it was told that the list is done.
    told: bool,
    /// Since when the last step's watch was answered.
    watched_since: Option<Instant>,
}

/// Why a step ended otherwise than in time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There was no answer at all.
    #[error("the API server was not reached: {}", causes(.0))]
    Unreached(kube::Error),
    /// The connection broke before the answer's end.
    #[error("the answer broke off: {}", causes(.0))]
    Broken(kube::Error),
    /// The answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// The server's refusal, and how long it asks to wait.
    #[error("{}", .0.message)]
    Status(Box<Status>, Option<Duration>),
    /// Nothing came for too long.
    #[error("no answer in time")]
    Silence,
}

/// As of a request made by kube itself.
impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status, None),
            other => Self::Unreached(other),
        }
    }
}

impl Failure {
    /// The HTTP status code, if the server answered.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status, _) => Some(status.code),
            _ => None,
        }
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(_, wait) => *wait,
            _ => None,
        }
    }

    /// Whether a list may succeed in the other form, as a whole or page by page: a server breaks off an answer that takes it
    /// longer than its `--request-timeout`, or forgets a list before its last page.
    fn is_of_form(&self) -> bool {
        matches!(self, Self::Silence | Self::Broken(_)) || matches!(self.code(), Some(410 | 504))
    }

    /// Whether the connection was lost: the server that is found next may know less than this one did, as one that came
    /// back from a backup.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Self::Unreached(_) | Self::Broken(_) | Self::Silence)
    }
}

impl Follow {
    pub(super) fn new(client: Client, requests: Request, metadata_only: bool) -> Self {
        Self {
            client,
            requests,
            metadata_only,
            resource_version: None,
            paged: false,
            other_form: false,
            told: false,
            watched_since: None,
        }
    }

    /// Makes the next step list anew.
    pub(super) fn start_over(&mut self) {
        self.resource_version = None;
    }

    /// Whether the last step failed at a list, and the next one asks for it in the other form.
    pub(super) fn asks_otherwise(&self) -> bool {
        self.other_form
    }

    /// Since when the last step's watch was answered; `None`: it was not, or there was none.
    pub(super) fn watched_since(&self) -> Option<Instant> {
        self.watched_since
    }

    /// A list, unless it is known where to go on, and a watch until its end. After an error the next step goes on where
    /// this one stopped, or lists anew if the server has forgotten that place.
    pub(super) async fn step(&mut self, sink: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), Failure> {
        self.other_form = false;
        self.watched_since = None;
        let version = match self.resource_version.clone() {
            Some(version) => version,
            None => self.list_anew(sink).await?,
        };
        let watched = self.watch(&version, sink).await;
        match &watched {
            // A server that has too much to do is not asked for more.
            Err(failure) if failure.code() == Some(429) => {}
            // It has forgotten that place, or would send the same unreadable text again; or its versions may have gone
            // back, and a watch from a version that is yet to come is silent.
            Err(_) => self.start_over(),
            Ok(()) => {}
        }
        watched
    }

    /// Lists everything, in the other form the next time if this one may be what the server fails at.
    async fn list_anew(&mut self, sink: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<String, Failure> {
        let listed = self.list(sink).await;
        if listed.as_ref().is_err_and(Failure::is_of_form) {
            self.paged = !self.paged;
            self.other_form = true;
        }
        let version = listed?;
        self.resource_version = Some(version.clone());
        self.told = false;
        Ok(version)
    }

    /// Lists everything; which version of it that was.
    async fn list(&mut self, sink: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<String, Failure> {
        let mut params = ListParams::default();
        if self.paged {
            params = params.limit(PAGE);
        }
        sink(Event::Begin);
        loop {
            let request = if self.metadata_only {
                self.requests.list_metadata(&params)
            } else {
                self.requests.list(&params)
            };
            let request = request.map_err(kube::Error::BuildRequest)?;
            let answer = tokio::time::timeout(LIST_SILENCE, self.ask(request));
            let mut items = Items::of(answer.await.map_err(|_| Failure::Silence)??.into_body());
            loop {
                let next = tokio::time::timeout(LIST_SILENCE, items.next());
                let Some(item) = next.await.map_err(|_| Failure::Silence)?? else {
                    break;
                };
                sink(Head::of(item).map_or(Event::Unreadable, Event::Listed));
            }
            let (next, version) = items.place()?;
            if next.is_none() {
                return Ok(version);
            }
            params.continue_token = next;
        }
    }

    /// The answer, of which only the head has come.
    async fn ask(&self, request: http::Request<Vec<u8>>) -> Result<Response<Body>, Failure> {
        let answer = self.client.send(request.map(Body::from)).await;
        let answer = answer.map_err(Failure::Unreached)?;
        let code = answer.status();
        if code.is_success() {
            return Ok(answer);
        }
        let wait = answer.headers().get(RETRY_AFTER).cloned();
        let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.into_body().collect_bytes().await.map_err(Failure::Broken)?;
        let text = String::from_utf8_lossy(&body);
        let status = serde_json::from_str(&text).unwrap_or_else(|_| Status::failure(text.trim(), ""));
        let status = status.with_code(code.as_u16()).boxed();
        let wait = wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        Err(Failure::Status(status, wait))
    }

    /// Watches from a resourceVersion. Only then a list is done: who may list, but not watch, knows nothing for long.
    async fn watch(&mut self, version: &str, sink: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), Failure> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let request = if self.metadata_only {
            self.requests.watch_metadata(&params, version)
        } else {
            self.requests.watch(&params, version)
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let answer = tokio::time::timeout(LIST_SILENCE, self.ask(request));
        let mut lines = Lines::of(answer.await.map_err(|_| Failure::Silence)??.into_body());
        self.watched_since = Some(Instant::now());
        if !std::mem::replace(&mut self.told, true) {
            sink(Event::Done(number(version)));
        }
        loop {
            let next = tokio::time::timeout(WATCH_SILENCE, lines.next()).await;
            let Some(line) = next.map_err(|_| Failure::Silence)?.map_err(Failure::Broken)? else {
                return Ok(());
            };
            match event(line)? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.change(object.get(), Event::Apply, sink);
                }
                WatchEvent::Deleted(object) => self.change(object.get(), Event::Delete, sink),
                WatchEvent::Bookmark(bookmark) => self.resource_version = Some(bookmark.metadata.resource_version),
                WatchEvent::Error(status) => return Err(Failure::Status(status, None)),
            }
        }
    }

    /// Hands on what became of an object. A watch that breaks off goes on after it.
    fn change<'a>(
        &mut self,
        text: &'a str,
        event: fn(Head<'a>) -> Event<'a>,
        sink: &mut (dyn FnMut(Event<'_>) + Send),
    ) {
        let Some(head) = Head::of(text) else {
            sink(Event::Unreadable);
            return;
        };
        let version = head.resource_version().to_owned();
        sink(event(head));
        if !version.is_empty() {
            self.resource_version = Some(version);
        }
    }
}

/// An event, or a Status in its place.
fn event(line: &[u8]) -> Result<WatchEvent<&RawValue>, Failure> {
    serde_json::from_slice(line).map_err(|error| match serde_json::from_slice::<Status>(line) {
        Ok(status) if status.code > 0 => Failure::Status(status.boxed(), None),
        _ => Failure::Unreadable(error),
    })
}

/// A resourceVersion that is no number counts as newer than everything.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
