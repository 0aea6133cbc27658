//! Who is to be woken by which object: references from `RoutePolicies`, claims on routes, and Releases that wait for a
//! name to become free.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::Key;
use crate::model::kind::{Kind, KindRef};

/// An object: kind, namespace, name.
pub type Place = (KindRef, Arc<str>, Arc<str>);

/// The references of one `RoutePolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The objects that its versions are made of, and their weight `ConfigMap`s.
    pub objects: BTreeSet<(KindRef, String)>,
    /// The route that it asks for.
    pub route: Option<(Kind, String)>,
}

/// The index. Bounded by the number of policies, their references, and of Releases with a conflict or a loss.
///
/// Of what policies name only the digest is kept: should two places ever have the same, a policy is woken for nothing.
#[derive(Debug, Default)]
pub struct Index {
    policies: HashMap<Key, Held>,
    /// The names of policies, by what they name.
    referrers: BTreeSet<(u64, Arc<str>)>,
    digests: RandomState,
    waiters: HashMap<Place, BTreeSet<Arc<str>>>,
    kinds: HashMap<KindRef, usize>,
    lost: HashMap<(Kind, Key), Lost>,
}

/// The references of one policy, as they are kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    /// The objects and the route.
    places: Box<[u64]>,
    route: Option<u64>,
    /// The kinds that are none of ours.
    kinds: Box<[KindRef]>,
}

/// Objects that were deleted.
pub type Lost = BTreeSet<(Kind, Arc<str>)>;

/// What follows from new references.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Referred {
    /// Named now, and not before.
    pub opened: Vec<KindRef>,
    /// Named by nobody any more.
    pub closed: Vec<KindRef>,
    /// Other policies that ask for the route that this one no longer asks for.
    pub heirs: Vec<Arc<str>>,
}

impl Index {
    /// Replaces the references of a policy; with `References::default()` it is forgotten.
    pub fn set(&mut self, policy: &Key, now: &References) -> Referred {
        let now = self.held(&policy.0, now);
        let before = self.policies.remove(policy).unwrap_or_default();
        let mut named = Referred::default();
        if before != now {
            self.count(&now, &before, &mut named);
            for place in &before.places {
                self.referrers.remove(&(*place, Arc::clone(&policy.1)));
            }
            for place in &now.places {
                self.referrers.insert((*place, Arc::clone(&policy.1)));
            }
            if before.route != now.route {
                let left = before.route.into_iter();
                named.heirs = left.flat_map(|route| self.referrers_at(route)).cloned().collect();
            }
        }
        if now != Held::default() {
            self.policies.insert(policy.clone(), now);
        }
        named
    }

    /// The policies that name anything.
    pub fn policies(&self) -> Vec<Key> {
        self.policies.keys().cloned().collect()
    }

    fn held(&self, namespace: &Arc<str>, references: &References) -> Held {
        let digest = |kind: &KindRef, name: &str| self.digests.hash_one((kind, &**namespace, name));
        let objects = references.objects.iter();
        let route = references.route.as_ref();
        let route = route.map(|(kind, name)| digest(&KindRef::Known(*kind), name));
        Held {
            places: objects.map(|(kind, name)| digest(kind, name)).chain(route).collect(),
            route,
            kinds: other_kinds(references).into_iter().collect(),
        }
    }

    fn count(&mut self, now: &Held, before: &Held, named: &mut Referred) {
        for kind in &now.kinds {
            let count = self.kinds.entry(kind.clone()).or_default();
            *count += 1;
            if *count == 1 {
                named.opened.push(kind.clone());
            }
        }
        for kind in &before.kinds {
            let Some(count) = self.kinds.get_mut(kind) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(kind);
                named.closed.push(kind.clone());
            }
        }
        // Opened and closed in one go: it was open all along.
        let both: Vec<KindRef> = named
            .opened
            .iter()
            .filter(|kind| named.closed.contains(kind))
            .cloned()
            .collect();
        named.opened.retain(|kind| !both.contains(kind));
        named.closed.retain(|kind| !both.contains(kind));
    }

    /// The policies that name the object, or ask for it as their route.
    pub fn referrers(&self, (kind, namespace, name): &Place) -> impl Iterator<Item = &Arc<str>> {
        self.referrers_at(self.digests.hash_one((kind, &**namespace, &**name)))
    }

    fn referrers_at(&self, digest: u64) -> impl Iterator<Item = &Arc<str>> {
        let from = (digest, Arc::from(""));
        let found = self.referrers.range(from..).take_while(move |(at, _)| *at == digest);
        found.map(|(_, policy)| policy)
    }

    /// Notes that a Release waits for a name to become free.
    pub fn wait(&mut self, place: Place, release: &Arc<str>) {
        self.waiters.entry(place).or_default().insert(Arc::clone(release));
    }

    /// The Releases that waited for a change of the object; they wait no more.
    pub fn take_waiters(&mut self, place: &Place) -> BTreeSet<Arc<str>> {
        self.waiters.remove(place).unwrap_or_default()
    }

    /// Forgets what a Release waits for that is gone.
    pub fn forget(&mut self, release: &Key) {
        self.waiters.retain(|(_, namespace, _), releases| {
            if *namespace == release.0 {
                releases.remove(&release.1);
            }
            !releases.is_empty()
        });
    }

    /// Notes that an object of this owner was deleted.
    pub fn lose(&mut self, owner: (Kind, Key), kind: Kind, name: &Arc<str>) {
        self.lost.entry(owner).or_default().insert((kind, Arc::clone(name)));
    }

    /// The objects of this owner that were deleted since this was last asked.
    pub fn take_lost(&mut self, owner: &(Kind, Key)) -> Lost {
        self.lost.remove(owner).unwrap_or_default()
    }
}

