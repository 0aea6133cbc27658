//! The applications, and the one who stands in for Deployment controller and kubelet: he sets the status of Deployments.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use kube::Client;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::observer::{Looked, View};

/// Applications that change at once.
pub const BURST: usize = 50;
/// The first application.
pub const FIRST: &str = "app-0000";
/// What the name of the candidate's weight ConfigMap has behind the application's.
pub const WEIGHT_CONFIG: &str = "-1-weight-config";
/// The candidate's weight in the Release, and the other one that it is given. The primary's is 30.
const WEIGHTS: [i32; 2] = [70, 30];
/// Requests in flight while many objects are made, and for the status of Deployments.
const AT_ONCE: usize = 16;
/// How often a request is sent when connections break.
const ATTEMPTS: usize = 3;

/// What changes of an application: its candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct App {
    pub available: bool,
    pub weight: i32,
}

impl App {
    /// As it begins.
    pub const NEW: Self = Self {
        available: false,
        weight: WEIGHTS[0],
    };

    /// The candidate's share in the route.
    pub fn share(self) -> i32 {
        match (self.available, self.weight) {
            (false, _) => 0,
            (true, 70) => 70,
            (true, 30) => 50,
            (true, weight) => panic!("nobody sets the weight {weight}"),
        }
    }

    /// The other weight.
    pub fn other_weight(self) -> i32 {
        WEIGHTS[usize::from(self.weight == WEIGHTS[0])]
    }
}

/// The name of an application.
pub fn name(index: usize) -> String {
    format!("app-{index:04}")
}

/// The Deployment that comes and goes.
pub fn candidate(app: &str) -> String {
    format!("{app}-1")
}

/// The ConfigMap with its weight.
pub fn weight_config(app: &str) -> String {
    format!("{app}{WEIGHT_CONFIG}")
}

/// Makes a namespace.
pub async fn create_namespace(client: &Client, name: &str) {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    create(client, "/api/v1/namespaces", &namespace).await;
}

/// Makes this many Releases: two versions each, blue-green.
pub async fn create_releases(client: &Client, namespace: &str, count: usize) {
    let url = format!("/apis/iter8.tools/v1alpha1/namespaces/{namespace}/releases");
    let version =
        |tag: &str, weight: i32| json!({ "image": format!("registry.example/shop/backend:{tag}"), "weight": weight });
    let versions = json!([version("1.4.0", 30), version("1.5.0", WEIGHTS[0])]);
    stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, |index| {
            let release = json!({
                "apiVersion": "iter8.tools/v1alpha1", "kind": "Release", "metadata": { "name": name(index) },
                "spec": {
                    "environment": "deployment-istio",
                    "application": { "strategy": "blue-green", "versions": versions },
                },
            });
            let url = url.as_str();
            async move { create(client, url, &release).await }
        })
        .await;
}

/// Makes this many objects like that of the first Release, for the probe.
pub async fn copy(client: &Client, what: Looked, first: &str, from: &str, to: &str, count: usize) {
    let template = &template(client, what, first, from, to).await.to_string();
    let target = &Request::new(what.path(to));
    stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, |index| async move {
            let app = name(index);
            let body: Value = serde_json::from_str(&template.replace(FIRST, &app)).unwrap();
            apply(client, target, &first.replace(FIRST, &app), &body).await;
        })
        .await;
}

/// An object as it is, with another namespace, as it can be applied.
pub async fn template(client: &Client, what: Looked, name: &str, from: &str, to: &str) -> Value {
    let request = Request::new(what.path(from)).get(name, &GetParams::default());
    let mut object: Value = serde_json::from_str(&send(client, request.unwrap()).await).unwrap();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    serde_json::from_str(&object.to_string().replace(from, to)).unwrap()
}

/// Makes each Deployment available that comes by, until the senders are gone. `most` becomes the greatest number of those
/// that waited for it.
pub async fn make_available(
    client: Client,
    namespace: String,
    seen: mpsc::UnboundedReceiver<View>,
    most: Arc<AtomicUsize>,
) {
    let seen = stream::unfold(seen, |mut seen| async {
        let view = seen.recv().await?;
        most.fetch_max(seen.len(), Ordering::Relaxed);
        Some((view, seen))
    });
    seen.for_each_concurrent(AT_ONCE, |view| {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move {
            if view.status.observed_generation < view.metadata.generation {
                let request = set_available(&namespace, &view.metadata.name, view.metadata.generation, true);
                send(&client, request).await;
            }
        }
    })
    .await;
}

/// Sets a Deployment's status as the Deployment controller does when its only pod becomes, or ceases to be, available.
pub fn set_available(namespace: &str, name: &str, generation: i64, available: bool) -> http::Request<Vec<u8>> {
    let (status, reason) = if available {
        ("True", "MinimumReplicasAvailable")
    } else {
        ("False", "MinimumReplicasUnavailable")
    };
    let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({ "type": type_, "status": status, "reason": reason, "message": reason,
                "lastUpdateTime": at, "lastTransitionTime": at })
    };
    let count = available.then_some(1);
    let body = json!({ "status": {
        "observedGeneration": generation,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": count,
        "availableReplicas": count,
        "unavailableReplicas": if available { None } else { Some(1) },
        "conditions": [
            condition("Available", status, reason),
            condition("Progressing", "True", "NewReplicaSetAvailable"),
        ],
    } });
    let requests = Request::new(Looked::Deployments.path(namespace));
    let params = managed_by("kube-controller-manager");
    let request = requests.patch_subresource("status", name, &params, &Patch::Merge(&body));
    request.unwrap()
}

/// Sets a weight as `kubectl annotate` does.
pub fn set_weight(namespace: &str, config_map: &str, weight: i32) -> http::Request<Vec<u8>> {
    let body = json!({ "metadata": { "annotations": { "iter8.tools/weight": weight.to_string() } } });
    let requests = Request::new(Looked::ConfigMaps.path(namespace));
    let request = requests.patch(config_map, &managed_by("kubectl-annotate"), &Patch::Merge(&body));
    request.unwrap()
}

fn managed_by(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

async fn create(client: &Client, url: &str, object: &Value) {
    let request = Request::new(url).create(&PostParams::default(), serde_json::to_vec(object).unwrap());
    send(client, request.unwrap()).await;
}

/// Sends a request, once more if the connection breaks: an idle one may be closed while it is sent.
pub async fn send(client: &Client, request: http::Request<Vec<u8>>) -> String {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match client.request_text(request.clone()).await {
            Ok(answer) => return answer,
            // The broken connection has brought it there.
            Err(kube::Error::Api(status)) if status.is_already_exists() && last.is_some() => return String::new(),
            Err(kube::Error::Api(status)) => panic!("{} {}: {}", request.method(), request.uri(), status.message),
            Err(error) => last = Some(error),
        }
    }
    panic!("{} {}: {last:?}", request.method(), request.uri());
}

async fn apply(client: &Client, requests: &Request, name: &str, object: &Value) {
    let params = PatchParams::apply("bench").force();
    let request = requests.patch(name, &params, &Patch::Apply(object));
    send(client, request.unwrap()).await;
}
