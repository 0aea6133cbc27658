//! The entries of one kind, and the indexes over all kinds.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::{Change, KindState, Seen};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object, Uid};

/// What is kept of one object.
pub(super) struct Entry {
    pub(super) object: Arc<Object<Body>>,
    /// Digests of our last apply: (desired, live in the answer).
    pub(super) applied: Option<(u64, u64)>,
    /// The list that last brought it.
    round: u32,
}

/// The entries of one kind, by namespace and name.
pub(super) struct Table {
    pub(super) state: KindState,
    pub(super) namespaces: HashMap<Arc<str>, HashMap<Arc<str>, Entry>>,
    /// Number of the current list.
    pub(super) round: u32,
    /// Number of the watch that fills it.
    pub(super) session: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            state: KindState::Syncing,
            namespaces: HashMap::new(),
            round: 0,
            session: 0,
        }
    }
}

impl Table {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Entry> {
        self.namespaces.get(namespace)?.get(name)
    }

    pub(super) fn get_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Entry> {
        self.namespaces.get_mut(namespace)?.get_mut(name)
    }

    pub(super) fn len(&self) -> usize {
        self.namespaces.values().map(HashMap::len).sum()
    }

    /// Takes in an object unless a newer one is here already.
    pub(super) fn put(
        &mut self,
        kind: &KindRef,
        seen: Seen,
        applied: Option<(u64, u64)>,
        written: bool,
        index: &mut Index,
    ) -> Option<Change> {
        // Our own write is no part of the list that runs: the list may have been made before or after it.
        let round = if written {
            self.round.wrapping_sub(1)
        } else {
            self.round
        };
        let namespace = index.namespace(&seen.namespace);
        let objects = self.namespaces.entry(Arc::clone(&namespace)).or_default();
        let Some((name, _)) = objects.get_key_value(&*seen.name) else {
            let name: Arc<str> = seen.name.into();
            let controller_now = seen.object.meta.controller;
            index.add(kind, &namespace, &name, &seen.object);
            let object = Arc::new(seen.object);
            objects.insert(Arc::clone(&name), Entry { object, applied, round });
            return Some(Change {
                kind: kind.clone(),
                namespace,
                name,
                controller_before: None,
                controller_now,
                gone: false,
                spec: true,
                written,
            });
        };
        let name = Arc::clone(name);
        let entry = objects.get_mut(&name)?;
        if !written {
            entry.round = round;
        }
        let (old, new) = (&entry.object.meta, &seen.object.meta);
        if is_older(new.resource_version, old.resource_version) {
            return None;
        }
        if applied.is_some() {
            entry.applied = applied;
        } else if old.uid != new.uid {
            entry.applied = None;
        }
        if *entry.object == seen.object {
            return None;
        }
        let (controller_before, controller_now) = (old.controller, new.controller);
        let spec = new.generation == 0 || (old.uid, old.generation) != (new.uid, new.generation);
        if controller_before != controller_now || old.adoptable_by != new.adoptable_by || old.uid != new.uid {
            index.remove(kind, &namespace, &name, &entry.object);
            index.add(kind, &namespace, &name, &seen.object);
        }
        entry.object = Arc::new(seen.object);
        Some(Change {
            kind: kind.clone(),
            namespace,
            name,
            controller_before,
            controller_now,
            gone: false,
            spec,
            written,
        })
    }

    /// Drops an object that was deleted at this resourceVersion, unless a newer one of that name is here.
    pub(super) fn remove(
        &mut self,
        kind: &KindRef,
        namespace: &str,
        name: &str,
        version: u64,
        index: &mut Index,
    ) -> Option<Change> {
        let objects = self.namespaces.get_mut(namespace)?;
        let entry = objects.get(name)?;
        if is_older(version, entry.object.meta.resource_version) {
            return None;
        }
        let (name, entry) = objects.remove_entry(name)?;
        if objects.is_empty() {
            self.namespaces.remove(namespace);
        }
        let namespace = index.namespace(namespace);
        index.remove(kind, &namespace, &name, &entry.object);
        Some(gone(kind, namespace, name, &entry))
    }

    /// Drops what the current list did not bring and is not newer than it.
    pub(super) fn sweep(&mut self, kind: &KindRef, version: u64, index: &mut Index) -> Vec<Change> {
        let round = self.round;
        let mut changes = Vec::new();
        self.namespaces.retain(|namespace, objects| {
            let stale = |entry: &Entry| entry.round != round && entry.object.meta.resource_version <= version;
            for (name, entry) in objects.extract_if(|_, entry| stale(entry)) {
                index.remove(kind, namespace, &name, &entry.object);
                changes.push(gone(kind, Arc::clone(namespace), name, &entry));
            }
            objects.shrink_to_fit();
            !objects.is_empty()
        });
        changes
    }

