//! What is known of the cluster: small entries by kind, namespace and name, filled from watch events and from the
//! answers to our own writes.
//!
//! An entry is only ever replaced by a newer one: within a kind resourceVersions are ordered (KEP-5504), and a watch
//! event may arrive after the answer to a later write. But they go back when etcd is restored from a backup: then a list
//! is older than what was known when it was asked for, which lists never are else, and is right.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Meta, Object, Uid};

mod packed;
mod table;
mod tally;

pub use tally::Tally;

use table::{Entry, Index, Table};

/// A change of an object, told after the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: KindRef,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The controller ownerReference that it had.
    pub controller_before: Option<Uid>,
    /// The controller ownerReference that it has.
    pub controller_now: Option<Uid>,
    /// Whether it is gone.
    pub gone: bool,
    /// Whether its spec may have changed: its `metadata.generation` did, or it has none.
    pub spec: bool,
    /// Whether it comes from the answer to a write of our own.
    pub written: bool,
    /// Whether it has become ready.
    pub ready: bool,
}

/// Whether the store knows all objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindState {
    /// Not yet.
    Syncing,
    /// Not yet: its first list has failed, and is tried again; why.
    Unlisted(Arc<str>),
    /// Yes.
    Synced,
    /// The API server does not have the kind.
    Missing,
    /// We may not watch it; the rule to add.
    Forbidden(Arc<str>),
}

/// A kind that synced, went missing or became forbidden, told after the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindChanged {
    /// The kind.
    pub kind: KindRef,
    /// What it is now.
    pub state: KindState,
}

/// Told of every change of an object. Called without any lock held; must not block.
pub type OnChange = Arc<dyn Fn(&Change) + Send + Sync>;
/// Told of every change of a kind's state. Called without any lock held; must not block.
pub type OnKindChanged = Arc<dyn Fn(&KindChanged) + Send + Sync>;

/// A version of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: u64,
}

/// An object as it was read: where it is, and what is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its namespace; empty for an object outside of any.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What is kept.
    pub object: Object<Body>,
}

/// The store. Cheap to read from many tasks: a read holds its lock for one look-up.
pub struct Store {
    inner: RwLock<Inner>,
    on_change: OnChange,
    on_kind: OnKindChanged,
}

#[derive(Default)]
struct Inner {
    tables: HashMap<KindRef, Table>,
    index: Index,
    sessions: u64,
}

impl Store {
    /// An empty store that tells these of every change.
    pub fn new(on_change: OnChange, on_kind: OnKindChanged) -> Self {
        Self {
            inner: RwLock::default(),
            on_change,
            on_kind,
        }
    }

    /// The object, if it is known.
    pub fn get(&self, kind: &KindRef, namespace: &str, name: &str) -> Option<Arc<Object<Body>>> {
        let inner = self.read();
        let entry = inner.tables.get(kind)?.get(namespace, name)?;
        Some(Arc::new(entry.object()))
    }

    /// The object's metadata, if it is known.
    pub fn meta(&self, kind: &KindRef, namespace: &str, name: &str) -> Option<Meta> {
        let inner = self.read();
        let entry = inner.tables.get(kind)?.get(namespace, name)?;
        Some(entry.meta.clone())
    }

    /// The objects of our kinds in this namespace whose controller ownerReference is this uid, in no order.
    pub fn children(&self, namespace: &str, controller: Uid) -> Vec<(Kind, Arc<str>)> {
        self.read().index.children(namespace, controller)
    }

    /// The objects of our kinds in this namespace that a Release of this name may adopt, in no order.
    pub fn orphans(&self, namespace: &str, release: &str) -> Vec<(Kind, Arc<str>)> {
        self.read().index.orphans(namespace, release)
    }

    /// Kind and name of the Release or RoutePolicy in this namespace with this uid.
    pub fn owner(&self, namespace: &str, uid: Uid) -> Option<(Kind, Arc<str>)> {
        self.read().index.owner(namespace, uid)
    }

    /// Whether the object in this namespace, or the Release or RoutePolicy that it belongs to, is being deleted: neither
    /// gets a write.
    pub fn is_going(&self, namespace: &str, meta: &Meta) -> bool {
        let owner = meta.controller.and_then(|uid| self.owner(namespace, uid));
        let owner = owner.and_then(|(kind, name)| self.meta(&KindRef::Known(kind), namespace, &name));
        meta.deleting || owner.is_some_and(|owner| owner.deleting)
    }

