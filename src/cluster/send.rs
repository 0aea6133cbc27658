//! Sends one request and reads its answer, within a time.

use std::time::Duration;

use http::{Request, header::RETRY_AFTER};
use kube::Client;
use kube::client::Body;
use kube::core::Status;

use super::error::{self, Error, Sent};

/// A good answer.
pub struct Answer {
    /// Whether the object was created by this request (HTTP 201).
    pub created: bool,
    /// The body.
    pub text: String,
}

/// Sends a request; anything but a 2xx is an error, and so is no answer within `limit`.
pub async fn send(
    client: &Client,
    sent: Sent<'_>,
    request: Request<Vec<u8>>,
    limit: Duration,
) -> Result<Answer, Error> {
    let answered = tokio::time::timeout(limit, exchange(client, sent, request));
    answered.await.unwrap_or(Err(Error::Timeout(limit)))
}

async fn exchange(client: &Client, sent: Sent<'_>, request: Request<Vec<u8>>) -> Result<Answer, Error> {
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|e| error::broken(&e))?;
    let (code, wait) = (response.status(), response.headers().get(RETRY_AFTER).cloned());
    let body = response
        .into_body()
        .collect_bytes()
        .await
        .map_err(|e| error::broken(&e))?;
    let text = String::from_utf8_lossy(&body);
    if code.is_success() {
        return Ok(Answer {
            created: code == http::StatusCode::CREATED,
            text: text.into_owned(),
        });
    }
    // Not every refusal is a Status: unknown paths and overload are answered with plain text.
    let status = serde_json::from_str::<Status>(&text)
        .unwrap_or_else(|_| Status::failure(text.trim(), ""))
        .with_code(code.as_u16());
    let seconds = wait.and_then(|value| value.to_str().ok()?.parse().ok());
    Err(error::classify(sent, &status, seconds.map(Duration::from_secs)))
}
