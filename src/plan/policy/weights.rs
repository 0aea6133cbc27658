//! Which weight is in force: the spec's, or the live one of the weight `ConfigMap` (design, *Weights*).

use super::Observed;
use crate::api::status::WeightSource;
use crate::model::observed::WeightConfig;
use crate::model::policy::{Policy, PolicyVersion};

/// A version's weight in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The weight, 0..100.
    pub weight: i32,
    /// Where it comes from.
    pub source: WeightSource,
    /// A live value that is no weight, and the `ConfigMap` that it stands in.
    pub bad: Option<(String, String)>,
}

/// Reads a weight as users may write it into the annotation: an integer 0..100.
pub fn parse(text: &str) -> Option<i32> {
    text.trim().parse().ok().filter(|weight| (0..=100).contains(weight))
}

/// The weight in force of each version, in the policy's order.
pub fn in_force(policy: &Policy, observed: &Observed) -> Vec<InForce> {
    policy
        .versions
        .iter()
        .map(|version| {
            let config = version
                .weight_config_map
                .as_ref()
                .and_then(|name| Some((name, observed.weights.get(name)?)));
            let last = observed
                .status
                .as_ref()
                .and_then(|status| status.versions.iter().find(|one| one.name == version.name))
                .and_then(|status| status.weight);
            match config {
                _ if observed.weights_unknown && version.weight_config_map.is_some() => {
                    given(version, last.unwrap_or(version.weight))
                }
                Some((name, config)) => of_config(version, name, config, last),
                None => given(version, version.weight),
            }
        })
        .collect()
}

/// That weight, from the spec or in its place.
fn given(version: &PolicyVersion, weight: i32) -> InForce {
    let source = if weight == version.weight {
        WeightSource::Spec
    } else {
        WeightSource::Override
    };
    InForce {
        weight,
        source,
        bad: None,
    }
}

fn of_config(version: &PolicyVersion, name: &str, config: &WeightConfig, last: Option<i32>) -> InForce {
    let Some(live) = config.weight.as_deref() else {
        return given(version, version.weight);
    };
    // A new weight in the spec ends an override; the annotations follow within moments.
    if config
        .spec_weight
        .as_deref()
        .is_some_and(|text| parse(text) != Some(version.weight))
    {
        return given(version, version.weight);
    }
    let (weight, bad) = match parse(live) {
        Some(weight) => (weight, None),
        None => (last.unwrap_or(version.weight), Some((name.to_owned(), live.to_owned()))),
    };
    InForce {
        bad,
        ..given(version, weight)
    }
}
