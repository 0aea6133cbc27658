//! The entries of one kind, and the indexes over all kinds.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::packed::Packed;
use super::tally::{Standing, Tally};
use super::{Change, KindState, Version};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Meta, Object, Uid};

/// What is kept of one object.
pub(super) struct Entry {
    pub(super) meta: Meta,
    body: Packed,
    /// Digests of our last apply: (desired, live in the answer).
    pub(super) applied: Option<(u64, u64)>,
    /// The list that last brought it.
    pub(super) round: u32,
    standing: Standing,
}

impl Entry {
    /// Of an object as it was read; `applied` is the digest of what was applied, if this is the answer to an apply.
    pub(super) fn new(Object { meta, body }: Object<Body>, applied: Option<u64>) -> Box<Self> {
        let object = Object { meta, body };
        Box::new(Self {
            standing: Standing::of(&object),
            body: Packed::new(&object.body),
            applied: applied.map(|desired| (desired, object.meta.digest)),
            meta: object.meta,
            round: 0,
        })
    }

    pub(super) fn object(&self) -> Object<Body> {
        Object {
            meta: self.meta.clone(),
            body: self.body.unpack(),
        }
    }
}

/// The entries of one kind, by namespace and name.
pub(super) struct Table {
    pub(super) state: KindState,
    pub(super) namespaces: HashMap<Arc<str>, HashMap<Arc<str>, Box<Entry>>>,
    /// Number of the current list.
    pub(super) round: u32,
    /// Number of the watch that fills it.
    pub(super) session: u64,
    /// The list that runs.
    listing: Option<Listing>,
    /// Of its entries.
    pub(super) tally: Tally,
}

/// A list that was asked for and is not done.
#[derive(Default)]
struct Listing {
    /// The newest resourceVersion that was known when it was asked for: it shows the cluster as it is since then.
    floor: u64,
    /// What it brought that is older than what is here, by namespace and name.
    older: HashMap<(Arc<str>, Arc<str>), Box<Entry>>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            state: KindState::Syncing,
            namespaces: HashMap::new(),
            round: 0,
            session: 0,
            listing: None,
            tally: Tally::default(),
        }
    }
}

impl Table {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Entry> {
        self.namespaces.get(namespace)?.get(name).map(AsRef::as_ref)
    }

    pub(super) fn get_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Entry> {
        self.namespaces.get_mut(namespace)?.get_mut(name).map(AsMut::as_mut)
    }

    /// The object if it is here in this version.
    pub(super) fn in_version(&mut self, (namespace, name): (&str, &str), version: Version) -> Option<&mut Entry> {
        let entry = self.get_mut(namespace, name)?;
        let Version { uid, resource_version } = version;
        ((entry.meta.uid, entry.meta.resource_version) == (uid, resource_version)).then_some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.namespaces.values().map(HashMap::len).sum()
    }

    /// Takes in an object unless a newer one is here already.
    pub(super) fn put(
        &mut self,
        kind: &KindRef,
        (namespace, name): (&str, &str),
        mut new: Box<Entry>,
        written: bool,
        index: &mut Index,
    ) -> Option<Change> {
        // Our own write is no part of the list that runs: the list may have been made before or after it.
        new.round = if written {
            self.round.wrapping_sub(1)
        } else {
            self.round
        };
        let namespace = index.namespace(namespace);
        let objects = self.namespaces.entry(Arc::clone(&namespace)).or_default();
        let Some((name, _)) = objects.get_key_value(name) else {
            let now = new.standing;
            let name: Arc<str> = name.into();
            index.add(kind, &namespace, &name, &new.meta);
            let controller_now = new.meta.controller;
            objects.insert(Arc::clone(&name), new);
            self.tally.add(now);
            return Some(Change {
                kind: kind.clone(),
                namespace,
                name,
                controller_before: None,
                controller_now,
                gone: false,
                spec: true,
                written,
                ready: now.is_ready(),
            });
        };
        let name = Arc::clone(name);
        let entry = objects.get_mut(&name)?;
        if written {
            new.round = entry.round;
        } else {
            entry.round = new.round;
        }
        if is_older(new.meta.resource_version, entry.meta.resource_version) {
            if let Some(listing) = self.listing.as_mut().filter(|_| !written) {
                listing.older.insert((namespace, name), new);
            }
            return None;
        }
        let place = (namespace, name);
        if !written {
            self.brought(&place);
        }
        self.replace(kind, place, *new, written, index)
    }

