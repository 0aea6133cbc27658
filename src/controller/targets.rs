//! Which experiment has which target: in a namespace, one at a time, the others in order of their creation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Key;

/// When an experiment was made, in seconds since 1970, and its name: who comes first.
type Turn = (i64, Arc<str>);

/// A target in a namespace.
type Target = (Arc<str>, Arc<str>);

/// The experiments that have not ended, by target.
#[derive(Debug, Default)]
pub struct Targets(Mutex<Queues>);

#[derive(Debug, Default)]
struct Queues {
    /// Whether all that is stored is here.
    known: bool,
    /// Of each target, who is in line, and whether the target is theirs.
    by_target: HashMap<Target, BTreeMap<Turn, bool>>,
    /// Where each experiment stands.
    places: HashMap<Key, (Target, Turn)>,
}

/// An experiment that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its namespace and name.
    pub key: Key,
    /// `spec.target`.
    pub target: Arc<str>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Whether the target is its own, by its status.
    pub acquired: bool,
}

impl Targets {
    /// Forgets everything: another replica led meanwhile.
    pub fn reset(&self) {
        *self.lock() = Queues::default();
    }

    /// Whether all experiments that are stored have to be put in line first.
    pub fn is_unknown(&self) -> bool {
        !self.lock().known
    }

    /// Puts all of these in line, unless that was done; nobody while they are not `listed`: of half a list the one may be missing
    /// that has the target.
    pub fn know<All: IntoIterator<Item = Standing>>(&self, listed: bool, all: impl FnOnce() -> All) {
        let mut lines = self.lock();
        if lines.known || !listed {
            return;
        }
        for standing in all() {
            lines.join(&standing);
        }
        lines.known = true;
    }

    /// Puts an experiment in line, and gives it the target when it is its turn. The name of the one that is right before it; and
    /// the one that was right behind it where it stood before, if that was elsewhere.
    pub fn claim(&self, standing: &Standing) -> (Option<Arc<str>>, Option<Key>) {
        self.lock().claim(standing)
    }

    /// Takes an experiment out of its line: it has ended, is gone, or is suspended. The one that was right behind it, which has
    /// the target now, or another one before it.
    pub fn leave(&self, key: &Key) -> Option<Key> {
        self.lock().leave(key)
    }

