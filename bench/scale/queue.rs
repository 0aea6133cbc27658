//! The probe's queue: first in, first out; a key waits at most once and is never worked on twice at once.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use tokio::sync::Semaphore;

/// The queue.
pub struct Queue {
    state: Mutex<State>,
    /// As many permits as keys in `ready`.
    waiting: Semaphore,
}

#[derive(Default)]
struct State {
    ready: VecDeque<String>,
    /// The keys in `ready`, and those that are worked on and were added since.
    queued: HashSet<String>,
    running: HashSet<String>,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            waiting: Semaphore::new(0),
        }
    }

    /// Adds a key, unless it waits already.
    pub fn add(&self, key: &str) {
        let mut state = self.state.lock().unwrap();
        if state.queued.insert(key.to_owned()) && !state.running.contains(key) {
            state.ready.push_back(key.to_owned());
            self.waiting.add_permits(1);
        }
    }

    /// Waits for a key.
    pub async fn next(&self) -> String {
        self.waiting.acquire().await.unwrap().forget();
        let mut state = self.state.lock().unwrap();
        let key = state.ready.pop_front().unwrap();
        state.queued.remove(&key);
        state.running.insert(key.clone());
        key
    }

    /// A key has been worked on; if it was added meanwhile it waits again.
    pub fn done(&self, key: &str) {
        let mut state = self.state.lock().unwrap();
        state.running.remove(key);
        if state.queued.contains(key) {
            state.ready.push_back(key.to_owned());
            self.waiting.add_permits(1);
        }
    }
}
