//! One request and its answer.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;

use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::mpsc;

use super::Shared;
use super::fault::{Fault, Refusal};
use super::wire::Line;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The API server.
pub(super) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
}

impl Upstream {
    pub(super) fn new(client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>, server: &Uri) -> Self {
        let server = server.to_string().trim_end_matches('/').to_owned();
        Self { client, server }
    }

    /// Its answer; `None`: it cannot be reached.
    async fn ask(&self, request: Request<Incoming>) -> Option<Response<Incoming>> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().unwrap();
        head.uri = format!("{}{path}", self.server).parse().unwrap();
        head.version = hyper::Version::default();
        for name in [HOST, CONNECTION, TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        let body = body.collect().await.ok()?.to_bytes();
        self.client
            .request(Request::from_parts(head, Full::new(body)))
            .await
            .ok()
    }
}

/// Passes a request on, unless something befalls it.
pub(super) async fn exchange(
    shared: Arc<Shared>,
    line: Line,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let method = request.method().clone();
    let path = request.uri().path_and_query().unwrap().to_string();
    let fault = shared.fault(&method, &path, false);
    shared.note(format!("{method} {path}"), fault.is_some());
    match &fault {
        Some(Fault::Refused(with)) => return Ok(refusal(with)),
        Some(Fault::Ignored) => return pending().await,
        _ => {}
    }
    let answer = shared.upstream.ask(request).await;
    if method != Method::GET {
        // Ours is one of the senders: there is always one.
        let _ = shared.hold.subscribe().wait_for(|hold| !hold).await;
    }
    let Some(answer) = answer else {
        line.cut();
        return pending().await;
    };
    match &fault {
        Some(Fault::Denied(with)) => return Ok(refusal(with)),
        Some(Fault::Lost) => {
            line.cut();
            return pending().await;
        }
        _ => {}
    }
    let (mut head, body) = answer.into_parts();
    head.version = hyper::Version::default();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let body = if path.contains("watch=true") && head.status.is_success() {
        pass_events(shared, (method, path), body)
    } else {
        body.map_err(io::Error::other).boxed_unsync()
    };
    Ok(Response::from_parts(head, body))
}

fn refusal(refusal: &Refusal) -> Response<Body> {
    let mut response = Response::builder().status(StatusCode::from_u16(refusal.code).unwrap());
    if let Some(seconds) = refusal.retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    let body = Full::new(Bytes::from(refusal.body())).map_err(|never| match never {});
    response.body(body.boxed_unsync()).unwrap()
}

/// Passes the events of a watch on, each as a whole, until something befalls one.
fn pass_events(shared: Arc<Shared>, (method, path): (Method, String), from: Incoming) -> Body {
    let (to, events) = mpsc::channel::<io::Result<Frame<Bytes>>>(1);
    tokio::spawn(async move {
        let mut chunks = from.into_data_stream();
        let mut text = Vec::new();
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = to.closed() => return,
            };
            match chunk {
                Some(Ok(chunk)) => text.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    let _ = to.send(Err(io::Error::other(error))).await; // the client is gone
                    return;
                }
                None => return,
            }
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let rest = text.split_off(end + 1);
                let event = std::mem::replace(&mut text, rest);
                let fault = shared.fault(&method, &path, true);
                let over = fault.is_some();
                if over {
                    shared.note(format!("{method} {path}"), true);
                }
                for frame in befallen(event, fault.as_ref()) {
                    if to.send(frame).await.is_err() {
                        return;
                    }
                }
                if over {
                    return;
                }
            }
        }
    });
    let events = futures::stream::unfold(events, |mut events| async {
        let event = events.recv().await?;
        Some((event, events))
    });
    StreamBody::new(events).boxed_unsync()
}

/// What is passed on of an event.
fn befallen(mut event: Vec<u8>, fault: Option<&Fault>) -> Vec<io::Result<Frame<Bytes>>> {
    let frame = |bytes: Vec<u8>| Ok(Frame::data(Bytes::from(bytes)));
    match fault {
        Some(Fault::Halved { breaks }) => {
            event.truncate(event.len() / 2);
            let mut frames = vec![frame(event)];
            if *breaks {
                frames.push(Err(io::ErrorKind::ConnectionReset.into()));
            }
            frames
        }
        Some(Fault::Forgotten) => {
            let status = Refusal::EXPIRED.body();
            vec![frame(
                format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n").into_bytes(),
            )]
        }
        _ => vec![frame(event)],
    }
}
