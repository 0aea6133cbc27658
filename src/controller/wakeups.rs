//! From a change in the store to the objects that must be looked at again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::index::{Index, Lost, Place, References, Referred};
use super::queue::{Priority, Queue};
use super::targets::Targets;
use super::{Key, Task};
use crate::cluster::{Change, Store};
use crate::model::kind::{Kind, KindRef};

/// How long a Release waits after a change of what it is made of. What a route needs is done by its RoutePolicy, at once:
/// the Release only reports it, or goes on with a promotion. By then the policy has told of it, and the Release tells of
/// both in one go.
pub const POLICY_FIRST: Duration = Duration::from_millis(150);

/// Room for so many policies is kept when none waits.
const FEW: usize = 256;

/// The queue, and who is put into it by what.
pub struct Wakeups {
    /// What is to be reconciled.
    pub queue: Queue<Task>,
    /// The experiments: they wait for answers of others, and nobody is to wait for them.
    pub experiments: Queue<Task>,
    /// Who is woken by an experiment that leaves its target.
    pub targets: Targets,
    index: Mutex<Index>,
    /// Since when an object is ready that a policy with this key names, while the policy has not been looked at since.
    ready: Mutex<HashMap<Key, Instant>>,
}

impl Wakeups {
    /// Nobody is woken by anything yet.
    pub fn new(queue: Queue<Task>, experiments: Queue<Task>) -> Self {
        Self {
            queue,
            experiments,
            targets: Targets::default(),
            index: Mutex::default(),
            ready: Mutex::default(),
        }
    }

    fn policy(&self, key: Key, priority: Priority) {
        self.queue.add((Kind::RoutePolicy, key), priority);
    }

    fn release(&self, key: Key, priority: Priority) {
        self.queue.add((Kind::Release, key), priority);
    }

    /// Wakes an experiment after that time.
    pub fn experiment(&self, key: Key, wait: Duration) {
        self.experiments
            .add_after((Kind::Experiment, key), Priority::Normal, wait);
    }

    fn all_experiments(&self, store: &Store) {
        for key in store.names(&KindRef::Known(Kind::Experiment)) {
            self.experiments.add((Kind::Experiment, key), Priority::Normal);
        }
    }

    /// Puts everything into the queue that depends on the changed object.
    pub fn on_change(&self, store: &Store, change: &Change) {
        if !store.all_known() {
            return; // everything is looked at once it is
        }
        let key = (Arc::clone(&change.namespace), Arc::clone(&change.name));
        match &change.kind {
            // A change of anything but the spec is most often its own status.
            KindRef::Known(Kind::Release) => {
                self.release(key, if change.spec { Priority::Normal } else { Priority::Low });
                return;
            }
            KindRef::Known(Kind::Experiment) => {
                self.experiments.add((Kind::Experiment, key), Priority::Normal);
                return;
            }
            // One that waits for it may be anywhere.
            KindRef::Known(Kind::Metric) => return self.all_experiments(store),
            KindRef::Known(Kind::RoutePolicy) => {
                self.policy(key, if change.spec { Priority::High } else { Priority::Low });
                self.wake_owners(store, change);
            }
            // Whoever wrote one of these goes on to look at it by itself.
            _ if change.written => {}
            _ => self.wake_owners(store, change),
        }
        let place = (
            change.kind.clone(),
            Arc::clone(&change.namespace),
            Arc::clone(&change.name),
        );
        let of_version = matches!(
            change.kind,
            KindRef::Known(Kind::Deployment | Kind::Service) | KindRef::Other(_)
        );
        let ready = (change.ready && of_version).then(Instant::now);
        self.wake_dependants(&place, ready, |policy| self.urgency(change, policy));
    }

    /// How urgent a change of an object is to a policy. The one that writes its route has only to tell of it; the event often
    /// comes before the answer.
    fn urgency(&self, change: &Change, policy: &Task) -> Priority {
        let route = matches!(change.kind, KindRef::Known(Kind::VirtualService | Kind::HttpRoute));
        if route && !change.gone && (change.written || self.queue.is_running(policy)) {
            Priority::Low
        } else {
            Priority::High
        }
    }

