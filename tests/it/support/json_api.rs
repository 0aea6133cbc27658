//! An HTTP API that answers with JSON, as providers of metrics other than Prometheus do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::api::RUNTIME;

/// Answers every request with the same, until it is dropped.
pub struct JsonApi {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Method, path and query, as in `GET /a?b=c`.
    pub line: String,
    /// Header `Authorization`, empty if there is none.
    pub authorization: String,
}

impl JsonApi {
    /// Begins.
    pub fn start(answer: &Value) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (noted, answer) = (Arc::clone(&asked), answer.to_string());
        let answers = move |request: Request| {
            let authorization = request
                .headers()
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok());
            noted.lock().unwrap().push(Asked {
                line: format!("{} {}", request.method(), request.uri()),
                authorization: authorization.unwrap_or_default().to_owned(),
            });
            let answer = answer.clone();
            async move { ([(CONTENT_TYPE, "application/json")], answer) }
        };
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answers);
        let serve = RUNTIME.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            asked,
            task: serve.abort_handle(),
        }
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for JsonApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}
