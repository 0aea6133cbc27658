//! `/metrics`, `/healthz` and `/readyz` over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// Whether all is well, and the text to answer with.
pub type Ask = Arc<dyn Fn() -> (bool, String) + Send + Sync>;

/// What is answered.
#[derive(Clone)]
pub struct Pages {
    /// `/metrics`.
    pub metrics: Ask,
    /// `/healthz`: whether the process should go on.
    pub alive: Ask,
    /// `/readyz`: whether it can do its work.
    pub ready: Ask,
}

/// What Prometheus reads.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers until the runtime ends.
///
/// Errors: the listener breaks.
pub async fn serve(listener: TcpListener, pages: Pages) -> std::io::Result<()> {
    let page = |ask: Ask, form: &'static str| {
        get(move || async move {
            let (well, text) = ask();
            let code = if well {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            (code, [(header::CONTENT_TYPE, form)], text).into_response()
        })
    };
    let router = Router::new()
        .route("/metrics", page(pages.metrics, METRICS))
        .route("/healthz", page(pages.alive, TEXT))
        .route("/readyz", page(pages.ready, TEXT));
    axum::serve(listener, router).await
}
