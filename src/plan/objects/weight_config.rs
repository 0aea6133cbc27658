//! The `ConfigMap` whose annotation is the live weight of a version.

use serde_json::Value;

use super::version_metadata;
use crate::api::annotations;
use crate::api::release::Strategy;
use crate::model::kind::Kind;
use crate::model::names;
use crate::model::release::{Release, Version};
use crate::plan::metadata::object;

/// The `ConfigMap`. `weight` is what annotation `iter8.tools/weight` is to be, `None` where it is another manager's: to
/// apply a value that somebody else owns would make us its owner too. `spec_weight` is what the live weight stands over.
pub fn weight_config(release: &Release, version: &Version, weight: Option<&str>, spec_weight: &str) -> Value {
    let mut annotations = vec![(annotations::SPEC_WEIGHT, spec_weight)];
    annotations.extend(weight.map(|weight| (annotations::WEIGHT, weight)));
    let name = names::weight_config(&version.name);
    object(
        Kind::ConfigMap,
        &version_metadata(release, version, &name, None, &annotations),
        None,
    )
}

/// Whether the version at `index` has a weight: in a blue-green Release all do, in a mirrored one the candidates.
pub fn weight_config_needed(release: &Release, index: usize) -> bool {
    match release.strategy {
        Strategy::None | Strategy::Canary => false,
        Strategy::BlueGreen => true,
        Strategy::Mirror => index > 0,
    }
}