    fn wake_owners(&self, store: &Store, change: &Change) {
        let (before, now) = (change.controller_before, change.controller_now);
        for uid in before.into_iter().chain(now.filter(|now| Some(*now) != before)) {
            let Some((owner, name)) = store.owner(&change.namespace, uid) else {
                continue;
            };
            let key = (Arc::clone(&change.namespace), name);
            if let (true, KindRef::Known(kind)) = (change.gone, &change.kind) {
                self.index().lose((owner, key.clone()), *kind, &change.name);
            }
            let owner = (owner, key);
            if owner.0 == Kind::Release {
                self.queue.add_after(owner, Priority::Low, POLICY_FIRST);
            } else {
                let priority = self.urgency(change, &owner);
                self.queue.add(owner, priority);
            }
        }
        if now.is_none()
            && let Some(meta) = store.meta(&change.kind, &change.namespace, &change.name)
            && let Some(release) = &meta.adoptable_by
        {
            let key = (Arc::clone(&change.namespace), Arc::from(&**release));
            self.release(key, Priority::Normal);
        }
    }

    fn wake_dependants(&self, place: &Place, ready: Option<Instant>, priority: impl Fn(&Task) -> Priority) {
        let mut index = self.index();
        for policy in index.referrers(place) {
            let policy = (Kind::RoutePolicy, (Arc::clone(&place.1), Arc::clone(policy)));
            if let Some(since) = ready {
                self.ready().entry(policy.1.clone()).or_insert(since);
            }
            let priority = priority(&policy);
            self.queue.add(policy, priority);
        }
        for release in index.take_waiters(place) {
            self.release((Arc::clone(&place.1), release), Priority::Normal);
        }
    }

    /// Puts everything into the queue: a kind became known, or is no more. Also the policies and experiments that have gone while
    /// not all was known: something is kept of them.
    pub fn wake_all(&self, store: &Store) {
        if !store.all_known() {
            return;
        }
        let kept = self.index().policies();
        for key in store.names(&KindRef::Known(Kind::RoutePolicy)).into_iter().chain(kept) {
            self.policy(key, Priority::High);
        }
        for key in store.names(&KindRef::Known(Kind::Release)) {
            self.release(key, Priority::Normal);
        }
        self.all_experiments(store);
        for key in self.targets.experiments() {
            self.experiments.add((Kind::Experiment, key), Priority::Normal);
        }
    }

    /// Replaces what a policy is woken by.
    pub fn refer(&self, policy: &Key, references: &References) -> Referred {
        let referred = self.index().set(policy, references);
        for heir in &referred.heirs {
            self.policy((Arc::clone(&policy.0), Arc::clone(heir)), Priority::High);
        }
        referred
    }

    /// The objects of this owner that were deleted since this was last asked.
    pub fn take_lost(&self, owner: Kind, key: &Key) -> Lost {
        self.index().take_lost(&(owner, key.clone()))
    }

    /// The other policies that ask for the same route.
    pub fn rivals(&self, kind: Kind, policy: &Key, route: &str) -> Vec<Arc<str>> {
        let place = (KindRef::Known(kind), Arc::clone(&policy.0), Arc::from(route));
        self.index()
            .referrers(&place)
            .filter(|name| **name != policy.1)
            .cloned()
            .collect()
    }

    /// Wakes the Release when the object changes.
    pub fn wait_for(&self, kind: Kind, release: &Key, name: &str) {
        let place = (KindRef::Known(kind), Arc::clone(&release.0), Arc::from(name));
        self.index().wait(place, &release.1);
    }

    /// Forgets what a Release waits for that is gone.
    pub fn forget(&self, release: &Key) {
        self.index().forget(release);
    }

    /// Since when an object has been ready that was not, and that the policy has not been looked at for.
    pub fn take_ready(&self, policy: &Key) -> Option<Instant> {
        let mut ready = self.ready();
        let since = ready.remove(policy)?;
        if ready.is_empty() && ready.capacity() > FEW {
            ready.shrink_to(FEW);
        }
        Some(since)
    }

    /// The route could not be written: it still waits.
    pub fn put_back_ready(&self, policy: &Key, since: Instant) {
        self.ready().insert(policy.clone(), since);
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