    /// Puts an object in the place of the one that is here.
    fn replace(
        &mut self,
        kind: &KindRef,
        (namespace, name): (Arc<str>, Arc<str>),
        mut new: Entry,
        written: bool,
        index: &mut Index,
    ) -> Option<Change> {
        let entry = self.get_mut(&namespace, &name)?;
        let old = &entry.meta;
        let controller_now = new.meta.controller;
        if new.applied.is_none() && old.uid == new.meta.uid {
            new.applied = entry.applied;
        }
        if *old == new.meta && entry.body == new.body {
            entry.applied = new.applied;
            return None;
        }
        let controller_before = old.controller;
        let spec = new.meta.generation == 0 || (old.uid, old.generation) != (new.meta.uid, new.meta.generation);
        if controller_before != controller_now || old.adoptable_by != new.meta.adoptable_by || old.uid != new.meta.uid {
            index.remove(kind, &namespace, &name, old);
            index.add(kind, &namespace, &name, &new.meta);
        }
        let (before, now) = (entry.standing, new.standing);
        *entry = new;
        Some(Change {
            kind: kind.clone(),
            namespace,
            name,
            controller_before,
            controller_now,
            gone: false,
            spec,
            written,
            ready: self.tally.replace(before, now),
        })
    }

    /// An event, or the list itself, has brought what is here, or newer: what it brought before is outdated.
    pub(super) fn brought(&mut self, place: &(Arc<str>, Arc<str>)) {
        if let Some(listing) = &mut self.listing {
            listing.older.remove(place);
        }
    }

    /// A list is about to be asked for.
    pub(super) fn begin_list(&mut self) {
        self.round += 1;
        let versions = self.namespaces.values().flat_map(HashMap::values);
        self.listing = Some(Listing {
            floor: versions.map(|entry| entry.meta.resource_version).max().unwrap_or(0),
            older: HashMap::new(),
        });
    }

    /// The list that runs is done, and shows the cluster at this resourceVersion. What is here and not newer than that, or
    /// than what was known when the list was asked for, is as the list shows it, or gone.
    ///
    /// It is older than what was known, or shows objects so, when etcd was restored from a backup: what was known then was
    /// of a future that is not any more.
    pub(super) fn end_list(&mut self, kind: &KindRef, version: u64, index: &mut Index) -> Vec<Change> {
        let Listing { floor, older } = self.listing.take().unwrap_or_default();
        let version = version.max(floor);
        let mut changes = Vec::new();
        for ((namespace, name), entry) in older {
            let here = self.get(&namespace, &name);
            if here.is_some_and(|here| here.meta.resource_version <= version) {
                changes.extend(self.replace(kind, (namespace, name), *entry, false, index));
            }
        }
        changes.extend(self.sweep(kind, version, index));
        changes
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
        if is_older(version, entry.meta.resource_version) {
            return None;
        }
        let (name, entry) = objects.remove_entry(name)?;
        self.tally.subtract(entry.standing);
        if objects.is_empty() {
            self.namespaces.remove(namespace);
        }
        let namespace = index.namespace(namespace);
        index.remove(kind, &namespace, &name, &entry.meta);
        Some(gone(kind, namespace, name, &entry))
    }

