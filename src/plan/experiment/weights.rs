//! How weights move: integers that sum to 100, and never more than a candidate may have.

use super::verdicts::{Assessment, Standing};
use crate::api::experiment::TestingPattern;
use crate::model::experiment::Experiment;
use crate::model::weights::shares;

/// The weights at the beginning, of those that were found: a candidate that nobody is sent to gets its first share, as it
/// could not be judged without requests.
pub fn first(experiment: &Experiment, found: &[i32]) -> Vec<i32> {
    let share = experiment.max_increment.min(experiment.max_weight);
    within(experiment, found, |_, weight| if weight == 0 { share } else { weight })
}

/// The weights after an iteration that began with these. A candidate that does well gains one increment; one that fails an
/// objective has at most one left, at once; one that is not known to do either stays as it is.
pub fn next(experiment: &Experiment, found: &[i32], assessment: &Assessment) -> Vec<i32> {
    let increment = experiment.max_increment;
    let least = increment.min(experiment.max_weight);
    within(experiment, found, |place, weight| {
        match assessment.standings.get(place) {
            Some(Standing::Fails) => weight.min(least),
            Some(Standing::Passes) => match (experiment.pattern, assessment.winner) {
                (TestingPattern::Canary, _) => weight + increment,
                (_, Some(winner)) if winner == place => weight + increment,
                (_, Some(_)) => (weight - increment).max(least.min(weight)),
                _ => weight,
            },
            _ => weight,
        }
    })
}

/// What each candidate is to get, within its limits; the baseline has the rest.
fn within(experiment: &Experiment, found: &[i32], wanted: impl Fn(usize, i32) -> i32) -> Vec<i32> {
    let found = shares(found);
    let before = |place: usize| found.get(place).copied().unwrap_or_default().min(experiment.max_weight);
    let mut weights: Vec<i32> = (0..experiment.versions.len())
        .map(|place| match place {
            0 => 0,
            _ => wanted(place, before(place)).clamp(0, experiment.max_weight),
        })
        .collect();
    // Who gains gives way, the last one first: the others had theirs before.
    let mut excess = weights.iter().sum::<i32>() - 100;
    for (place, weight) in weights.iter_mut().enumerate().skip(1).rev() {
        let gained = (*weight - before(place)).max(0);
        let back = gained.min(excess.max(0));
        *weight -= back;
        excess -= back;
    }
    let candidates: i32 = weights.iter().sum();
    if let Some(baseline) = weights.first_mut() {
        *baseline = 100 - candidates;
    }
    weights
}
