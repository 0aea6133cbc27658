//! How long to wait before the next attempt.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// The wait after the first failure is at most this.
const BASE: Duration = Duration::from_millis(100);
/// No wait is longer.
const CAP: Duration = Duration::from_secs(30);

/// Failures in a row, per key. Exponential with full jitter: a random part of 100 ms, doubled with every failure in a
/// row, at most 30 s.
#[derive(Debug)]
pub struct Backoff<K> {
    failures: HashMap<K, u32>,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self {
            failures: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Backoff<K> {
    /// Counts a failure and says how long to wait; `random` is uniform in 0..1.
    pub fn failed(&mut self, key: K, random: f64) -> Duration {
        let failures = self.failures.entry(key).or_default();
        let wait = CAP.min(BASE * 2_u32.saturating_pow(*failures));
        *failures = failures.saturating_add(1);
        wait.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Whether a key's last attempt failed.
    pub fn has_failed(&self, key: &K) -> bool {
        self.failures.contains_key(key)
    }

    /// Forgets a key's failures.
    pub fn succeeded(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// Number of keys whose last attempt failed.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Whether no key's last attempt failed.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_thirty_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..11).map(|_| backoff.failed("a", 1.0).as_millis()).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]
        );
    }

    #[test]
    fn the_wait_never_overflows() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert!(backoff.failed("a", 1.0) <= CAP);
        }
    }

    #[test]
    fn the_wait_is_a_random_part() {
        assert_eq!(Backoff::default().failed("a", 0.25), Duration::from_millis(25));
        assert_eq!(Backoff::default().failed("a", 0.0), Duration::ZERO);
    }

    #[test]
    fn success_starts_anew_and_keys_count_apart() {
        let mut backoff = Backoff::default();
        backoff.failed("a", 1.0);
        backoff.failed("a", 1.0);
        assert_eq!(backoff.failed("b", 1.0), BASE);
        backoff.succeeded(&"a");
        assert_eq!(backoff.len(), 1);
        assert_eq!(backoff.failed("a", 1.0), BASE);
    }
}
