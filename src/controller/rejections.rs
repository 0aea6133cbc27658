//! What the API server refused: the same request is not sent again before it would be another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Key;
use crate::model::kind::Kind;
use crate::plan::{Failure, Precondition};

/// Refused objects, each with what was refused.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<HashMap<Key, Refused>>);

/// What was refused for one owner.
type Refused = HashMap<(Kind, String), (Request, Failure)>;

/// A request: the digest of the object, and what it was to be written over. Without the one that was in the way, the
/// same object may be taken.
pub type Request = (u64, Precondition);

impl Rejections {
    /// Why exactly this object was refused for this owner before.
    pub fn find(&self, owner: &Key, kind: Kind, name: &str, request: Request) -> Option<Failure> {
        let all = self.lock();
        let (refused, failure) = all.get(owner)?.get(&(kind, name.to_owned()))?;
        (without_version(*refused) == without_version(request)).then(|| failure.clone())
    }

    /// Remembers a refusal.
    pub fn add(&self, owner: &Key, kind: Kind, name: &str, request: Request, failure: Failure) {
        self.lock()
            .entry(owner.clone())
            .or_default()
            .insert((kind, name.to_owned()), (request, failure));
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

/// A resourceVersion moves with every status; the request stays the same.
fn without_version((digest, precondition): Request) -> Request {
    let precondition = match precondition {
        Precondition::UidAndVersion(uid, _) => Precondition::Uid(uid),
        other => other,
    };
    (digest, precondition)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::observed::Uid;

    #[test]
    fn what_was_refused_over_an_object_is_tried_again_once_that_object_is_gone() {
        let rejections = Rejections::default();
        let owner: Key = (Arc::from("default"), Arc::from("web"));
        let failure = Failure::stalled("ImmutableField", "spec.selector");
        let find = |precondition| rejections.find(&owner, Kind::Deployment, "web-0", (7, precondition));
        rejections.add(
            &owner,
            Kind::Deployment,
            "web-0",
            (7, Precondition::UidAndVersion(Uid(1), 5)),
            failure.clone(),
        );
        assert_eq!(find(Precondition::UidAndVersion(Uid(1), 6)), Some(failure));
        assert_eq!(find(Precondition::Absent), None);
        assert_eq!(find(Precondition::Uid(Uid(2))), None);
    }
}
