//! From a change in the store to the objects that must be looked at again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Key;
use super::index::{Index, Lost, Place, References, Referred};
use super::queue::Queue;
use crate::cluster::{Change, Store};
use crate::model::kind::{Kind, KindRef};

/// How long a Release waits after a change of what it is made of. What a route needs is done by its RoutePolicy, at once:
/// the Release only reports it, or goes on with a promotion. So it is no competitor of the route for the API server, and
/// changes that belong together come in one go.
const ROUTES_FIRST: Duration = Duration::from_millis(100);

/// The queues of all reconcilers, and who is put into them by what.
#[derive(Default)]
pub struct Wakeups {
    /// Releases to reconcile.
    pub releases: Arc<Queue<Key>>,
    /// `RoutePolicies` to reconcile.
    pub policies: Arc<Queue<Key>>,
    index: Mutex<Index>,
}

impl Wakeups {
    /// Puts everything into the queues that depends on the changed object.
    pub fn on_change(&self, store: &Store, change: &Change) {
        let key = (Arc::clone(&change.namespace), Arc::clone(&change.name));
        match &change.kind {
            KindRef::Known(Kind::Release) => {
                self.releases.add(key);
                return;
            }
            KindRef::Known(Kind::RoutePolicy) => self.policies.add(key),
            // Whoever wrote one of these goes on to look at it by itself.
            _ if change.written => {}
            _ => self.wake_owners(store, change),
        }
        if change.kind == KindRef::Known(Kind::RoutePolicy) {
            self.wake_owners(store, change);
        }
        let place = (
            change.kind.clone(),
            Arc::clone(&change.namespace),
            Arc::clone(&change.name),
        );
        self.wake_dependants(&place);
    }

    fn wake_owners(&self, store: &Store, change: &Change) {
        let (before, now) = (change.controller_before, change.controller_now);
        for uid in before.into_iter().chain(now.filter(|now| Some(*now) != before)) {
            let Some((owner, namespace, name)) = store.owner(uid) else {
                continue;
            };
            let key = (namespace, name);
            if let (true, KindRef::Known(kind)) = (change.gone, &change.kind) {
                self.index().lose((owner, key.clone()), *kind, &change.name);
            }
            match owner {
                Kind::Release => self.releases.add_after(key, ROUTES_FIRST),
                _ => self.policies.add(key),
            }
        }
        if now.is_none()
            && let Some(object) = store.get(&change.kind, &change.namespace, &change.name)
            && let Some(release) = &object.meta.adoptable_by
        {
            self.releases
                .add((Arc::clone(&change.namespace), Arc::from(&**release)));
        }
    }

    fn wake_dependants(&self, place: &Place) {
        let mut index = self.index();
        for policy in index.referrers(place) {
            self.policies.add((Arc::clone(&place.1), Arc::clone(policy)));
        }
        for release in index.take_waiters(place) {
            self.releases.add((Arc::clone(&place.1), release));
        }
    }

    /// Puts everything into the queues: a kind became known, or is no more.
    pub fn wake_all(&self, store: &Store) {
        for key in store.names(&KindRef::Known(Kind::RoutePolicy)) {
            self.policies.add(key);
        }
        for key in store.names(&KindRef::Known(Kind::Release)) {
            self.releases.add(key);
        }
    }

    /// Replaces what a policy is woken by.
    pub fn refer(&self, policy: &Key, references: References) -> Referred {
        let referred = self.index().set(policy, references);
        for heir in &referred.heirs {
            self.policies.add((Arc::clone(&policy.0), Arc::clone(heir)));
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

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