    /// Namespace and name of every object of a kind, in no order: to reconcile all of them.
    pub fn names(&self, kind: &KindRef) -> Vec<(Arc<str>, Arc<str>)> {
        let inner = self.read();
        let Some(table) = inner.tables.get(kind) else {
            return Vec::new();
        };
        let names = table.namespaces.iter();
        names
            .flat_map(|(ns, objects)| objects.keys().map(|name| (Arc::clone(ns), Arc::clone(name))))
            .collect()
    }

    /// Whether all objects of the kind are known; `Syncing` for a kind that nobody opened.
    pub fn synced(&self, kind: &KindRef) -> KindState {
        let inner = self.read();
        inner
            .tables
            .get(kind)
            .map_or(KindState::Syncing, |table| table.state.clone())
    }

    /// Whether the first lists of all kinds that are always watched are in, or have failed: nothing is written from half a
    /// picture.
    pub fn all_known(&self) -> bool {
        let inner = self.read();
        Kind::ALL.into_iter().all(|kind| {
            let table = inner.tables.get(&KindRef::Known(kind));
            table.is_some_and(|table| table.state != KindState::Syncing)
        })
    }

    /// Whether all objects of any kind that is always watched are known.
    pub fn any_synced(&self) -> bool {
        let inner = self.read();
        Kind::ALL.into_iter().any(|kind| {
            let table = inner.tables.get(&KindRef::Known(kind));
            table.is_some_and(|table| table.state == KindState::Synced)
        })
    }

    /// Number of objects by kind, in the order of kinds.
    pub fn len_by_kind(&self) -> Vec<(KindRef, usize)> {
        let inner = self.read();
        let tables = inner.tables.iter();
        let mut counts: Vec<_> = tables.map(|(kind, table)| (kind.clone(), table.len())).collect();
        counts.sort();
        counts
    }

    /// What is known of each kind, and how many of its objects are ready, in no order. As cheap for many objects as for few.
    pub fn tallies(&self) -> Vec<(KindRef, KindState, Tally)> {
        let inner = self.read();
        let tables = inner.tables.iter();
        tables
            .map(|(kind, table)| (kind.clone(), table.state.clone(), table.tally))
            .collect()
    }

    /// Whether the live object is what an apply of an object with this digest leaves: no write is needed.
    ///
    /// It is so when the digests are equal, or when this pair of digests was that of our last apply (the server may
    /// write what it was given in a form of its own). The pair is remembered, so that drift shows also when the apply was
    /// one of an earlier process.
    pub fn in_sync(&self, kind: Kind, namespace: &str, name: &str, desired: u64) -> bool {
        let kind = KindRef::Known(kind);
        let state = {
            let inner = self.read();
            let entry = inner.tables.get(&kind).and_then(|table| table.get(namespace, name));
            entry.map(|entry| (entry.meta.digest, entry.applied))
        };
        match state {
            Some((live, Some(applied))) if applied == (desired, live) => true,
            Some((live, _)) if live == desired => {
                let mut inner = self.write();
                let table = inner.tables.get_mut(&kind);
                let entry = table.and_then(|table| table.get_mut(namespace, name));
                if let Some(entry) = entry.filter(|entry| entry.meta.digest == live) {
                    entry.applied = Some((desired, live));
                }
                true
            }
            _ => false,
        }
    }

    /// Whether the object was as an apply of this digest leaves it, and somebody changed it since.
    pub fn is_drift(&self, kind: Kind, namespace: &str, name: &str, desired: u64) -> bool {
        let inner = self.read();
        let table = inner.tables.get(&KindRef::Known(kind));
        let entry = table.and_then(|table| table.get(namespace, name));
        entry.is_some_and(|entry| {
            entry
                .applied
                .is_some_and(|(applied, left)| applied == desired && left != entry.meta.digest)
        })
    }

    /// Takes in the answer to a write of our own. `desired` is the digest of what was applied, if it was a whole object.
    pub fn write_through(&self, kind: Kind, seen: Seen, desired: Option<u64>) {
        let kind = KindRef::Known(kind);
        let entry = Entry::new(seen.object, desired);
        let change = {
            let mut inner = self.write();
            let Inner { tables, index, .. } = &mut *inner;
            let table = tables.entry(kind.clone()).or_default();
            table.put(&kind, (&seen.namespace, &seen.name), entry, true, index)
        };
        self.tell(change);
    }