    /// Those that are in line.
    pub fn experiments(&self) -> Vec<Key> {
        self.lock().places.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn join(&mut self, standing: &Standing) -> Option<Key> {
        let target: Target = (Arc::clone(&standing.key.0), Arc::clone(&standing.target));
        let turn: Turn = (standing.created, Arc::clone(&standing.key.1));
        let place = (target.clone(), turn.clone());
        let elsewhere = self.places.get(&standing.key).is_some_and(|before| *before != place);
        // One of that name was deleted, and this one made in its place.
        let moved = if elsewhere { self.leave(&standing.key) } else { None };
        let has = self.by_target.entry(target).or_default().entry(turn).or_default();
        *has |= standing.acquired;
        self.places.insert(standing.key.clone(), place);
        moved
    }

    fn claim(&mut self, standing: &Standing) -> (Option<Arc<str>>, Option<Key>) {
        let moved = self.join(standing);
        let target = (Arc::clone(&standing.key.0), Arc::clone(&standing.target));
        let line = self.by_target.entry(target).or_default();
        let turn: Turn = (standing.created, Arc::clone(&standing.key.1));
        let before = before(line, &turn);
        if before.is_none() {
            line.insert(turn, true);
        }
        (before, moved)
    }

    fn leave(&mut self, key: &Key) -> Option<Key> {
        let (target, turn) = self.places.remove(key)?;
        let line = self.by_target.get_mut(&target)?;
        let had = line.remove(&turn).unwrap_or_default();
        if line.is_empty() {
            self.by_target.remove(&target);
            return None;
        }
        let next = if had {
            line.keys().next()
        } else {
            line.range(turn..).find(|(_, has)| !**has).map(|(next, _)| next)
        };
        Some((Arc::clone(&key.0), Arc::clone(&next?.1)))
    }
}

/// Who is right before this one: the last of those that came before it and wait too, else the one that has the target. So
/// when one leaves, one alone has to be told of it.
fn before(line: &BTreeMap<Turn, bool>, turn: &Turn) -> Option<Arc<str>> {
    if line.get(turn) == Some(&true) {
        return None;
    }
    let waiting = line.range(..turn.clone()).rev().find(|(_, has)| !**has);
    let before = waiting.or_else(|| line.iter().find(|(_, has)| **has));
    before.map(|((_, name), _)| Arc::clone(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(name: &str, created: i64, acquired: bool) -> Standing {
        Standing {
            key: ("shop".into(), name.into()),
            target: "shop/web".into(),
            created,
            acquired,
        }
    }

    fn holder(targets: &Targets, name: &str, created: i64) -> Option<String> {
        let (holder, _) = targets.claim(&standing(name, created, false));
        holder.map(|holder| holder.to_string())
    }

    #[test]
    fn the_first_that_was_made_has_the_target_and_the_others_follow_in_their_order() {
        let targets = Targets::default();
        targets.know(true, || {
            [
                standing("c", 3, false),
                standing("b", 2, false),
                standing("a", 2, false),
            ]
        });
        assert_eq!(
            holder(&targets, "b", 2).as_deref(),
            Some("a"),
            "of one second the name decides"
        );
        assert_eq!(holder(&targets, "a", 2), None);
        assert_eq!(targets.leave(&("shop".into(), "a".into())).unwrap().1, "b".into());
        assert_eq!(holder(&targets, "c", 3).as_deref(), Some("b"));
        assert_eq!(holder(&targets, "b", 2), None);
        assert_eq!(targets.leave(&("shop".into(), "b".into())).unwrap().1, "c".into());
        assert_eq!(targets.leave(&("shop".into(), "c".into())), None);
    }

    #[test]
    fn whoever_has_the_target_keeps_it_though_another_was_made_before() {
        let targets = Targets::default();
        targets.know(true, || [standing("late", 9, true), standing("early", 1, false)]);
        assert_eq!(holder(&targets, "early", 1).as_deref(), Some("late"));
        assert_eq!(holder(&targets, "late", 9), None);
        targets.leave(&("shop".into(), "late".into()));
        assert_eq!(holder(&targets, "early", 1), None);
    }

    #[test]
    fn each_waits_for_the_one_right_before_it_and_is_told_when_that_one_leaves() {
        let targets = Targets::default();
        let leave = |name: &str| {
            targets
                .leave(&("shop".into(), name.into()))
                .map(|next| next.1.to_string())
        };
        targets.know(true, || ["a", "b", "c", "d"].map(|name| standing(name, 1, name == "c")));
        let befores = || ["a", "b", "c", "d"].map(|name| holder(&targets, name, 1));
        let names = |names: [&str; 4]| names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
        assert_eq!(befores(), names(["c", "a", "", "b"]));
        assert_eq!(leave("b").as_deref(), Some("d"), "b waited");
        assert_eq!(holder(&targets, "d", 1).as_deref(), Some("a"));
        assert_eq!(leave("c").as_deref(), Some("a"), "c had the target");
        assert_eq!(holder(&targets, "a", 1), None);
        assert_eq!(holder(&targets, "d", 1).as_deref(), Some("a"));
        assert_eq!(leave("d"), None, "nobody was behind it");
    }

    #[test]
    fn when_the_first_is_made_anew_before_anybody_saw_it_go_the_next_is_told() {
        let targets = Targets::default();
        targets.know(true, || [standing("a", 1, true), standing("b", 2, false)]);
        assert_eq!(holder(&targets, "b", 2).as_deref(), Some("a"));
        let (before, told) = targets.claim(&standing("a", 3, false));
        assert_eq!(before.as_deref(), Some("b"));
        assert_eq!(told, Some(("shop".into(), "b".into())));
        assert_eq!(holder(&targets, "b", 2), None);
    }

    #[test]
    fn from_half_a_list_nobody_gets_what_another_has() {
        let targets = Targets::default();
        targets.know(false, || [standing("early", 1, false)]);
        assert!(targets.is_unknown());
        targets.know(true, || [standing("early", 1, false), standing("late", 9, true)]);
        assert_eq!(holder(&targets, "early", 1).as_deref(), Some("late"));
    }

    #[test]
    fn targets_of_one_name_in_two_namespaces_are_two() {
        let targets = Targets::default();
        assert_eq!(holder(&targets, "a", 1), None);
        let other = Standing {
            key: ("other".into(), "b".into()),
            ..standing("b", 2, false)
        };
        assert_eq!(targets.claim(&other), (None, None));
    }

    #[test]
    fn what_was_known_once_is_forgotten_when_another_replica_led() {
        let targets = Targets::default();
        targets.know(true, || [standing("a", 1, true)]);
        assert!(!targets.is_unknown());
        targets.reset();
        assert!(targets.is_unknown());
        assert_eq!(holder(&targets, "b", 2), None);
    }
}
