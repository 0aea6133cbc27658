//! What the tests against a real API server have in common.
//!
//! A test makes a [`Test`]: a namespace and an operator of its own, in a cluster that all tests of the process share. It
//! does what users do through the real `kubectl`, reads through a client (many reads a second are too dear for a process
//! each), and waits for conditions, never for a time. Tests run in parallel and know nothing of each other.
//!
//! The cluster is started by `tests/cluster` when the first test asks for it and ends with the process. With
//! `ITER8_TEST_CLUSTER=current` it is the one of `KUBECONFIG` instead; what needs the local one is skipped there.

#![allow(dead_code, unused_imports)] // a kit: which parts are in use changes with the tests

pub mod api;
pub mod audit;
pub mod cluster;
pub mod exporter;
pub mod gateway;
pub mod helm;
pub mod json_api;
pub mod kubectl;
pub mod manifest;
mod names;
pub mod operator;
pub mod pages;
pub mod pods;
pub mod prometheus;
pub mod recorder;
pub mod relay;
pub mod release;
pub mod routes;
pub mod safety;
mod test;
mod wait;

pub use cluster::skip_unless_local;
pub use test::Test;
pub use wait::{SOON, at_rest, equal, holds, stays, wait_until};
