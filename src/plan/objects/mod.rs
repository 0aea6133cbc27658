//! The objects that a Release is made into.
//!
//! All are whole objects as server-side apply takes them, in the form in which the API server stores them: no nulls, no
//! zero values.

mod application;
mod check;
mod deployment;
mod policy;
mod service;
mod weight_config;

pub use application::application_service;
pub use check::{mistakes, validate_built};
pub use deployment::{HTTP, deployment, images, replicas, template_digest};
pub use policy::{policy_entry, route_policy};
pub use service::{backend_port, kept_port, other_target, select_all, service};
pub use weight_config::{weight_config, weight_config_needed};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::metadata::{Owner, Users, metadata};
use crate::api::labels;
use crate::model::kind::Kind;
use crate::model::release::{Release, Specification, Version};

fn owner(release: &Release) -> Owner<'_> {
    Owner {
        kind: Kind::Release,
        name: &release.name,
        namespace: &release.namespace,
        uid: release.uid,
    }
}

/// Metadata of an object of a version.
fn version_metadata(
    release: &Release,
    version: &Version,
    name: &str,
    specification: Option<&Specification>,
    annotations: &[(&str, &str)],
) -> ObjectMeta {
    let users = Users {
        labels: std::iter::once(&version.labels)
            .chain(specification.map(|s| &s.labels))
            .collect(),
        annotations: std::iter::once(&version.annotations)
            .chain(specification.map(|s| &s.annotations))
            .collect(),
    };
    let own = [(labels::WATCH, "true"), (labels::RELEASE, release.name.as_str())];
    metadata(owner(release), name, users, &own, annotations)
}

/// Metadata of an object of the whole application.
fn application_metadata(release: &Release, name: &str) -> ObjectMeta {
    let users = Users {
        labels: vec![&release.labels],
        annotations: vec![&release.annotations],
    };
    metadata(owner(release), name, users, &[(labels::RELEASE, &release.name)], &[])
}
