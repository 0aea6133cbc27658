//! When requests that can wait may be sent: not while routes are written.
//!
//! Whoever asks the API server for a route's change shares it with the statuses and Events that tell of the change before.
//! They tell a person; the route moves requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// It is calm when no route was written for so long: changes that come together have passed by then.
const SETTLE: Duration = Duration::from_millis(100);

/// Since when no route has been written. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Calm {
    last: Arc<Mutex<Option<Instant>>>,
}

impl Calm {
    /// A route is being written, or has just been.
    pub fn disturb(&self) {
        *self.last() = Some(Instant::now());
    }

    /// When it is calm, if nothing disturbs until then; it may be past.
    pub fn from(&self) -> Option<Instant> {
        self.last().map(|last| last + SETTLE)
    }

    /// Waits until it is calm, or for the deadline.
    pub async fn wait(&self, deadline: Instant) {
        while let Some(from) = self.from().map(|from| from.min(deadline)) {
            if from <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(from).await;
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(calm: &Calm, most: Duration) -> Duration {
        let begun = Instant::now();
        calm.wait(begun + most).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_calm_at_once_if_nothing_was_written_and_else_after_a_while() {
        let calm = Calm::default();
        assert_eq!(waited(&calm, SETTLE * 9).await, Duration::ZERO);
        calm.disturb();
        assert_eq!(waited(&calm, SETTLE * 9).await.as_millis(), SETTLE.as_millis());
        assert_eq!(waited(&calm, SETTLE * 9).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_meanwhile_makes_the_wait_longer_and_the_deadline_ends_it() {
        let calm = Calm::default();
        calm.disturb();
        let writes = calm.clone();
        tokio::spawn(async move {
            loop {
                writes.disturb();
                tokio::time::sleep(SETTLE / 2).await;
            }
        });
        assert_eq!(waited(&calm, SETTLE * 9).await.as_millis(), (SETTLE * 9).as_millis());
    }
}