fn other_kinds(references: &References) -> BTreeSet<KindRef> {
    let kinds = references.objects.iter().map(|(kind, _)| kind.clone());
    kinds.filter(|kind| matches!(kind, KindRef::Other(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(objects: &[(&str, &str, &str)]) -> References {
        let objects = objects
            .iter()
            .map(|(api, kind, name)| (KindRef::new(api, kind), (*name).to_owned()))
            .collect();
        References { objects, route: None }
    }

    fn key(name: &str) -> Key {
        (Arc::from("default"), Arc::from(name))
    }

    fn place(api: &str, kind: &str, name: &str) -> Place {
        (KindRef::new(api, kind), Arc::from("default"), Arc::from(name))
    }

    #[test]
    fn a_policy_is_woken_by_what_it_names_until_it_names_it_no_more() {
        let mut index = Index::default();
        index.set(&key("web"), &references(&[("apps/v1", "Deployment", "web-0")]));
        let at = place("apps/v1", "Deployment", "web-0");
        assert_eq!(index.referrers(&at).map(AsRef::as_ref).collect::<Vec<_>>(), ["web"]);
        index.set(&key("web"), &references(&[("apps/v1", "Deployment", "web-1")]));
        assert_eq!(index.referrers(&at).count(), 0);
    }

    #[test]
    fn a_kind_is_opened_by_the_first_policy_and_closed_after_the_last() {
        let mut index = Index::default();
        let knative = references(&[("serving.knative.dev/v1", "Service", "web")]);
        let kind = KindRef::new("serving.knative.dev/v1", "Service");
        assert_eq!(index.set(&key("one"), &knative).opened, std::slice::from_ref(&kind));
        assert_eq!(index.set(&key("two"), &knative), Referred::default());
        assert_eq!(index.set(&key("one"), &References::default()), Referred::default());
        assert_eq!(index.set(&key("two"), &knative), Referred::default());
        assert_eq!(index.set(&key("two"), &References::default()).closed, [kind]);
    }

    #[test]
    fn a_route_that_a_policy_leaves_wakes_the_others_that_ask_for_it() {
        let mut index = Index::default();
        let asks_for = |name: &str| References {
            route: Some((Kind::VirtualService, name.to_owned())),
            ..References::default()
        };
        assert!(index.set(&key("one"), &asks_for("web")).heirs.is_empty());
        assert!(index.set(&key("two"), &asks_for("web")).heirs.is_empty());
        assert_eq!(index.set(&key("one"), &asks_for("shop")).heirs, [Arc::from("two")]);
        assert!(index.set(&key("two"), &References::default()).heirs.is_empty());
    }

    #[test]
    fn a_release_that_waits_for_a_name_is_woken_once() {
        let mut index = Index::default();
        let at = place("v1", "Service", "web");
        index.wait(at.clone(), &Arc::from("web"));
        assert_eq!(index.take_waiters(&at).len(), 1);
        assert_eq!(index.take_waiters(&at).len(), 0);
    }

    #[test]
    fn a_release_that_is_gone_waits_for_nothing() {
        let mut index = Index::default();
        let at = place("v1", "Service", "web");
        index.wait(at.clone(), &Arc::from("web"));
        index.wait(at.clone(), &Arc::from("shop"));
        index.wait(place("v1", "Service", "other"), &Arc::from("web"));
        index.forget(&key("web"));
        assert_eq!(index.waiters.len(), 1);
        assert_eq!(index.take_waiters(&at), BTreeSet::from([Arc::from("shop")]));
    }
}
