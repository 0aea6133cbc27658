//! The rules of the route: who answers which requests (design, the table of strategies).
//!
//! The promise stands here: a version enters on readiness True, leaves on False, and on Unknown stays as the stored
//! route has it; where nobody can take a place, the stored route is left alone.

use super::weights::InForce;
use crate::api::route_policy::{Backend, RoutingStrategy};
use crate::api::status::Tristate;
use crate::model::observed::{StoredBackend, StoredRoute, StoredRule};
use crate::model::policy::{Intent, Policy, Rule};
use crate::model::weights::shares;
use crate::plan::readiness::Readiness;

/// `HTTPRoute` holds 16 filters a rule, one of which is ours; the same bound serves every mesh.
const MAX_MIRRORS: usize = 15;

/// The rules that the route should have; `None`: the stored route stays, and if there is none, none is made.
pub fn of(
    policy: &Policy,
    readiness: &[Readiness],
    weights: &[InForce],
    stored: Option<&StoredRoute>,
) -> Option<Intent> {
    let places = Places {
        policy,
        readiness,
        weights,
        stored,
    };
    match policy.strategy {
        RoutingStrategy::BlueGreen => places.blue_green(),
        RoutingStrategy::Canary => places.canary(),
        RoutingStrategy::Mirror => places.mirror(),
    }
}

struct Places<'a> {
    policy: &'a Policy,
    readiness: &'a [Readiness],
    weights: &'a [InForce],
    stored: Option<&'a StoredRoute>,
}

/// Where in a route a version can stand.
#[derive(Clone, Copy)]
enum Place {
    CatchAll,
    Matched,
    Mirrored,
}

