use super::*;
use crate::model::observed::{Meta, WeightConfig};
use std::sync::Mutex;

const KIND: KindRef = KindRef::Known(Kind::ConfigMap);

/// A store with one open kind, that notes what it tells.
struct Fixture {
    store: Store,
    session: u64,
    changes: Arc<Mutex<Vec<Change>>>,
    states: Arc<Mutex<Vec<KindState>>>,
}

impl Fixture {
    fn new() -> Self {
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let states: Arc<Mutex<Vec<KindState>>> = Arc::default();
        let (told_changes, told_states) = (Arc::clone(&changes), Arc::clone(&states));
        let store = Store::new(
            Arc::new(move |change| told_changes.lock().unwrap().push(change.clone())),
            Arc::new(move |changed| told_states.lock().unwrap().push(changed.state.clone())),
        );
        let session = store.open(&KIND);
        Self {
            store,
            session,
            changes,
            states,
        }
    }

    fn put(&self, seen: Seen) {
        self.store.put(&KIND, self.session, seen);
    }

    fn remove(&self, seen: &Seen) {
        self.store.remove(&KIND, self.session, seen);
    }

    fn list(&self, objects: impl IntoIterator<Item = Seen>, version: u64) {
        self.store.list_begins(&KIND, self.session);
        objects.into_iter().for_each(|seen| self.put(seen));
        self.store.list_done(&KIND, self.session, version);
    }

    fn version(&self, name: &str) -> Option<u64> {
        self.store
            .get(&KIND, "shop", name)
            .map(|object| object.meta.resource_version)
    }

    fn told(&self) -> Vec<String> {
        let changes = std::mem::take(&mut *self.changes.lock().unwrap());
        let line = |c: Change| {
            let mut line = c.name.to_string();
            for (flag, word) in [(c.gone, " gone"), (c.written, " written")] {
                line.push_str(if flag { word } else { "" });
            }
            line
        };
        changes.into_iter().map(line).collect()
    }
}

fn seen(name: &str, uid: u128, resource_version: u64) -> Seen {
    Seen {
        namespace: "shop".into(),
        name: name.into(),
        object: Object {
            meta: Meta {
                uid: Uid(uid),
                resource_version,
                ..Meta::default()
            },
            body: Body::ConfigMap(WeightConfig::default()),
        },
    }
}

fn child(name: &str, uid: u128, resource_version: u64, controller: u128) -> Seen {
    let mut seen = seen(name, uid, resource_version);
    seen.object.meta.controller = Some(Uid(controller));
    seen
}

fn with_digest(mut seen: Seen, digest: u64) -> Seen {
    seen.object.meta.digest = digest;
    seen
}

#[test]
fn an_older_event_changes_nothing() {
    let f = Fixture::new();
    f.put(seen("a", 1, 20));
    f.put(seen("a", 1, 10));
    assert_eq!(f.version("a"), Some(20));
    assert_eq!(f.told(), ["a"]);
}

#[test]
fn the_event_of_our_own_write_is_not_told_again() {
    let f = Fixture::new();
    f.store.write_through(Kind::ConfigMap, seen("a", 1, 20), Some(7));
    f.put(seen("a", 1, 20));
    assert_eq!(f.told(), ["a written"]);
}

#[test]
fn an_older_deletion_leaves_the_object_that_took_the_name() {
    let f = Fixture::new();
    f.put(seen("a", 2, 20));
    f.remove(&seen("a", 1, 15));
    assert_eq!(f.version("a"), Some(20));
    f.remove(&seen("a", 2, 25));
    assert_eq!(f.version("a"), None);
    assert_eq!(f.told(), ["a", "a gone"]);
}

#[test]
fn what_a_new_list_lacks_is_gone() {
    let f = Fixture::new();
    f.list([seen("a", 1, 10), seen("b", 2, 11)], 12);
    f.list([seen("b", 2, 11), seen("c", 3, 20)], 21);
    assert_eq!(
        (f.version("a"), f.version("b"), f.version("c")),
        (None, Some(11), Some(20))
    );
    assert_eq!(f.told(), ["a", "b", "c", "a gone"]);
}

