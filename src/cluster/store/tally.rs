//! How many objects of a kind are ready: counted as they come and go, so that nobody has to walk through all of them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::api::status::Tristate;
use crate::model::observed::{Body, Object};
use crate::model::reason;
use crate::plan::{conditions, readiness};

/// What an object says of itself, in two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    ready: Tristate,
    conflict: bool,
}

/// How many objects of a kind there are, by what they say of themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ready, not ready, not known.
    pub ready: [usize; 3],
    /// Of a Release or `RoutePolicy`: stalled as a name is somebody else's.
    pub conflicts: usize,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(default, borrow)]
    conditions: Vec<Condition<'a>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(rename = "type", borrow)]
    type_: Cow<'a, str>,
    status: Tristate,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

impl Standing {
    pub(super) fn of(object: &Object<Body>) -> Self {
        let (Body::Release(raw) | Body::RoutePolicy(raw)) = &object.body else {
            return Self {
                ready: readiness::of(object),
                conflict: false,
            };
        };
        let Status { conditions } = serde_json::from_str(&raw.status).unwrap_or_default();
        let find = |type_| conditions.iter().find(|condition| condition.type_ == type_);
        let stalled = find(conditions::STALLED).filter(|stalled| stalled.status == Tristate::True);
        Self {
            ready: find(conditions::READY).map_or(Tristate::Unknown, |ready| ready.status),
            conflict: stalled.is_some_and(|stalled| stalled.reason == reason::NAME_CONFLICT),
        }
    }

    pub(super) fn is_ready(self) -> bool {
        self.ready == Tristate::True
    }
}

impl Tally {
    pub(super) fn add(&mut self, one: Standing) {
        *self.of(one.ready) += 1;
        self.conflicts += usize::from(one.conflict);
    }

    pub(super) fn subtract(&mut self, one: Standing) {
        let count = self.of(one.ready);
        *count = count.saturating_sub(1);
        self.conflicts = self.conflicts.saturating_sub(usize::from(one.conflict));
    }

    /// Whether it has become ready.
    pub(super) fn replace(&mut self, before: Standing, now: Standing) -> bool {
        self.subtract(before);
        self.add(now);
        now.is_ready() && !before.is_ready()
    }

    fn of(&mut self, ready: Tristate) -> &mut usize {
        let [yes, no, unknown] = &mut self.ready;
        match ready {
            Tristate::True => yes,
            Tristate::False => no,
            Tristate::Unknown => unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::{Meta, Raw};

    fn standing(status: &str) -> (Tristate, bool) {
        let raw = Raw {
            spec: "{}".into(),
            status: status.into(),
        };
        let meta = Meta::default();
        let body = Body::Release(raw);
        let Standing { ready, conflict } = Standing::of(&Object { meta, body });
        (ready, conflict)
    }

    #[test]
    fn a_release_stands_as_its_conditions_say_and_is_not_known_without() {
        assert_eq!(standing(""), (Tristate::Unknown, false));
        let ready = r#"{"conditions":[{"type":"Ready","status":"True","reason":"Ready"}]}"#;
        assert_eq!(standing(ready), (Tristate::True, false));
        let conflict = r#"{"conditions":[{"type":"Ready","status":"False","reason":"NameConflict","message":"a \"b\""},
            {"type":"Stalled","status":"True","reason":"NameConflict","message":"a \"b\""}]}"#;
        assert_eq!(standing(conflict), (Tristate::False, true));
    }

    #[test]
    fn what_is_added_and_subtracted_again_leaves_nothing() {
        let mut tally = Tally::default();
        let one = Standing {
            ready: Tristate::False,
            conflict: true,
        };
        tally.add(one);
        assert_eq!((tally.ready, tally.conflicts), ([0, 1, 0], 1));
        tally.subtract(one);
        assert_eq!(tally, Tally::default());
    }
}
