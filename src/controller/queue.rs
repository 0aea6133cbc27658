//! A keyed work queue with priorities, first in first out within each.
//!
//! A key waits at most once, and never runs twice at once: an add while it runs makes it run again afterwards.

use std::cmp::max;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::Calm;

/// A key of low priority that has waited for so long may run though it is not calm.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How many keys of low priority may run at once while it is not calm: what else is asked of the API server hardly notices.
const TRICKLE: usize = 2;

/// Room for so many keys is kept when none waits.
const FEW: usize = 256;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Can wait until it is calm: what only tells of something.
    Low,
    /// Work.
    Normal,
    /// Requests depend on it. Never waits for what is of another priority.
    High,
}

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
    /// Keys that may run, by since when they wait.
    lanes: Lanes<K>,
    /// The keys in `lanes`, and running keys that are to run again.
    queued: HashMap<K, (Priority, Moment)>,
    running: HashMap<K, (Priority, Instant)>,
    /// Keys to add later, by time.
    later: BTreeMap<Moment, (K, Priority)>,
    /// Where each key is in `later`.
    deadlines: HashMap<K, Moment>,
    /// Keys that may not run before a time.
    held: HashMap<K, Instant>,
    /// By a key: those that it goes before.
    behind: HashMap<K, Vec<K>>,
    number: u64,
    /// How many keys of high priority may run at once, and how many others.
    limit: usize,
    calm: Calm,
    closed: bool,
}

/// A time; the number keeps keys of one time apart.
type Moment = (Instant, u64);

