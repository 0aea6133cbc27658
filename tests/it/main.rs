//! Tests of the crate from outside.

// What `clippy.toml` allows in tests it allows in functions marked `#[test]` only, and not in their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
mod architecture;
mod crds;
mod dependencies;
mod docs;
mod errors;
mod golden;
mod harness;
mod objects;
mod ownership;
mod promotion;
mod rbac;
mod readiness_table;
mod reference;
mod routes;
mod rust_paths;
mod support;
mod tutorials;
