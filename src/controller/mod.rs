//! Reconcilers, and the queue that drives them.

pub mod backoff;
pub mod queue;
