//! The tutorials of the documentation, step by step, as their readers go through them.

pub mod blue_green_istio;
mod bring_your_own_app_mirroring;
pub mod canary_gateway_api;
pub mod mirror_istio;
mod other_kinds;

use serde_json::{Value, json};

use crate::support::Test;

/// The Release's spec, and what must be seen when it is ready.
type Step = (&'static str, fn(&Test));

/// A tutorial about one Release, `httpbin`.
pub struct Tutorial {
    /// From the first version to the promotion of the second.
    pub steps: &'static [Step],
    /// Kinds and names of all that is there at the end, to go with the Release.
    pub made: &'static [(&'static str, &'static str)],
}

impl Tutorial {
    /// With `kubectl`.
    #[track_caller]
    fn follow(&self, name: &str) {
        let test = Test::new(name);
        let safety = test.watch_safety();
        for (values, check) in self.steps {
            test.apply(&release(values));
            test.wait_ready("release/httpbin");
            check(&test);
        }
        safety.assert_safe();
        self.ends_whole(&test, || {
            test.kubectl(["delete", "release", "httpbin", "--timeout=60s"]);
        });
    }

    /// All that was made for the Release goes with it.
    #[track_caller]
    pub fn ends_whole(&self, test: &Test, delete: impl FnOnce()) {
        for (kind, name) in self.made {
            test.get(kind, name);
        }
        delete();
        for (kind, name) in self.made {
            test.gone(kind, name);
        }
    }
}

/// A Release called `httpbin` with the values of the `release` chart as its spec.
fn release(values: &str) -> String {
    let spec: Vec<String> = values.trim().lines().map(|line| format!("  {line}")).collect();
    format!(
        "apiVersion: iter8.tools/v1alpha1\nkind: Release\nmetadata:\n  name: httpbin\nspec:\n{}\n  drainSeconds: 1\n",
        spec.join("\n")
    )
}

/// A version's Deployment is available and its Service selects its pods; both carry the label of the version.
#[track_caller]
fn assert_version(test: &Test, name: &str, label: &str) {
    let deployment = test.get("deployment", name);
    assert_eq!(deployment["metadata"]["labels"]["app.kubernetes.io/version"], label);
    assert_eq!(deployment["status"]["availableReplicas"], 1);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "kennethreitz/httpbin");
    assert_eq!(container["ports"][0]["containerPort"], 80);
    let service = test.get("service", name);
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/version"], label);
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    assert_eq!(
        service["spec"]["selector"],
        deployment["spec"]["template"]["metadata"]["labels"]
    );
}

/// The live weight of a version.
#[track_caller]
fn weight(test: &Test, version: &str) -> String {
    let config = test.get("configmap", &format!("{version}-weight-config"));
    assert_eq!(config["metadata"]["labels"]["iter8.tools/watch"], "true");
    config["metadata"]["annotations"]["iter8.tools/weight"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Nothing of a version is left.
#[track_caller]
fn assert_gone(test: &Test, version: &str) {
    for kind in ["deployment", "service"] {
        test.gone(kind, version);
    }
    test.gone("configmap", &format!("{version}-weight-config"));
}

/// The row of `kubectl get release httpbin`, but for the age.
#[track_caller]
fn assert_row(test: &Test, want: [&str; 6]) {
    let row = test.columns("release", "httpbin");
    let got = ["NAME", "ENVIRONMENT", "STRATEGY", "VERSIONS", "TRAFFIC", "STATUS"].map(|column| row[column].as_str());
    assert_eq!(got, want);
    assert!(!row["AGE"].is_empty());
}

/// Istio routes the Service's requests by the sidecars of clients within the mesh, and by its gateway for all others.
#[track_caller]
fn assert_istio_service(test: &Test) {
    let spec = &test.get("service", "httpbin")["spec"];
    assert_eq!(spec["type"], "ExternalName");
    assert_eq!(
        spec["externalName"],
        "istio-ingressgateway.istio-system.svc.cluster.local"
    );
}

/// A `VirtualService` of the application with one rule for all requests.
fn virtual_service(test: &Test, mut rule: Value) -> Value {
    let host = format!("httpbin.{}", test.namespace);
    rule["name"] = "httpbin".into();
    json!({
        "hosts": [host, format!("{host}.svc"), format!("{host}.svc.cluster.local")],
        "gateways": ["mesh"],
        "http": [rule],
    })
}

/// A version's Service as Istio names it.
fn destination(test: &Test, service: &str) -> Value {
    json!({ "host": format!("{service}.{}.svc.cluster.local", test.namespace), "port": { "number": 80 } })
}

/// A version's Service with its share, saying in a header that it answered.
fn share(test: &Test, service: &str, weight: i32) -> Value {
    json!({
        "destination": destination(test, service),
        "weight": weight,
        "headers": { "response": { "add": { "app-version": service } } },
    })
}
