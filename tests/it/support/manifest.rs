//! Releases to apply, as JSON to be changed step by step.

use serde_json::{Value, json};

/// Names of applications, with the environments whose meshes route to them.
pub const MESHES: [(&str, &str); 2] = [("istio", "deployment-istio"), ("gtw", "deployment-gtw")];

/// A Release with nothing to wait for in vain: drains of a second, rollouts that fail after five.
pub fn release(name: &str, environment: &str, strategy: &str, versions: &[Value]) -> Value {
    json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "Release",
        "metadata": { "name": name },
        "spec": {
            "environment": environment,
            "drainSeconds": 1,
            "application": { "strategy": strategy, "versions": versions },
        },
    })
}

/// A version of the image `<image>`.
pub fn version(image: &str) -> Value {
    json!({ "image": image, "deploymentSpecification": { "spec": { "progressDeadlineSeconds": 5 } } })
}

/// A version with this weight.
pub fn weighted(image: &str, weight: i64) -> Value {
    let mut version = version(image);
    version["weight"] = weight.into();
    version
}

/// The version with so many replicas.
pub fn sized(mut version: Value, replicas: i32) -> Value {
    version["replicas"] = replicas.into();
    version
}

/// The version with annotations on its pods, as those that the simulated kubelet heeds.
pub fn with_pods(mut version: Value, annotations: &Value) -> Value {
    version["deploymentSpecification"]["spec"]["template"]["metadata"]["annotations"] = annotations.clone();
    version
}

/// A version whose pods take so long to become ready, as `300ms`.
pub fn ready_after(image: &str, time: &str) -> Value {
    with_pods(version(image), &json!({ "kwok.iter8.tools/ready-after": time }))
}

/// A version whose pods never become ready.
pub fn never_ready(image: &str) -> Value {
    with_pods(version(image), &json!({ "kwok.iter8.tools/never-ready": "true" }))
}

/// All of them at once.
pub fn list(items: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// An application of every strategy on every mesh, called `<strategy>-<mesh>` (blue-green: `blue-<mesh>`).
pub fn applications() -> Vec<Application> {
    let strategies = [("blue", "blue-green"), ("canary", "canary"), ("mirror", "mirror")];
    let of_mesh = |(mesh, environment): (&str, &'static str)| {
        strategies.map(|(short, strategy)| Application {
            name: format!("{short}-{mesh}"),
            environment,
            strategy,
        })
    };
    MESHES.into_iter().flat_map(of_mesh).collect()
}

/// Name, environment and strategy of a Release.
#[derive(Clone, Debug)]
pub struct Application {
    /// Also of the Release, its policy and its route.
    pub name: String,
    /// `spec.environment`.
    pub environment: &'static str,
    /// `spec.application.strategy`.
    pub strategy: &'static str,
}

impl Application {
    /// The Release with these versions.
    pub fn release(&self, versions: &[Value]) -> Value {
        release(&self.name, self.environment, self.strategy, versions)
    }

    /// Name of the version at a place.
    pub fn version(&self, index: usize) -> String {
        format!("{}-{index}", self.name)
    }
}

/// A blue-green policy of these versions, each a Service of its name and so always ready.
pub fn policy(name: &str, versions: &[&str], route: &Value) -> Value {
    let version = |name: &&str| {
        json!({
            "name": name,
            "resources": [{ "apiVersion": "v1", "kind": "Service", "name": name }],
            "backend": { "name": name, "port": 80 },
        })
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": name },
        "spec": { "strategy": "blue-green", "versions": versions, "route": route },
    })
}
