//! What surrounds the reconcilers: logs, metrics and health over HTTP, the election of a leader, shutdown.

pub mod election;
pub mod http;
pub mod shutdown;
pub mod telemetry;
