//! A keyed work queue, first in first out.
//!
//! A key waits at most once, and never runs twice at once: an add while it runs makes it run again afterwards.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The queue. Clones share it.
#[derive(Clone)]
pub struct Queue<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    state: Mutex<State<K>>,
    /// Wakes one waiting worker: something changed that `next` looks at.
    changed: Notify,
}

struct State<K> {
    /// Keys that may run, with the time since when they wait.
    pending: VecDeque<(K, Instant)>,
    /// The keys in `pending`, and running keys that are to run again (since when).
    queued: HashMap<K, Instant>,
    running: HashSet<K>,
    /// Keys to add later, by time; the number keeps keys of one time apart.
    later: BTreeMap<(Instant, u64), K>,
    /// Where each key is in `later`.
    deadlines: HashMap<K, (Instant, u64)>,
    number: u64,
    closed: bool,
}

impl<K: Clone + Eq + Hash> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State {
            pending: VecDeque::new(),
            queued: HashMap::new(),
            running: HashSet::new(),
            later: BTreeMap::new(),
            deadlines: HashMap::new(),
            number: 0,
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Notify::new(),
            }),
        }
    }

    /// Adds a key, unless it waits already.
    pub fn add(&self, key: K) {
        self.lock().add(key, Instant::now());
        self.shared.changed.notify_one();
    }

    /// Adds a key after a time. The earliest time given for a key counts; the time ends when the key begins to run.
    pub fn add_after(&self, key: K, wait: Duration) {
        self.lock().add_at(key, Instant::now() + wait);
        self.shared.changed.notify_one();
    }

    /// The next key to work on; waits for one. `None` once the queue is closed. Call `done` when it is worked on.
    pub async fn next(&self) -> Option<K> {
        loop {
            let until = {
                let mut state = self.lock();
                if state.closed {
                    self.shared.changed.notify_one(); // the next worker ends as well
                    return None;
                }
                state.ripen(Instant::now());
                if let Some(key) = state.take() {
                    if !state.pending.is_empty() || !state.later.is_empty() {
                        self.shared.changed.notify_one(); // somebody else takes the next one, or minds the clock
                    }
                    return Some(key);
                }
                state.later.first_key_value().map(|((at, _), _)| *at)
            };
            match until {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.shared.changed.notified()).await;
                }
                None => self.shared.changed.notified().await,
            }
        }
    }

    /// A key has been worked on; if it was added meanwhile it waits again.
    pub fn done(&self, key: &K) {
        self.lock().done(key);
        self.shared.changed.notify_one();
    }

    /// Gives out no more keys: every `next` ends. What runs may go on.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.changed.notify_one();
    }

    /// Number of keys that wait to run now.
    pub fn len(&self) -> usize {
        self.lock().queued.len()
    }

    /// Whether no key waits to run now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys that run.
    pub fn running(&self) -> usize {
        self.lock().running.len()
    }

    /// How long the key that waits longest has waited.
    pub fn oldest(&self) -> Option<Duration> {
        let since = self.lock().queued.values().min().copied()?;
        Some(Instant::now().saturating_duration_since(since))
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, now: Instant) {
        if self.queued.contains_key(&key) {
            return;
        }
        self.queued.insert(key.clone(), now);
        if !self.running.contains(&key) {
            self.pending.push_back((key, now));
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if let Some(known) = self.deadlines.get(&key) {
            if known.0 <= at {
                return;
            }
            self.later.remove(known);
        }
        self.number += 1;
        self.deadlines.insert(key.clone(), (at, self.number));
        self.later.insert((at, self.number), key);
    }

    /// Adds the keys whose time has come.
    fn ripen(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            self.deadlines.remove(&key);
            self.add(key, now);
        }
    }

    fn take(&mut self) -> Option<K> {
        let (key, _) = self.pending.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        // The run looks at everything there is; it says itself when to run next.
        if let Some(deadline) = self.deadlines.remove(&key) {
            self.later.remove(&deadline);
        }
        Some(key)
    }

    fn done(&mut self, key: &K) {
        self.running.remove(key);
        if let Some(since) = self.queued.get(key) {
            self.pending.push_back((key.clone(), *since));
        }
    }
}

#[cfg(test)]
mod tests;