    pub(super) fn mark_deleting(&mut self, kind: &KindRef, namespace: &str, name: &str, uid: Uid) -> Option<Change> {
        let (namespace, objects) = self.namespaces.get_key_value(namespace)?;
        let (namespace, name) = (Arc::clone(namespace), Arc::clone(objects.get_key_value(name)?.0));
        let entry = self.namespaces.get_mut(&namespace)?.get_mut(&name)?;
        if entry.object.meta.uid != uid || entry.object.meta.deleting {
            return None;
        }
        Arc::make_mut(&mut entry.object).meta.deleting = true;
        let controller = entry.object.meta.controller;
        Some(Change {
            kind: kind.clone(),
            namespace,
            name,
            controller_before: controller,
            controller_now: controller,
            gone: false,
            spec: false,
            written: true,
        })
    }

    /// Takes the table's objects out of the indexes.
    pub(super) fn forget(self, kind: &KindRef, index: &mut Index) {
        for (namespace, objects) in self.namespaces {
            for (name, entry) in objects {
                index.remove(kind, &namespace, &name, &entry.object);
            }
        }
    }
}

/// Whether a resourceVersion is older than the stored one; 0 stands for one that is no number, which cannot be told.
fn is_older(incoming: u64, stored: u64) -> bool {
    incoming != 0 && incoming < stored
}

fn gone(kind: &KindRef, namespace: Arc<str>, name: Arc<str>, entry: &Entry) -> Change {
    Change {
        kind: kind.clone(),
        namespace,
        name,
        controller_before: entry.object.meta.controller,
        controller_now: None,
        gone: true,
        spec: true,
        written: false,
    }
}

/// Children by the uid of their controller, orphans by the name of the Release that may adopt them, our own kinds by uid,
/// and one copy of each namespace's name.
#[derive(Default)]
pub(super) struct Index {
    namespaces: HashSet<Arc<str>>,
    children: HashMap<Uid, Vec<Place>>,
    orphans: HashMap<Box<str>, Vec<Place>>,
    owners: HashMap<Uid, Place>,
}

#[derive(Clone, PartialEq, Eq)]
struct Place {
    kind: Kind,
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Index {
    pub(super) fn children(&self, namespace: &str, controller: Uid) -> Vec<(Kind, Arc<str>)> {
        within(namespace, self.children.get(&controller))
    }

    pub(super) fn orphans(&self, namespace: &str, release: &str) -> Vec<(Kind, Arc<str>)> {
        within(namespace, self.orphans.get(release))
    }

    pub(super) fn owner(&self, uid: Uid) -> Option<(Kind, Arc<str>, Arc<str>)> {
        let place = self.owners.get(&uid)?;
        Some((place.kind, Arc::clone(&place.namespace), Arc::clone(&place.name)))
    }

    /// The one copy of a namespace's name. Kept for good: there are few.
    fn namespace(&mut self, namespace: &str) -> Arc<str> {
        if let Some(known) = self.namespaces.get(namespace) {
            return Arc::clone(known);
        }
        let new: Arc<str> = namespace.into();
        self.namespaces.insert(Arc::clone(&new));
        new
    }

    fn add(&mut self, kind: &KindRef, namespace: &Arc<str>, name: &Arc<str>, object: &Object<Body>) {
        let &KindRef::Known(kind) = kind else { return };
        let place = Place {
            kind,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
        };
        if matches!(kind, Kind::Release | Kind::RoutePolicy) {
            self.owners.insert(object.meta.uid, place.clone());
        }
        if let Some(controller) = object.meta.controller {
            self.children.entry(controller).or_default().push(place);
        } else if let Some(release) = &object.meta.adoptable_by {
            self.orphans.entry(release.clone()).or_default().push(place);
        }
    }

    fn remove(&mut self, kind: &KindRef, namespace: &Arc<str>, name: &Arc<str>, object: &Object<Body>) {
        let &KindRef::Known(kind) = kind else { return };
        self.owners.remove(&object.meta.uid);
        let is_it = |place: &Place| place.kind == kind && place.namespace == *namespace && place.name == *name;
        if let Some(controller) = object.meta.controller {
            take_out(&mut self.children, &controller, is_it);
        } else if let Some(release) = &object.meta.adoptable_by {
            take_out(&mut self.orphans, release, is_it);
        }
    }
}

fn within(namespace: &str, places: Option<&Vec<Place>>) -> Vec<(Kind, Arc<str>)> {
    let places = places.into_iter().flatten();
    places
        .filter(|place| &*place.namespace == namespace)
        .map(|place| (place.kind, Arc::clone(&place.name)))
        .collect()
}

fn take_out<K: Eq + Hash>(index: &mut HashMap<K, Vec<Place>>, key: &K, is_it: impl Fn(&Place) -> bool) {
    if let Some(places) = index.get_mut(key) {
        places.retain(|place| !is_it(place));
        if places.is_empty() {
            index.remove(key);
        }
    }
}
