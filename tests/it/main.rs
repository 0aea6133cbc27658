//! Tests of the crate from outside.

// What `clippy.toml` allows in tests it allows in functions marked `#[test]` only, and not in their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
mod architecture;
mod cli;
mod crash;
mod crds;
mod demo;
mod dependencies;
mod describe;
mod docs;
mod errors;
mod experiments;
mod faults;
mod golden;
mod harness;
mod http_route;
mod image;
mod install;
mod lease;
mod logs;
mod metrics;
mod objects;
mod ownership;
mod planner;
mod promotion;
mod quiet;
mod rbac;
mod readiness;
mod readiness_table;
mod reasons;
mod reference;
mod restart;
mod routes;
mod rust_paths;
mod spec_changes;
mod status;
mod support;
mod tutorials;
mod weights;

/// The CRDs of others in the tests' clusters, and no more: each makes every start of an API server slower.
const CRDS: &str = "gateway/httproutes,istio/virtualservices,knative";
/// Whether there are servers in the pods of our clusters, that end with their namespace.
const PODS_RUN: bool = false;
