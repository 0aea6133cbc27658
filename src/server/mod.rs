//! What surrounds the reconcilers: logs, metrics and health over HTTP, shutdown.

pub mod http;
pub mod shutdown;
pub mod telemetry;
