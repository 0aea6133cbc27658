//! What the API server refused: the same request is not sent again before it would be another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Key;
use crate::model::kind::Kind;
use crate::model::observed::{Meta, Uid};
use crate::plan::Failure;

/// A write, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Digest of the object that is wanted.
    pub desired: u64,
    /// Uid and generation of the object as it is; of a kind without generation, its resourceVersion. `None`: there is
    /// none.
    pub live: Option<(Uid, u64)>,
}

impl Attempt {
    /// At this object, as it is, if there is one.
    pub fn new(desired: u64, live: Option<&Meta>) -> Self {
        let state = |meta: &Meta| u64::try_from(meta.generation).ok().filter(|generation| *generation > 0);
        Self {
            desired,
            live: live.map(|meta| (meta.uid, state(meta).unwrap_or(meta.resource_version))),
        }
    }
}

/// Refused objects, each with what was refused.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<HashMap<Key, Refused>>);

/// What was refused for one owner.
type Refused = HashMap<(Kind, String), (Attempt, Failure)>;

impl Rejections {
    /// Whether anything was refused for this owner.
    pub fn any(&self, owner: &Key) -> bool {
        self.lock().contains_key(owner)
    }

    /// Why exactly this object was refused for this owner before.
    pub fn find(&self, owner: &Key, kind: Kind, name: &str, attempt: Attempt) -> Option<Failure> {
        let all = self.lock();
        let (refused, failure) = all.get(owner)?.get(&(kind, name.to_owned()))?;
        (*refused == attempt).then(|| failure.clone())
    }

    /// Remembers a refusal.
    pub fn add(&self, owner: &Key, kind: Kind, name: &str, attempt: Attempt, failure: Failure) {
        self.lock()
            .entry(owner.clone())
            .or_default()
            .insert((kind, name.to_owned()), (attempt, failure));
    }

    /// Forgets what was refused for this object, as it was taken now.
    pub fn remove(&self, owner: &Key, kind: Kind, name: &str) {
        let mut all = self.lock();
        if let Some(of_owner) = all.get_mut(owner) {
            of_owner.remove(&(kind, name.to_owned()));
            if of_owner.is_empty() {
                all.remove(owner);
            }
        }
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: &Key) {
        self.lock().remove(owner);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_was_refused_over_an_object_is_tried_again_once_that_object_is_another() {
        let rejections = Rejections::default();
        let owner: Key = (Arc::from("default"), Arc::from("web"));
        let failure = Failure::stalled("ImmutableField", "spec.selector");
        let meta = |uid, generation, resource_version| Meta {
            uid: Uid(uid),
            generation,
            resource_version,
            ..Meta::default()
        };
        let find = |live: Option<&Meta>| rejections.find(&owner, Kind::Deployment, "web-0", Attempt::new(7, live));
        let add = |live: &Meta| {
            let attempt = Attempt::new(7, Some(live));
            rejections.add(&owner, Kind::Deployment, "web-0", attempt, failure.clone());
        };
        add(&meta(1, 5, 10));
        assert_eq!(find(Some(&meta(1, 5, 10))), Some(failure.clone()));
        assert_eq!(find(Some(&meta(1, 5, 11))), Some(failure.clone()), "its status changed");
        for (live, other) in [
            (None, "it is gone"),
            (Some(&meta(2, 5, 10)), "it was made anew"),
            (Some(&meta(1, 6, 11)), "it was edited"),
        ] {
            assert_eq!(find(live), None, "{other}");
        }
        // As Services and ConfigMaps are.
        add(&meta(1, 0, 10));
        assert_eq!(find(Some(&meta(1, 0, 10))), Some(failure.clone()));
        assert_eq!(find(Some(&meta(1, 0, 11))), None, "what has no generation was edited");
    }
}
