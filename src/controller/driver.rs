//! Workers that take tasks from the queue, one reconcile at a time for each object, with a backoff for each.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::queue::{Priority, Queue};
use super::writes::is_outdated;
use super::{Outcome, Task};
use crate::cluster::Metrics;
use crate::model::kind::Kind;
use crate::model::reason;
use crate::plan::Failure;

/// Reconciles at once of high priority, and of others: more gain nothing against one API server.
pub const WORKERS: usize = 16;

/// Longest time for one reconcile: each of its requests has a shorter one of its own.
pub const RECONCILE_TIMEOUT: Duration = Duration::from_mins(2);

/// Runs workers until the queue is closed and what was begun is done.
pub async fn run<F, R>(queue: Queue<Task>, metrics: Arc<Metrics>, reconcile: F)
where
    F: Fn(Task, Priority) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    let backoff = Arc::new(Mutex::new(Backoff::default()));
    let mut workers = JoinSet::new();
    for _ in 0..2 * WORKERS {
        let (queue, reconcile, backoff) = (queue.clone(), reconcile.clone(), Arc::clone(&backoff));
        let metrics = Arc::clone(&metrics);
        workers.spawn(async move {
            while let Some((task, priority)) = queue.next().await {
                let begun = Instant::now();
                let outcome = guarded(&task, reconcile(task.clone(), priority)).await;
                let (kind, (namespace, name)) = &task;
                tracing::debug!(namespace = &**namespace, %kind, name = &**name, ?priority, "reconciled");
                metrics.reconciled(*kind, outcome.ended(), begun.elapsed());
                settle(&queue, &backoff, &task, priority, outcome);
                queue.done(&task);
            }
        });
    }
    while workers.join_next().await.is_some() {}
}

/// A reconcile that hangs or panics is one that failed: it must not stop the others.
async fn guarded<R>((kind, (namespace, name)): &Task, reconcile: R) -> Outcome
where
    R: Future<Output = Outcome> + Send,
{
    let failed = |message: &str| {
        tracing::error!(namespace = &**namespace, %kind, name = &**name, "{message}");
        Outcome::Retry(Failure::passing(reason::INTERNAL_ERROR, message))
    };
    let reconcile = AssertUnwindSafe(tokio::time::timeout(RECONCILE_TIMEOUT, reconcile));
    match reconcile.catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => failed("the reconcile took too long"),
        Err(_) => failed("the reconcile panicked"),
    }
}

/// A policy's later time may be a route's; a Release's is work.
fn priority((kind, _): &Task) -> Priority {
    match kind {
        Kind::RoutePolicy => Priority::High,
        _ => Priority::Normal,
    }
}

/// The priority of another attempt at what failed in a run of this one. What could not be told stays as urgent as that was:
/// a run of high priority would tell nothing, succeed, and begin the backoff anew.
fn priority_after(failure: &Failure, ran: Priority, task: &Task) -> Priority {
    if failure.reason == reason::STATUS_NOT_WRITTEN {
        ran
    } else {
        priority(task)
    }
}

fn settle(queue: &Queue<Task>, backoff: &Mutex<Backoff<Task>>, task: &Task, ran: Priority, outcome: Outcome) {
    let mut backoff = backoff.lock().unwrap_or_else(PoisonError::into_inner);
    // What could not be finished has been told of.
    let unfinished = matches!(outcome, Outcome::Unfinished(..));
    let (again, failure) = match outcome {
        Outcome::Done(again) => (again, None),
        Outcome::Retry(failure) => (None, Some(failure)),
        Outcome::Unfinished(again, failure) => (again, Some(failure)),
    };
    if let Some(after) = again {
        queue.add_after(task.clone(), priority(task), after);
    }
    match failure {
        None => backoff.succeeded(task),
        Some(failure) => {
            let first = !backoff.has_failed(task);
            let mut after = backoff.failed(task.clone(), fastrand::f64());
            if let Some(asked) = failure.retry_after {
                after = after.max(asked);
                queue.hold(task, asked);
            }
            log(task, &failure, first && !unfinished, after);
            queue.add_after(task.clone(), priority_after(&failure, ran, task), after);
        }
    }
}

/// Logs the first failure in a row; of one that was planned from what has changed since there is nothing to say.
fn log((kind, (namespace, name)): &Task, failure: &Failure, first: bool, after: Duration) {
    let (namespace, name, reason) = (&**namespace, &**name, &failure.reason);
    if first && !is_outdated(failure) {
        tracing::warn!(namespace, %kind, name, reason, "tried again: {}", failure.message);
    } else {
        tracing::debug!(namespace, %kind, name, reason, ?after, "{}", failure.message);
    }
}