#[test]
fn nothing_is_gone_before_a_list_is_done() {
    let f = Fixture::new();
    f.list([seen("a", 1, 10)], 12);
    f.store.list_begins(&KIND, f.session);
    assert_eq!(f.version("a"), Some(10));
}

#[test]
fn what_we_wrote_after_the_list_was_made_stays() {
    let f = Fixture::new();
    f.store.list_begins(&KIND, f.session);
    f.store.write_through(Kind::ConfigMap, seen("new", 1, 30), None);
    f.store.write_through(Kind::ConfigMap, seen("deleted", 2, 20), None);
    f.store.list_done(&KIND, f.session, 25);
    assert_eq!((f.version("new"), f.version("deleted")), (Some(30), None));
}

#[test]
fn a_list_older_than_what_was_known_before_it_shows_a_cluster_that_was_restored_and_is_right() {
    let f = Fixture::new();
    f.list([seen("changed", 1, 30), seen("gone", 2, 31), seen("same", 3, 10)], 40);
    f.told();
    f.list([seen("changed", 1, 12), seen("same", 3, 10), seen("back", 4, 11)], 20);
    let versions = ["changed", "gone", "same", "back"].map(|name| f.version(name));
    assert_eq!(versions, [Some(12), None, Some(10), Some(11)]);
    assert_eq!(f.told(), ["back", "changed", "gone gone"]);
    f.put(seen("changed", 1, 21));
    assert_eq!(f.version("changed"), Some(21), "versions are ordered again");
}

#[test]
fn what_an_event_brought_while_a_list_ran_is_not_put_back_by_the_list() {
    for own_write in [true, false] {
        let f = Fixture::new();
        f.list([seen("a", 1, 10)], 20);
        f.store.list_begins(&KIND, f.session);
        if own_write {
            f.store.write_through(Kind::ConfigMap, seen("a", 1, 30), None);
        }
        f.put(seen("a", 1, 10)); // the list
        if !f.store.has(&KIND, f.session, ("shop", "a"), Some(version(1, 30))) {
            f.put(seen("a", 1, 30)); // the event
        }
        f.store.list_done(&KIND, f.session, 40);
        assert_eq!(f.version("a"), Some(30), "own write: {own_write}");
    }
}

#[test]
fn an_object_that_a_list_shows_older_than_it_was_known_before_is_as_the_list_shows_it() {
    // The restored cluster has come further meanwhile than the one before.
    let f = Fixture::new();
    f.list([seen("a", 1, 30)], 40);
    f.list([seen("a", 1, 12)], 50);
    assert_eq!(f.version("a"), Some(12));
}

#[test]
fn what_we_wrote_while_a_list_was_made_is_newer_than_the_list() {
    let f = Fixture::new();
    f.list([seen("a", 1, 10)], 12);
    f.store.list_begins(&KIND, f.session);
    f.store.write_through(Kind::ConfigMap, seen("a", 1, 30), None);
    f.put(seen("a", 1, 10));
    f.store.list_done(&KIND, f.session, 20);
    assert_eq!(f.version("a"), Some(30));
}

#[test]
fn what_we_deleted_is_read_when_a_list_brings_it_again() {
    let f = Fixture::new();
    f.list([seen("a", 1, 10)], 12);
    f.store.mark_deleting(Kind::ConfigMap, "shop", "a", Uid(1));
    f.store.list_begins(&KIND, f.session);
    assert!(!f.store.has(&KIND, f.session, ("shop", "a"), Some(version(1, 10))));
}

#[test]
fn children_are_found_by_controller_within_the_namespace() {
    let f = Fixture::new();
    f.put(child("a", 1, 10, 100));
    let mut elsewhere = child("b", 2, 11, 100);
    elsewhere.namespace = "other".into();
    f.put(elsewhere);
    let children = |uid| f.store.children("shop", Uid(uid));
    assert_eq!(children(100), [(Kind::ConfigMap, "a".into())]);
    f.put(child("a", 1, 12, 200));
    assert_eq!((children(100).len(), children(200).len()), (0, 1));
    f.remove(&child("a", 1, 13, 200));
    assert_eq!(children(200), []);
}

