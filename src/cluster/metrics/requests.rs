//! Counts requests to the API server, where they leave.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use prometheus::IntCounterVec;
use tower::{Layer, Service};

use super::label_of;

/// A layer that counts by verb, kind and code.
#[derive(Clone)]
pub struct CountRequests {
    counter: IntCounterVec,
}

/// Counts in this metric.
pub fn count_requests(counter: &IntCounterVec) -> CountRequests {
    CountRequests {
        counter: counter.clone(),
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            counter: self.counter.clone(),
        }
    }
}

/// A service whose requests are counted.
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    counter: IntCounterVec,
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (verb, kind) = labels(request.method(), request.uri().path(), request.uri().query());
        let ending = Ending {
            counter: self.counter.clone(),
            verb,
            kind,
            code: None,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut ending = ending; // moved as a whole: it counts when this future is dropped
            let answer = answer.await;
            ending.code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            answer
        })
    }
}

/// Counts when it is dropped: a request that nobody waits for any more has ended too.
struct Ending {
    counter: IntCounterVec,
    verb: &'static str,
    kind: &'static str,
    code: Option<u16>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let code = self.code.map(|code| code.to_string());
        let code = code.as_deref().unwrap_or("error");
        self.counter.with_label_values(&[self.verb, self.kind, code]).inc();
    }
}

/// Verb and kind of a request.
fn labels(method: &Method, path: &str, query: Option<&str>) -> (&'static str, &'static str) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let group = match parts.next() {
        Some("apis") => parts.next().unwrap_or_default(),
        _ => "",
    };
    let mut rest = parts.skip(1).peekable();
    if rest.peek() == Some(&"namespaces") {
        rest.next();
        rest.next();
    }
    let kind = rest.next().map_or(super::OTHER, |plural| label_of(group, plural));
    let named = rest.next().is_some();
    let watch = query.is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
    let verb = match method.as_str() {
        "GET" if watch => "watch",
        "GET" if named || kind == super::OTHER => "get",
        "GET" => "list",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    };
    (verb, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_verb_and_kind_and_never_by_a_name() {
        let apis = "/apis/iter8.tools/v1alpha1";
        for (method, path, query, want) in [
            (Method::GET, format!("{apis}/releases"), "", ("list", "Release")),
            (
                Method::GET,
                format!("{apis}/namespaces/shop/releases"),
                "&watch=true&x=1",
                ("watch", "Release"),
            ),
            (
                Method::PATCH,
                format!("{apis}/namespaces/shop/releases/releases/status"),
                "",
                ("patch", "Release"),
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/shop/services/web".to_owned(),
                "",
                ("delete", "Service"),
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/shop/events".to_owned(),
                "",
                ("create", "Event"),
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/iter8".to_owned(),
                "",
                ("update", "Lease"),
            ),
            (
                Method::GET,
                "/apis/serving.knative.dev/v1/services".to_owned(),
                "watch=true",
                ("watch", "Service.serving.knative.dev"),
            ),
            (Method::GET, "/apis/example.com/v1".to_owned(), "", ("get", "other")),
            (
                Method::GET,
                "/apis/example.com/v1/namespaces/shop/things".to_owned(),
                "watch=true",
                ("watch", "other"),
            ),
        ] {
            assert_eq!(labels(&method, &path, Some(query)), want, "{method} {path}");
        }
    }
}
