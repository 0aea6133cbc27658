//! What surrounds the reconcilers: logs and shutdown.

pub mod shutdown;
pub mod telemetry;
