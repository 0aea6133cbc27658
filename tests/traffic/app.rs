//! An application behind the gateway, whose versions are called after their images.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::load::{self, Answers, Load, Target};
use crate::mesh::{Mesh, pods};
use crate::support::manifest;
use crate::support::{SOON, Test, wait_until};

/// Annotation of pods: how long they need to become ready.
pub const READY_AFTER: &str = "kwok.iter8.tools/ready-after";

/// A namespace with an operator and one Release.
pub struct App {
    /// The namespace.
    pub test: Test,
    /// Of Release, policy, route and Service.
    pub name: String,
    /// What carries its route.
    pub mesh: &'static Mesh,
    strategy: &'static str,
}

impl App {
    /// Nothing is applied yet.
    #[track_caller]
    pub fn new(mesh: &'static Mesh, strategy: &'static str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        pods();
        mesh.carrier();
        // All share one Gateway, and with it the hostnames that have no namespace.
        let name = format!("{strategy}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let test = Test::new(&name);
        Self {
            test,
            name,
            mesh,
            strategy,
        }
    }

    /// The name of the version at a place.
    pub fn version(&self, index: usize) -> String {
        format!("{}-{index}", self.name)
    }

    /// Whom requests to it are for.
    pub fn target(&self, headers: &[(&'static str, &'static str)]) -> Target {
        Target {
            envoy: self.mesh.envoy,
            host: format!("{}.{}", self.name, self.test.namespace),
            headers: headers.to_vec(),
        }
    }

    /// Applies it with these versions, and does not wait.
    #[track_caller]
    pub fn apply(&self, versions: &[Value]) {
        let mut release = manifest::release(&self.name, self.mesh.environment, self.strategy, versions);
        release["spec"]["gateway"] = self.mesh.gateway.into();
        // Longer than a mesh takes for a change while other tests use the processors as well.
        release["spec"]["drainSeconds"] = 2.into();
        self.test.apply(&release.to_string());
    }

    /// Waits until the Release is as its spec says.
    #[track_caller]
    pub fn settles(&self) {
        self.test.wait_ready(&format!("release/{}", self.name));
    }

    /// Applies it for the first time, and waits until requests are answered.
    #[track_caller]
    pub fn begin(&self, versions: &[Value]) {
        self.apply(versions);
        self.settles();
        wait_until("the gateway knows the route", SOON, || {
            let answer = self.send(1).0.remove(0).version;
            answer.map_err(|error| format!("{error}\n{}", self.mesh.carrier().logs()))
        });
    }

    /// What Envoy says of requests to it that failed.
    pub fn failures(&self) -> String {
        self.mesh.carrier().failures(&self.target(&[]).host)
    }

    /// Sends so many requests without special headers.
    pub fn send(&self, number: usize) -> Answers {
        load::send(number, &self.target(&[]))
    }

    /// Begins to send requests without special headers.
    pub fn load(&self, each_second: u32) -> Load {
        Load::start(each_second, self.target(&[]))
    }

    /// Sets the live weight of a version.
    #[track_caller]
    pub fn live_weight(&self, index: usize, weight: u32) {
        let config = format!("configmap/{}-weight-config", self.version(index));
        let weight = format!("iter8.tools/weight={weight}");
        self.test.kubectl(["annotate", "--overwrite", &config, &weight]);
    }
}

/// A version whose pods need 3 s to become ready, and stop at once.
pub fn version(image: &str) -> Value {
    let template = json!({ "metadata": { "annotations": {} } });
    let version = json!({ "image": image, "deploymentSpecification": { "spec": { "template": template } } });
    annotated(version, READY_AFTER, "3s")
}

/// The same with an annotation of its pods.
pub fn annotated(mut version: Value, key: &str, value: &str) -> Value {
    version["deploymentSpecification"]["spec"]["template"]["metadata"]["annotations"][key] = value.into();
    version
}

/// The same with a weight.
pub fn with_weight(mut version: Value, weight: u32) -> Value {
    version["weight"] = weight.into();
    version
}
