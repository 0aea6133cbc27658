//! Lists and watches one kind: one step at a time, so that its caller decides what an error means.
//!
//! kube's own `watcher` is not used: it asks for a streaming list at resourceVersion 0, which an API server may answer
//! from a cache older than our last write. Source: Kubernetes API concepts, "Streaming lists" and "Resource versions".

use std::time::Duration;

use http::{Response, header::RETRY_AFTER};
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::client::Body;
use kube::core::metadata::ListMeta;
use kube::core::{Request, Status};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cluster::error::{LONGEST_WAIT, causes};
use crate::cluster::view::Head;
use lines::Lines;

mod lines;

/// Objects in one page of a list.
const PAGE: u32 = 100;
/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u32 = 290;
/// A watch that is silent for longer than the server lets it live is dead.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// How long to wait for a list's page, for the next object of a streaming list, and for a watch to begin.
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
    /// The list is done; it shows the cluster at this resourceVersion.
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
    /// Whether the server can send a list as a watch's first events.
    streaming: bool,
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

    /// Whether the connection was lost: the server that is found next may know less than this one did, as one that came
    /// back from a backup.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Self::Unreached(_) | Self::Broken(_) | Self::Silence)
    }
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    #[serde(default, deserialize_with = "nullable")]
    items: Vec<Box<RawValue>>,
}

fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Follow {
    pub(super) fn new(client: Client, requests: Request, metadata_only: bool) -> Self {
        Self {
            client,
            requests,
            metadata_only,
            resource_version: None,
            streaming: true,
        }
    }

    /// Makes the next step list anew.
    pub(super) fn start_over(&mut self) {
        self.resource_version = None;
    }

    /// One list, or one watch until its end. After an error the next step goes on where this one stopped, or lists anew
    /// if the server has forgotten that place.
    pub(super) async fn step(&mut self, sink: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), Failure> {
        let listed = self.resource_version.clone();
        let result = match listed {
            Some(version) => self.watch(&version, false, sink).await,
            None if self.streaming => self.watch("", true, sink).await,
            None => self.list(sink).await,
        };
        let listing = self.resource_version.is_none();
        match &result {
            // A server without streaming lists refuses them, or never says that the list is done.
            Err(Failure::Status(status, _)) if listing && matches!(status.code, 400 | 422) => self.streaming = false,
            // Or it ends before that, as it does to one that takes it in too slowly.
            Err(Failure::Silence) | Ok(()) if listing => self.streaming = !self.streaming,
            // A server that has too much to do is not asked for more.
            Err(Failure::Status(status, _)) if status.code == 429 => {}
            // It has forgotten that place, or would send the same unreadable text again; or its versions may have gone
            // back, and a watch from a version that is yet to come is silent.
            Err(_) => self.start_over(),
            Ok(()) => {}
        }
        result
    }

    /// Lists page by page.
    async fn list(&mut self, sink: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), Failure> {
        let mut params = ListParams::default().limit(PAGE);
        sink(Event::Begin);
        loop {
            let request = if self.metadata_only {
                self.requests.list_metadata(&params)
            } else {
                self.requests.list(&params)
            };
            let request = request.map_err(kube::Error::BuildRequest)?;
            let page = tokio::time::timeout(LIST_SILENCE, self.page(request));
            let List { metadata, items } = page.await.map_err(|_| Failure::Silence)??;
            for item in &items {
                sink(Head::of(item.get()).map_or(Event::Unreadable, Event::Listed));
            }
            params.continue_token = metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                let version = metadata.resource_version.unwrap_or_default();
                sink(Event::Done(number(&version)));
                self.resource_version = Some(version);
                return Ok(());
            }
        }
    }

    async fn page(&self, request: http::Request<Vec<u8>>) -> Result<List, Failure> {
        let body = self.ask(request).await?.into_body();
        let body = body.collect_bytes().await.map_err(Failure::Broken)?;
        serde_json::from_slice(&body).map_err(Failure::Unreadable)
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

    /// Watches from a resourceVersion; with `initial` the server sends the list first, as of now.
    async fn watch(
        &mut self,
        version: &str,
        initial: bool,
        sink: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), Failure> {
        let params = WatchParams {
            timeout: Some(WATCH_SECONDS),
            send_initial_events: initial,
            ..WatchParams::default()
        };
        let request = if self.metadata_only {
            self.requests.watch_metadata(&params, version)
        } else {
            self.requests.watch(&params, version)
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let mut listing = initial;
        if listing {
            sink(Event::Begin);
        }
        let answer = tokio::time::timeout(LIST_SILENCE, self.ask(request));
        let mut lines = Lines::of(answer.await.map_err(|_| Failure::Silence)??.into_body());
        loop {
            let silence = if listing { LIST_SILENCE } else { WATCH_SILENCE };
            let next = tokio::time::timeout(silence, lines.next()).await;
            let Some(line) = next.map_err(|_| Failure::Silence)?.map_err(Failure::Broken)? else {
                return Ok(());
            };
            match event(line)? {
                WatchEvent::Added(object) if listing => self.change(listing, object.get(), Event::Listed, sink),
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.change(listing, object.get(), Event::Apply, sink);
                }
                WatchEvent::Deleted(object) => self.change(listing, object.get(), Event::Delete, sink),
                WatchEvent::Bookmark(bookmark) => {
                    let version = bookmark.metadata.resource_version;
                    if listing && bookmark.metadata.annotations.contains_key("k8s.io/initial-events-end") {
                        listing = false;
                        sink(Event::Done(number(&version)));
                    }
                    if !listing {
                        self.resource_version = Some(version);
                    }
                }
                WatchEvent::Error(status) => return Err(Failure::Status(status, None)),
            }
        }
    }

    /// Hands on what became of an object. A watch that breaks off goes on after it.
    fn change<'a>(
        &mut self,
        listing: bool,
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
        if !listing && !version.is_empty() {
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
