//! What users see of a Release and a RoutePolicy: columns, waits, descriptions and Events.

mod columns;
mod conditions;
mod events;
mod faults;
mod waiting;

use serde_json::{Value, json};

use crate::support::manifest::{self, release, weighted};

/// A blue-green Release on Istio.
fn web(versions: &[Value]) -> Value {
    release("web", "deployment-istio", "blue-green", versions)
}

/// A version with an image and a share that is ready at once.
fn share(image: &str, weight: i64) -> Value {
    weighted(image, weight)
}

/// The Release with something else in its `spec`.
fn with(mut release: Value, key: &str, value: &Value) -> Value {
    release["spec"][key] = value.clone();
    release
}

/// A drain that does not end within a test.
fn never_drained(release: Value) -> Value {
    with(release, "drainSeconds", &json!(3600))
}

/// A RoutePolicy of Services.
fn policy(versions: &[&str]) -> Value {
    let route = json!({ "virtualService": { "hosts": ["own"] } });
    manifest::policy("own", versions, &route)
}