struct Lanes<K> {
    high: BTreeMap<Moment, K>,
    normal: BTreeMap<Moment, K>,
    low: BTreeMap<Moment, K>,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue, of which so many keys of high priority may run at once, and as many others: have twice as many
    /// workers. Keys of low priority wait until it is calm.
    pub fn new(limit: usize, calm: Calm) -> Self {
        let state = State {
            lanes: Lanes {
                high: BTreeMap::new(),
                normal: BTreeMap::new(),
                low: BTreeMap::new(),
            },
            queued: HashMap::new(),
            running: HashMap::new(),
            later: BTreeMap::new(),
            deadlines: HashMap::new(),
            held: HashMap::new(),
            behind: HashMap::new(),
            number: 0,
            limit,
            calm,
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Notify::new(),
            }),
        }
    }

    /// Adds a key; if it waits already, its priority can rise.
    pub fn add(&self, key: K, priority: Priority) {
        self.lock().add(key, priority, Instant::now());
        self.shared.changed.notify_one();
    }

    /// Adds a key after a time. The earliest time and the highest priority given for a key count; the time ends when the
    /// key begins to run.
    pub fn add_after(&self, key: K, priority: Priority, wait: Duration) {
        self.lock().add_at(key, priority, Instant::now() + wait);
        self.shared.changed.notify_one();
    }

    /// Adds a key, with normal priority, as soon as another neither waits nor runs any more, or after a time. `false`, and
    /// nothing is added: the other does neither now.
    pub fn add_behind(&self, key: K, other: &K, wait: Duration) -> bool {
        let goes_behind = self.lock().add_behind(key, other, Instant::now() + wait);
        self.shared.changed.notify_one();
        goes_behind
    }

    /// Keeps a key from running again before a time is over, whoever adds it.
    pub fn hold(&self, key: &K, wait: Duration) {
        self.lock().hold(key, Instant::now() + wait);
        self.shared.changed.notify_one();
    }

    /// The next key to work on, and its priority; waits for one. `None` once the queue is closed. Call `done` when it is
    /// worked on.
    pub async fn next(&self) -> Option<(K, Priority)> {
        loop {
            let until = {
                let mut state = self.lock();
                if state.closed {
                    self.shared.changed.notify_one(); // the next worker ends as well
                    return None;
                }
                let now = Instant::now();
                state.ripen(now);
                if let Some(next) = state.take(now) {
                    if !state.queued.is_empty() || !state.later.is_empty() {
                        self.shared.changed.notify_one(); // somebody else takes the next one, or minds the clock
                    }
                    return Some(next);
                }
                state.until()
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
        self.lock().done(key, Instant::now());
        self.shared.changed.notify_one();
    }

    /// Gives out no more keys: every `next` ends. What runs may go on.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.changed.notify_one();
    }

    /// Whether a key runs.
    pub fn is_running(&self, key: &K) -> bool {
        self.lock().running.contains_key(key)
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

    /// Numbers of keys that wait to run now, by priority.
    pub fn depths(&self) -> [(Priority, usize); 3] {
        let mut depths = [Priority::High, Priority::Normal, Priority::Low].map(|priority| (priority, 0));
        for (priority, _) in self.lock().queued.values() {
            if let Some((_, count)) = depths.iter_mut().find(|(of, _)| of == priority) {
                *count += 1;
            }
        }
        depths
    }

    /// How long the key that waits longest has waited.
    pub fn oldest(&self) -> Option<Duration> {
        let (since, _) = self.lock().queued.values().map(|(_, moment)| *moment).min()?;
        Some(Instant::now().saturating_duration_since(since))
    }

    /// How long the key that runs longest has run.
    pub fn longest_run(&self) -> Option<Duration> {
        let since = self.lock().running.values().map(|(_, since)| *since).min()?;
        Some(Instant::now().saturating_duration_since(since))
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, priority: Priority, now: Instant) {
        match self.held.get(&key) {
            Some(until) if *until > now => return self.add_at(key, priority, *until),
            Some(_) => drop(self.held.remove(&key)),
            None => {}
        }
        let mut moment = self.moment(now);
        if let Some(&(known, since)) = self.queued.get(&key) {
            if known >= priority {
                return;
            }
            moment = since;
            self.lanes.of(known).remove(&since);
        }
        self.queued.insert(key.clone(), (priority, moment));
        if !self.running.contains_key(&key) {
            self.lanes.of(priority).insert(moment, key);
        }
    }

    fn add_at(&mut self, key: K, mut priority: Priority, mut at: Instant) {
        if let Some(known) = self.deadlines.get(&key) {
            at = at.min(known.0);
            if let Some((_, other)) = self.later.remove(known) {
                priority = max(priority, other);
            }
        }
        if let Some(until) = self.held.get(&key) {
            at = at.max(*until);
        }
        let moment = self.moment(at);
        self.deadlines.insert(key.clone(), moment);
        self.later.insert(moment, (key, priority));
    }

    fn add_behind(&mut self, key: K, other: &K, at: Instant) -> bool {
        let goes_behind = self.queued.contains_key(other) || self.running.contains_key(other);
        if goes_behind {
            let behind = self.behind.entry(other.clone()).or_default();
            if !behind.contains(&key) {
                behind.push(key.clone());
            }
            self.add_at(key, Priority::Normal, at);
        }
        goes_behind
    }

    /// A key that waits already waits until then.
    fn hold(&mut self, key: &K, until: Instant) {
        self.held.insert(key.clone(), until);
        let queued = self.queued.remove(key).map(|(priority, moment)| {
            self.lanes.of(priority).remove(&moment);
            priority
        });
        let later = self.deadlines.remove(key).and_then(|moment| self.later.remove(&moment));
        if let Some(priority) = queued.max(later.map(|(_, priority)| priority)) {
            self.add_at(key.clone(), priority, until);
        }
    }

    fn moment(&mut self, at: Instant) -> Moment {
        self.number += 1;
        (at, self.number)
    }

    /// Adds the keys whose time has come.
    fn ripen(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let (key, priority) = first.remove();
            self.deadlines.remove(&key);
            self.add(key, priority, now);
        }
    }

    fn take(&mut self, now: Instant) -> Option<(K, Priority)> {
        let lane = self.next_lane(now)?;
        let (_, key) = self.lanes.of(lane).pop_first()?;
        self.queued.remove(&key);
        self.running.insert(key.clone(), (lane, now));
        // The run looks at everything there is; it says itself when to run next.
        if let Some(deadline) = self.deadlines.remove(&key) {
            self.later.remove(&deadline);
        }
        Some((key, lane))
    }

    /// Where the next key is that may run.
    fn next_lane(&self, now: Instant) -> Option<Priority> {
        let (high, others) = self.room();
        if high && !self.lanes.high.is_empty() {
            return Some(Priority::High);
        }
        if !others {
            return None;
        }
        let [low, normal] = [&self.lanes.low, &self.lanes.normal].map(|lane| lane.keys().next());
        let low = low.filter(|_| self.may_tell(now));
        match (normal, low) {
            (Some(normal), Some(low)) if low.0 + PATIENCE <= now && low < normal => Some(Priority::Low),
            (Some(_), _) => Some(Priority::Normal),
            (None, Some(_)) => Some(Priority::Low),
            (None, None) => None,
        }
    }

    /// Whether a key of low priority may run.
    fn may_tell(&self, now: Instant) -> bool {
        self.tells_at().is_some_and(|at| at <= now)
    }

    /// When a key of low priority may run, if nothing changes.
    fn tells_at(&self) -> Option<Instant> {
        let (since, _) = *self.lanes.low.keys().next()?;
        let calm = self.calm.from().unwrap_or(since);
        let low = self.running.values().filter(|(priority, _)| *priority == Priority::Low);
        Some(if low.count() < TRICKLE {
            calm.min(since + PATIENCE)
        } else {
            calm
        })
    }

    /// Whether one more key of high priority may run, and one more of another.
    fn room(&self) -> (bool, bool) {
        let high = self
            .running
            .values()
            .filter(|(priority, _)| *priority == Priority::High);
        let high = high.count();
        (high < self.limit, self.running.len() - high < self.limit)
    }

    /// When a key may run that may not now, if nothing changes.
    fn until(&self) -> Option<Instant> {
        let later = self.later.keys().next().map(|(at, _)| *at);
        let low = self.tells_at().filter(|_| self.room().1);
        later.into_iter().chain(low).min()
    }

    fn done(&mut self, key: &K, now: Instant) {
        self.running.remove(key);
        if self.queued.is_empty() && self.queued.capacity() > FEW {
            self.queued.shrink_to(FEW);
        }
        if self.deadlines.is_empty() && self.deadlines.capacity() > FEW {
            self.deadlines.shrink_to(FEW);
        }
        if let Some((priority, moment)) = self.queued.get(key) {
            self.lanes.of(*priority).insert(*moment, key.clone());
            return;
        }
        for key in self.behind.remove(key).unwrap_or_default() {
            self.add(key, Priority::Normal, now);
        }
        if self.behind.is_empty() && self.behind.capacity() > FEW {
            self.behind.shrink_to(FEW);
        }
    }
}

impl<K> Lanes<K> {
    fn of(&mut self, priority: Priority) -> &mut BTreeMap<Moment, K> {
        match priority {
            Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
            Priority::Low => &mut self.low,
        }
    }
}

#[cfg(test)]
mod tests;
