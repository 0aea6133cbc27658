//! One request, one answer.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::prometheus;
use crate::api::metric::Method;
use crate::model::query::Query;

/// The most bytes of an answer that are read.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// The most bytes of a refusal that are read: its reason is at the beginning.
const MAX_REFUSAL: usize = 4096;

/// Connections to one host that are kept for the next queries.
const IDLE: usize = 8;

/// How long they are kept: many servers close theirs after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Sends requests.
///
/// Redirects are not followed: they would lead to hosts that nobody allowed. Certificates are verified with the roots of the
/// system (`SSL_CERT_FILE`, `SSL_CERT_DIR`) or, where there are none, as in an image with nothing in it, with those of Mozilla.
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// A client.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let https = roots.unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots());
        let https = https.https_or_http().enable_all_versions();
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE)
            .build(https.wrap_connector(connector));
        Self(client)
    }

    /// The body of the answer.
    ///
    /// Errors: there is none, it is too large, or its status is not one of success; in words that go on from the host's name,
    /// and hold nothing of the request.
    pub async fn fetch(&self, query: &Query) -> Result<Bytes, String> {
        let request = request(query)?;
        let answer = self.0.request(request).await.map_err(causes)?;
        let status = answer.status();
        if status.is_success() {
            return whole(answer).await;
        }
        Err(refusal(status, &beginning(answer.into_body()).await))
    }
}

fn request(query: &Query) -> Result<Request<Full<Bytes>>, String> {
    let method = match query.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    let body = query.body.as_ref().map(|body| Bytes::copy_from_slice(body.as_bytes()));
    let mut request = Request::builder()
        .method(method)
        .uri(&query.url)
        .body(Full::new(body.unwrap_or_default()))
        .map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("iter8/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &query.headers {
        let known: HeaderName = name
            .parse()
            .map_err(|_| format!("header {name:?} is no name of a header"))?;
        let mut value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("the value of header {name} is none"))?;
        value.set_sensitive(true);
        if known == USER_AGENT {
            headers.insert(known, value);
        } else {
            headers.append(known, value);
        }
    }
    Ok(request)
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes, String> {
    match Limited::new(answer.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(format!("the answer has more than {} KiB", MAX_ANSWER / 1024))
        }
        Err(error) => Err(format!("the answer broke off: {error}")),
    }
}

/// The first bytes of a body; what is wrong with it does not matter.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < MAX_REFUSAL
        && let Some(Ok(frame)) = body.frame().await
    {
        read.extend(frame.into_data().unwrap_or_default());
    }
    read.truncate(MAX_REFUSAL);
    read
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    if status.is_redirection() {
        return format!("the answer is {status}, and redirects are not followed: write the URL that it leads to");
    }
    let reason = prometheus::error(body).unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    if reason.is_empty() {
        return format!("the answer is {status}");
    }
    format!("the answer is {status}: {reason}")
}

/// An error and what caused it.
fn causes(error: hyper_util::client::legacy::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
