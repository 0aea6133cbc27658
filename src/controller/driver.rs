//! Workers that take keys from a queue, one reconcile at a time per key, with backoff per key.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::queue::Queue;
use super::{Key, Outcome};

/// Workers per queue: more gain nothing against one API server.
pub const WORKERS: usize = 16;

/// Longest time for one reconcile: each of its requests has a shorter one of its own.
const RECONCILE_TIMEOUT: Duration = Duration::from_mins(2);

/// Runs workers until the queue is closed and what was begun is done.
pub async fn run<F, R>(what: &'static str, queue: Arc<Queue<Key>>, reconcile: F)
where
    F: Fn(Key) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    let backoff = Arc::new(Mutex::new(Backoff::default()));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (queue, reconcile, backoff) = (Arc::clone(&queue), reconcile.clone(), Arc::clone(&backoff));
        workers.spawn(async move {
            while let Some(key) = queue.next().await {
                let outcome = guarded(what, &key, reconcile(key.clone())).await;
                tracing::debug!(what, namespace = &*key.0, name = &*key.1, "reconciled");
                settle(&queue, &backoff, &key, outcome);
                queue.done(&key);
            }
        });
    }
    while workers.join_next().await.is_some() {}
}

/// A reconcile that hangs or panics is one that failed: it must not stop the others.
async fn guarded<R>(what: &str, key: &Key, reconcile: R) -> Outcome
where
    R: Future<Output = Outcome> + Send,
{
    let failed = |message: &str| {
        tracing::error!(what, namespace = &*key.0, name = &*key.1, "{message}");
        Outcome::Retry(crate::plan::Failure {
            reason: "InternalError".to_owned(),
            message: message.to_owned(),
            stalled: false,
        })
    };
    let reconcile = AssertUnwindSafe(tokio::time::timeout(RECONCILE_TIMEOUT, reconcile));
    match reconcile.catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => failed("the reconcile took too long"),
        Err(_) => failed("the reconcile panicked"),
    }
}

fn settle(queue: &Queue<Key>, backoff: &Mutex<Backoff<Key>>, key: &Key, outcome: Outcome) {
    let mut backoff = backoff.lock().unwrap_or_else(PoisonError::into_inner);
    let (again, failure) = match outcome {
        Outcome::Done(again) => (again, None),
        Outcome::Retry(failure) => (None, Some(failure)),
        Outcome::Unfinished(again, failure) => (again, Some(failure)),
    };
    if let Some(after) = again {
        queue.add_after(key.clone(), after);
    }
    match failure {
        None => backoff.succeeded(key),
        Some(failure) => {
            let after = backoff.failed(key.clone(), fastrand::f64());
            tracing::debug!(
                namespace = &*key.0,
                name = &*key.1,
                reason = failure.reason,
                ?after,
                "{}",
                failure.message
            );
            queue.add_after(key.clone(), after);
        }
    }
}
