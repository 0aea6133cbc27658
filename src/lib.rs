//! iter8 releases new versions of an application safely.
//!
//! The folders are floors; a module uses only those below it (`tests/it/architecture.rs` proves it):
//!
//! | floor | folder | what |
//! |---|---|---|
//! | 5 | `cli` | one file per subcommand |
//! | 4 | `controller`, `server` | reconcilers, queue and driver; logs, shutdown |
//! | 3 | `cluster`, `provider` | all I/O with the API server; with the providers of metrics |
//! | 2 | `plan` | pure: what should be, from what is |
//! | 1 | `model` | validated values, names, weights, what was observed |
//! | 0 | `api`, `mesh` | our kinds; the subset of the meshes' kinds that is written |

pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod mesh;
pub mod model;
pub mod plan;
pub mod provider;
pub mod server;