    /// The metadata of an object that is here in this version, as the event of our write came before its answer: the answer
    /// need not be read. `desired` as in `write_through`.
    pub fn confirm(
        &self,
        kind: Kind,
        place: (&str, &str),
        version: Option<Version>,
        desired: Option<u64>,
    ) -> Option<Meta> {
        let mut inner = self.write();
        let table = inner.tables.get_mut(&KindRef::Known(kind))?;
        let entry = table.in_version(place, version?)?;
        if let Some(desired) = desired {
            entry.applied = Some((desired, entry.meta.digest));
        }
        Some(entry.meta.clone())
    }

    /// Notes that our DELETE of this object was accepted: it counts as being deleted until its event arrives.
    pub fn mark_deleting(&self, kind: Kind, namespace: &str, name: &str, uid: Uid) {
        let kind = KindRef::Known(kind);
        let change = {
            let mut inner = self.write();
            let table = inner.tables.get_mut(&kind);
            table.and_then(|table| table.mark_deleting(&kind, namespace, name, uid))
        };
        self.tell(change);
    }

    /// Starts to keep a kind; the number tells later events of this watch from those of an earlier one.
    pub fn open(&self, kind: &KindRef) -> u64 {
        let mut inner = self.write();
        inner.sessions += 1;
        let session = inner.sessions;
        inner.tables.entry(kind.clone()).or_default().session = session;
        session
    }

    /// Forgets a kind without telling anybody.
    pub fn close(&self, kind: &KindRef) {
        let mut inner = self.write();
        if let Some(table) = inner.tables.remove(kind) {
            table.forget(kind, &mut inner.index);
        }
    }

    /// A list is about to be asked for: what it does not bring is gone when it is done.
    pub fn list_begins(&self, kind: &KindRef, session: u64) {
        self.with(kind, session, |table, _| {
            table.begin_list();
            Vec::new()
        });
    }

    /// Whether an object that a watch or a list brought is here in this version, and need not be read.
    pub fn has(&self, kind: &KindRef, session: u64, place: (&str, &str), version: Option<Version>) -> bool {
        let mut inner = self.write();
        let table = inner.tables.get_mut(kind).filter(|table| table.session == session);
        let (Some(table), Some(version)) = (table, version) else {
            return false;
        };
        // After a backup was restored another object may have the number of one that is known; and one that we deleted may
        // be back.
        if table.state != KindState::Synced {
            return false;
        }
        let round = table.round;
        let entry = table.in_version(place, version).filter(|entry| !entry.meta.deleting);
        let has = entry.map(|entry| entry.round = round).is_some();
        if has {
            table.brought(&(place.0.into(), place.1.into()));
        }
        has
    }

    /// An object that a watch or a list brought.
    pub fn put(&self, kind: &KindRef, session: u64, seen: Seen) {
        let entry = Entry::new(seen.object, None);
        self.with(kind, session, |table, index| {
            let place = (&*seen.namespace, &*seen.name);
            table.put(kind, place, entry, false, index).into_iter().collect()
        });
    }

    /// An object that was deleted, as it was last.
    pub fn remove(&self, kind: &KindRef, session: u64, seen: &Seen) {
        self.with(kind, session, |table, index| {
            let version = seen.object.meta.resource_version;
            table
                .remove(kind, &seen.namespace, &seen.name, version, index)
                .into_iter()
                .collect()
        });
    }

    /// A list is done that shows the cluster at this resourceVersion; what it did not bring, and nobody has written
    /// since, is gone.
    pub fn list_done(&self, kind: &KindRef, session: u64, resource_version: u64) {
        self.with(kind, session, |table, index| {
            table.end_list(kind, resource_version, index)
        });
        self.set_state(kind, session, KindState::Synced);
    }

    /// Sets a kind's state; a missing kind loses its objects.
    pub fn set_state(&self, kind: &KindRef, session: u64, state: KindState) {
        let mut changed = false;
        self.with(kind, session, |table, index| {
            changed = table.state != state;
            table.state = state.clone();
            if state == KindState::Missing {
                table.round += 1;
                return table.sweep(kind, u64::MAX, index);
            }
            Vec::new()
        });
        if changed {
            (self.on_kind)(&KindChanged {
                kind: kind.clone(),
                state,
            });
        }
    }

    fn with(&self, kind: &KindRef, session: u64, act: impl FnOnce(&mut Table, &mut Index) -> Vec<Change>) {
        let changes = {
            let mut inner = self.write();
            let Inner { tables, index, .. } = &mut *inner;
            match tables.get_mut(kind) {
                Some(table) if table.session == session => act(table, index),
                _ => Vec::new(),
            }
        };
        self.tell(changes);
    }

    fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            (self.on_change)(&change);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