impl Places<'_> {
    fn backend(&self, index: usize) -> Option<&Backend> {
        self.policy.versions.get(index).map(|version| &version.backend)
    }

    fn weight(&self, index: usize) -> i32 {
        self.weights.get(index).map_or(0, |weight| weight.weight)
    }

    /// Whether the stored route has the version there.
    fn is_stored(&self, index: usize, place: Place) -> bool {
        let (Some(stored), Some(backend)) = (self.stored, self.backend(index)) else {
            return false;
        };
        let named = |list: &[StoredBackend]| list.iter().any(|one| *one.service == *backend.name && one.weight > 0);
        stored.rules.iter().any(|rule: &StoredRule| match place {
            Place::CatchAll => !rule.matched && named(&rule.backends),
            Place::Matched => rule.matched && named(&rule.backends),
            Place::Mirrored => named(&rule.mirrors),
        })
    }

    /// Whether the version may stand there now.
    fn serves(&self, index: usize, place: Place) -> bool {
        match self.readiness.get(index).map(|readiness| readiness.ready) {
            Some(Tristate::True) => true,
            Some(Tristate::Unknown) => self.is_stored(index, place),
            Some(Tristate::False) | None => false,
        }
    }

    /// The version that takes this one's place while it is ready.
    fn stand_in(&self, index: usize, place: Place) -> Option<usize> {
        let named = |other: &usize| {
            self.policy
                .versions
                .get(*other)
                .is_some_and(|v| v.serves_for == Some(index))
        };
        (0..self.policy.versions.len()).find(|other| named(other) && self.serves(*other, place))
    }

    /// Who stands in the version's place now: its stand-in, else itself, else nobody.
    fn holder(&self, index: usize, place: Place) -> Option<usize> {
        self.stand_in(index, place)
            .or_else(|| self.serves(index, place).then_some(index))
    }

    fn catch_all(&self, backends: Vec<(Backend, i32)>, mirrors: Vec<(Backend, i32)>) -> Rule {
        Rule {
            name: self.policy.route.name().to_owned(),
            matches: Vec::new(),
            backends,
            mirrors,
        }
    }

    fn blue_green(&self) -> Option<Intent> {
        let count = self.policy.versions.len();
        let mut relative = vec![0; count];
        for index in 0..count {
            if let Some(slot) = self
                .holder(index, Place::CatchAll)
                .and_then(|holder| relative.get_mut(holder))
            {
                *slot += self.weight(index);
            }
        }
        if relative.iter().all(|weight| *weight == 0) {
            relative = self.without_weights()?;
        }
        let backends = shares(&relative)
            .into_iter()
            .enumerate()
            .filter(|(_, share)| *share > 0)
            .filter_map(|(index, share)| Some((self.backend(index)?.clone(), share)))
            .collect();
        Some(Intent {
            rules: vec![self.catch_all(backends, Vec::new())],
        })
    }

    /// No version that serves has a weight: the primary takes all, else the candidates share equally.
    fn without_weights(&self) -> Option<Vec<i32>> {
        let count = self.policy.versions.len();
        let primary = self.holder(0, Place::CatchAll);
        let relative: Vec<i32> = (0..count)
            .map(|index| match primary {
                Some(holder) => i32::from(index == holder),
                None => i32::from(self.serves(index, Place::CatchAll)),
            })
            .collect();
        relative.iter().any(|weight| *weight > 0).then_some(relative)
    }

    /// Who answers what no rule matches: the primary or its stand-in; neither is replaced while none can serve. A route in
    /// which somebody else does, by another strategy or of before, stays until one of them can.
    fn answerer(&self) -> Option<usize> {
        self.holder(0, Place::CatchAll).or_else(|| {
            if self.others_answer() {
                return None;
            }
            let mut claimants = (0..self.policy.versions.len()).filter(|index| self.policy.may_be_primary(*index));
            claimants.find(|index| self.is_stored(*index, Place::CatchAll))
        })
    }

    /// Whether the stored route has versions that may serve where the strategy has no place for them: in the catch-all, or in
    /// a rule of a canary. Of what the policy no longer names nothing is known.
    fn others_answer(&self) -> bool {
        let known = |one: &StoredBackend| {
            let of = |exactly: bool| {
                let mut versions = self.policy.versions.iter().map(|version| &version.backend);
                versions.position(|backend| *backend.name == *one.service && (!exactly || backend.port == one.port))
            };
            of(true).or_else(|| of(false))
        };
        let canary = self.policy.strategy == RoutingStrategy::Canary;
        let answers = |rule: &StoredRule, one: &StoredBackend| match known(one) {
            Some(index) if rule.matched => !canary && self.serves(index, Place::Matched),
            Some(index) => self.serves(index, Place::CatchAll),
            None => !rule.matched,
        };
        let mut rules = self.stored.iter().flat_map(|stored| &stored.rules);
        rules.any(|rule| rule.backends.iter().any(|one| one.weight > 0 && answers(rule, one)))
    }

    fn canary(&self) -> Option<Intent> {
        let answerer = self.answerer()?;
        let mut rules: Vec<Rule> = Vec::new();
        for (index, version) in self.policy.versions.iter().enumerate().skip(1) {
            if version.matches.is_empty() {
                continue;
            }
            let Some(backend) = self
                .holder(index, Place::Matched)
                .and_then(|holder| self.backend(holder))
            else {
                continue;
            };
            rules.push(Rule {
                name: version.name.clone(),
                matches: version.matches.clone(),
                backends: vec![(backend.clone(), 100)],
                mirrors: Vec::new(),
            });
        }
        rules.push(self.catch_all(vec![(self.backend(answerer)?.clone(), 100)], Vec::new()));
        Some(Intent { rules })
    }

    fn mirror(&self) -> Option<Intent> {
        let answerer = self.answerer()?;
        let mirrors = (1..self.policy.versions.len())
            .filter(|index| *index != answerer && self.weight(*index) > 0 && self.serves(*index, Place::Mirrored))
            .filter_map(|index| Some((self.backend(index)?.clone(), self.weight(index))))
            .take(MAX_MIRRORS)
            .collect();
        Some(Intent {
            rules: vec![self.catch_all(vec![(self.backend(answerer)?.clone(), 100)], mirrors)],
        })
    }
}