#[test]
fn a_change_names_the_controller_before_and_now() {
    let f = Fixture::new();
    f.put(child("a", 1, 10, 100));
    f.put(child("a", 1, 11, 200));
    f.remove(&child("a", 1, 12, 200));
    let changes = f.changes.lock().unwrap();
    let controllers: Vec<_> = changes
        .iter()
        .map(|c| (c.controller_before, c.controller_now))
        .collect();
    let (one, two) = (Some(Uid(100)), Some(Uid(200)));
    assert_eq!(controllers, [(None, one), (one, two), (two, None)]);
}

#[test]
fn our_own_kinds_are_found_by_uid() {
    let f = Fixture::new();
    let kind = KindRef::Known(Kind::Release);
    let session = f.store.open(&kind);
    f.store.put(&kind, session, seen("r", 1, 10));
    assert_eq!(f.store.owner("shop", Uid(1)), Some((Kind::Release, "r".into())));
    f.store.put(&kind, session, seen("r", 2, 20)); // deleted and made anew
    assert_eq!(f.store.owner("shop", Uid(1)), None);
    f.store.remove(&kind, session, &seen("r", 2, 21));
    assert_eq!(f.store.owner("shop", Uid(2)), None);
}

#[test]
fn an_object_is_in_sync_when_the_digests_are_equal_or_were_after_our_apply() {
    let f = Fixture::new();
    let in_sync = |desired| f.store.in_sync(Kind::ConfigMap, "shop", "a", desired);
    assert!(!in_sync(7));
    f.put(with_digest(seen("a", 1, 10), 7));
    assert!(in_sync(7));
    assert!(!in_sync(8));
    // The server stores what was applied in a form of its own.
    f.store
        .write_through(Kind::ConfigMap, with_digest(seen("a", 1, 11), 9), Some(8));
    assert!(in_sync(8));
    assert!(!in_sync(7));
    // Somebody else's write of other fields leaves the pair, one of ours breaks it.
    f.put(with_digest(seen("a", 1, 12), 9));
    assert!(in_sync(8));
    f.put(with_digest(seen("a", 1, 13), 10));
    assert!(!in_sync(8));
}

#[test]
fn drift_shows_on_what_an_earlier_process_applied_too() {
    let f = Fixture::new();
    let is_drift = || f.store.is_drift(Kind::ConfigMap, "shop", "a", 7);
    f.put(with_digest(seen("a", 1, 10), 6));
    assert!(!is_drift(), "it was never as it should be");
    f.put(with_digest(seen("a", 1, 11), 7));
    assert!(f.store.in_sync(Kind::ConfigMap, "shop", "a", 7));
    f.put(with_digest(seen("a", 1, 12), 5));
    assert!(is_drift());
}

#[test]
fn what_was_applied_is_forgotten_with_the_object() {
    let f = Fixture::new();
    f.store
        .write_through(Kind::ConfigMap, with_digest(seen("a", 1, 11), 9), Some(8));
    f.put(with_digest(seen("a", 2, 20), 9));
    assert!(!f.store.in_sync(Kind::ConfigMap, "shop", "a", 8));
}

#[test]
fn an_object_that_we_deleted_counts_as_being_deleted() {
    let f = Fixture::new();
    f.put(seen("a", 1, 10));
    f.store.mark_deleting(Kind::ConfigMap, "shop", "a", Uid(2));
    assert!(!f.store.get(&KIND, "shop", "a").unwrap().meta.deleting);
    f.store.mark_deleting(Kind::ConfigMap, "shop", "a", Uid(1));
    assert!(f.store.get(&KIND, "shop", "a").unwrap().meta.deleting);
    f.remove(&seen("a", 1, 11));
    assert_eq!(f.told(), ["a", "a written", "a gone"]);
}

#[test]
fn a_missing_kind_loses_its_objects_and_states_are_told_once() {
    let f = Fixture::new();
    assert_eq!(f.store.synced(&KIND), KindState::Syncing);
    f.list([seen("a", 1, 10)], 12);
    f.list([seen("a", 1, 10)], 13);
    f.store.set_state(&KIND, f.session, KindState::Missing);
    assert_eq!(f.version("a"), None);
    assert_eq!(f.told(), ["a", "a gone"]);
    assert_eq!(*f.states.lock().unwrap(), [KindState::Synced, KindState::Missing]);
}

