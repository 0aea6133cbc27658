//! The applications, and the one who stands in for Deployment controller and kubelet: he sets the status of Deployments.

use futures::{StreamExt, stream};
use kube::Client;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::observer::{DEPLOYMENTS, ROUTES, View};

/// Applications that change at once.
pub const BURST: usize = 50;
/// The first application.
pub const FIRST: &str = "app-0000";
/// Requests in flight while many objects are made.
const AT_ONCE: usize = 16;

/// The name of an application.
pub fn name(index: usize) -> String {
    format!("app-{index:04}")
}

/// The Deployment that comes and goes.
pub fn candidate(app: &str) -> String {
    format!("{app}-1")
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
    stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, |index| {
            let release = json!({
                "apiVersion": "iter8.tools/v1alpha1", "kind": "Release", "metadata": { "name": name(index) },
                "spec": {
                    "environment": "deployment-istio",
                    "application": { "strategy": "blue-green", "versions": [version("1.4.0", 30), version("1.5.0", 70)] },
                },
            });
            let url = url.as_str();
            async move { create(client, url, &release).await }
        })
        .await;
}

/// Makes this many Deployments like those of the first Release, for the probe.
pub async fn copy_deployments(client: &Client, from: &str, to: &str, count: usize) {
    let source = Request::new(format!("/{DEPLOYMENTS}/namespaces/{from}/deployments"));
    let target = &Request::new(format!("/{DEPLOYMENTS}/namespaces/{to}/deployments"));
    let mut template = get(client, &source, &candidate(FIRST)).await;
    strip(&mut template);
    let template = &template.to_string().replace(from, to);
    stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, |index| async move {
            let name = name(index);
            let body: Value = serde_json::from_str(&template.replace(FIRST, &name)).unwrap();
            apply(client, target, &candidate(&name), &body).await;
        })
        .await;
}

/// The route of the first Release as it is, with another namespace, for the probe to apply.
pub async fn route_template(client: &Client, from: &str, to: &str) -> Value {
    let routes = Request::new(format!("/{ROUTES}/namespaces/{from}/virtualservices"));
    let mut route = get(client, &routes, FIRST).await;
    strip(&mut route);
    serde_json::from_str(&route.to_string().replace(from, to)).unwrap()
}

/// Makes each Deployment available that comes by, until the senders are gone.
pub async fn make_available(client: Client, namespace: String, seen: mpsc::UnboundedReceiver<View>) {
    let seen = stream::unfold(seen, |mut seen| async { Some((seen.recv().await?, seen)) });
    seen.for_each_concurrent(AT_ONCE, |view| {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move {
            if view.status.observed_generation < view.metadata.generation {
                set_available(&client, &namespace, &view.metadata.name, view.metadata.generation, true).await;
            }
        }
    })
    .await;
}

/// Sets a Deployment's status as the Deployment controller does when its only pod becomes, or ceases to be, available.
pub async fn set_available(client: &Client, namespace: &str, name: &str, generation: i64, available: bool) {
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
    let requests = Request::new(format!("/{DEPLOYMENTS}/namespaces/{namespace}/deployments"));
    let params = PatchParams {
        field_manager: Some("kube-controller-manager".to_owned()),
        ..PatchParams::default()
    };
    let request = requests.patch_subresource("status", name, &params, &Patch::Merge(&body));
    client.request_text(request.unwrap()).await.unwrap();
}

async fn create(client: &Client, url: &str, object: &Value) {
    let request = Request::new(url).create(&PostParams::default(), serde_json::to_vec(object).unwrap());
    client.request_text(request.unwrap()).await.unwrap();
}

async fn apply(client: &Client, requests: &Request, name: &str, object: &Value) {
    let params = PatchParams::apply("bench").force();
    let request = requests.patch(name, &params, &Patch::Apply(object));
    client.request_text(request.unwrap()).await.unwrap();
}

async fn get(client: &Client, requests: &Request, name: &str) -> Value {
    let request = requests.get(name, &GetParams::default());
    client.request(request.unwrap()).await.unwrap()
}

/// Leaves what can be applied.
fn strip(object: &mut Value) {
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
}