    /// Drops what the current list did not bring and is not newer than it.
    pub(super) fn sweep(&mut self, kind: &KindRef, version: u64, index: &mut Index) -> Vec<Change> {
        let round = self.round;
        let mut changes = Vec::new();
        let tally = &mut self.tally;
        self.namespaces.retain(|namespace, objects| {
            let stale = |entry: &Entry| entry.round != round && entry.meta.resource_version <= version;
            for (name, entry) in objects.extract_if(|_, entry| stale(entry)) {
                index.remove(kind, namespace, &name, &entry.meta);
                tally.subtract(entry.standing);
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
        if entry.meta.uid != uid || entry.meta.deleting {
            return None;
        }
        entry.meta.deleting = true;
        let controller = entry.meta.controller;
        Some(Change {
            kind: kind.clone(),
            namespace,
            name,
            controller_before: controller,
            controller_now: controller,
            gone: false,
            spec: false,
            written: true,
            ready: false,
        })
    }

    /// Takes the table's objects out of the indexes.
    pub(super) fn forget(self, kind: &KindRef, index: &mut Index) {
        for (namespace, objects) in self.namespaces {
            for (name, entry) in objects {
                index.remove(kind, &namespace, &name, &entry.meta);
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
        controller_before: entry.meta.controller,
        controller_now: None,
        gone: true,
        spec: true,
        written: false,
        ready: false,
    }
}

/// Who belongs to whom, by namespace; holds the one copy of each namespace's name.
#[derive(Default)]
pub(super) struct Index {
    namespaces: HashMap<Arc<str>, Relations>,
}

/// Children by the uid of their controller, orphans by the name of the Release that may adopt them, our own kinds by uid.
#[derive(Default)]
struct Relations {
    children: HashMap<Uid, Vec<Named>>,
    orphans: HashMap<Box<str>, Vec<Named>>,
    owners: HashMap<Uid, Named>,
}

type Named = (Kind, Arc<str>);

impl Index {
    pub(super) fn children(&self, namespace: &str, controller: Uid) -> Vec<Named> {
        let relations = self.namespaces.get(namespace);
        let children = relations.and_then(|relations| relations.children.get(&controller));
        children.cloned().unwrap_or_default()
    }

    pub(super) fn orphans(&self, namespace: &str, release: &str) -> Vec<Named> {
        let relations = self.namespaces.get(namespace);
        let orphans = relations.and_then(|relations| relations.orphans.get(release));
        orphans.cloned().unwrap_or_default()
    }

    pub(super) fn owner(&self, namespace: &str, uid: Uid) -> Option<Named> {
        self.namespaces.get(namespace)?.owners.get(&uid).cloned()
    }

    /// The one copy of a namespace's name. Kept for good: there are few.
    fn namespace(&mut self, namespace: &str) -> Arc<str> {
        if let Some((known, _)) = self.namespaces.get_key_value(namespace) {
            return Arc::clone(known);
        }
        let new: Arc<str> = namespace.into();
        self.namespaces.insert(Arc::clone(&new), Relations::default());
        new
    }

    fn add(&mut self, kind: &KindRef, namespace: &Arc<str>, name: &Arc<str>, meta: &Meta) {
        let (&KindRef::Known(kind), Some(relations)) = (kind, self.namespaces.get_mut(namespace)) else {
            return;
        };
        let named = (kind, Arc::clone(name));
        if matches!(kind, Kind::Release | Kind::RoutePolicy) {
            relations.owners.insert(meta.uid, named.clone());
        }
        if let Some(controller) = meta.controller {
            put_in(relations.children.entry(controller).or_default(), named);
        } else if let Some(release) = &meta.adoptable_by {
            put_in(relations.orphans.entry(release.clone()).or_default(), named);
        }
    }

    fn remove(&mut self, kind: &KindRef, namespace: &Arc<str>, name: &Arc<str>, meta: &Meta) {
        let (&KindRef::Known(kind), Some(relations)) = (kind, self.namespaces.get_mut(namespace)) else {
            return;
        };
        relations.owners.remove(&meta.uid);
        let is_it = |named: &Named| *named == (kind, Arc::clone(name));
        if let Some(controller) = meta.controller {
            take_out(&mut relations.children, &controller, is_it);
        } else if let Some(release) = &meta.adoptable_by {
            take_out(&mut relations.orphans, release, is_it);
        }
    }
}

/// There are many such lists, and they are short.
fn put_in(list: &mut Vec<Named>, named: Named) {
    list.reserve_exact(1);
    list.push(named);
}

fn take_out<K: Eq + Hash>(index: &mut HashMap<K, Vec<Named>>, key: &K, is_it: impl Fn(&Named) -> bool) {
    if let Some(list) = index.get_mut(key) {
        list.retain(|named| !is_it(named));
        if list.is_empty() {
            index.remove(key);
        }
    }
}