#[test]
fn a_watch_that_was_closed_changes_nothing_any_more() {
    let f = Fixture::new();
    f.put(child("a", 1, 10, 100));
    f.store.close(&KIND);
    assert_eq!((f.version("a"), f.store.children("shop", Uid(100)).len()), (None, 0));
    f.store.open(&KIND);
    f.put(seen("b", 2, 11));
    f.store.list_done(&KIND, f.session, 12);
    assert_eq!((f.version("b"), f.store.synced(&KIND)), (None, KindState::Syncing));
}

#[test]
fn objects_are_listed_and_counted() {
    let f = Fixture::new();
    f.put(seen("a", 1, 10));
    f.put(seen("b", 2, 11));
    assert_eq!(f.store.names(&KIND).len(), 2);
    assert_eq!(f.store.len_by_kind(), [(KIND, 2)]);
}

#[test]
fn what_belongs_to_an_object_that_is_being_deleted_is_going_too() {
    let f = Fixture::new();
    let policies = KindRef::Known(Kind::RoutePolicy);
    let session = f.store.open(&policies);
    f.store.put(&policies, session, seen("web", 7, 1));
    let child = |uid| Meta {
        controller: Some(Uid(uid)),
        ..Meta::default()
    };
    assert!(!f.store.is_going("shop", &child(7)));
    f.store.mark_deleting(Kind::RoutePolicy, "shop", "web", Uid(7));
    assert!(f.store.is_going("shop", &child(7)));
    assert!(
        !f.store.is_going("shop", &child(8)),
        "of an owner that we do not watch nothing is known"
    );
}

#[test]
fn what_a_release_left_is_found_by_its_name_until_somebody_owns_it() {
    let fixture = Fixture::new();
    let orphan = |version| {
        let mut seen = seen("a", 1, version);
        seen.object.meta.adoptable_by = Some("web".into());
        seen
    };
    let found = || fixture.store.orphans("shop", "web").len();
    fixture.put(orphan(1));
    assert_eq!((found(), fixture.store.orphans("other", "web").len()), (1, 0));
    let mut owned = seen("a", 1, 2);
    owned.object.meta.controller = Some(Uid(7));
    fixture.put(owned);
    assert_eq!(found(), 0);
    fixture.put(orphan(3));
    assert_eq!(found(), 1);
    fixture.remove(&orphan(4));
    assert_eq!(found(), 0);
}

const fn version(uid: u128, resource_version: u64) -> Version {
    Version {
        uid: Uid(uid),
        resource_version,
    }
}

#[test]
fn the_answer_to_a_write_need_not_be_read_if_its_event_came_before() {
    let f = Fixture::new();
    f.put(with_digest(seen("a", 1, 20), 5));
    for other in [Some(version(1, 19)), Some(version(1, 21)), Some(version(2, 20)), None] {
        assert_eq!(f.store.confirm(Kind::ConfigMap, ("shop", "a"), other, Some(7)), None);
    }
    assert!(!f.store.in_sync(Kind::ConfigMap, "shop", "a", 7));
    let meta = f
        .store
        .confirm(Kind::ConfigMap, ("shop", "a"), Some(version(1, 20)), Some(7));
    assert_eq!(meta.map(|meta| meta.resource_version), Some(20));
    assert!(f.store.in_sync(Kind::ConfigMap, "shop", "a", 7));
    assert_eq!(f.told(), ["a"]);
}

#[test]
fn what_a_list_brings_again_need_not_be_read_and_stays() {
    let f = Fixture::new();
    let has = |name, version| f.store.has(&KIND, f.session, ("shop", name), version);
    f.list([seen("a", 1, 20), seen("b", 2, 21)], 30);
    f.store.list_begins(&KIND, f.session);
    assert!(has("a", Some(version(1, 20))));
    for (name, other) in [
        ("a", Some(version(1, 21))),
        ("a", Some(version(3, 20))),
        ("a", None),
        ("c", Some(version(1, 20))),
    ] {
        assert!(!has(name, other), "{name} {other:?}");
    }
    f.store.list_done(&KIND, f.session, 40);
    assert_eq!((f.version("a"), f.version("b")), (Some(20), None));
}
