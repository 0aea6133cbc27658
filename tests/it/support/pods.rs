//! The operator as it was installed: what the Pods of its Deployment say is run, though no kubelet runs it.

use std::fs;

use serde_json::Value;

use super::api::Resource;
use super::cluster::Cluster;
use super::operator::Operator;

/// The processes of an installation's Pods, of this namespace and Helm release: with their arguments and variables, what
/// is mounted into them, and the rights of their ServiceAccount. Their log is `<namespace>.log`, as that of a test there.
#[track_caller]
pub fn processes(cluster: &Cluster, namespace: &str, name: &str) -> Vec<Operator> {
    let kubectl = cluster.kubectl.within(namespace);
    let deployment = format!("deployment/{name}");
    kubectl.ok(["rollout", "status", &deployment, "--timeout=60s"], "");
    let (pods, _) = cluster.api.list(namespace, &Resource::named("pod"));
    let ours = pods.into_iter().filter(|pod| {
        let metadata = &pod["metadata"];
        metadata["labels"]["app.kubernetes.io/instance"] == name && metadata["deletionTimestamp"].is_null()
    });
    ours.map(|pod| process(cluster, namespace, &pod)).collect()
}

fn process(cluster: &Cluster, namespace: &str, pod: &Value) -> Operator {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    let container = &pod["spec"]["containers"][0];
    let mount = &container["volumeMounts"][0]["mountPath"];
    let folder = mounted(cluster, namespace, pod);
    let variable = |variable: &Value| {
        let field = &variable["valueFrom"]["fieldRef"]["fieldPath"];
        let value = match field.as_str() {
            Some("metadata.name") => text(&pod["metadata"]["name"]),
            Some("metadata.namespace") => namespace.to_owned(),
            Some(other) => panic!("{other}"),
            // Every replica has an address of its own.
            None if variable["name"] == "ITER8_LISTEN" => "127.0.0.1:0".to_owned(),
            None => text(&variable["value"]).replace(&text(mount), &folder),
        };
        (text(&variable["name"]), value)
    };
    let variables: Vec<_> = container["env"].as_array().unwrap().iter().map(variable).collect();
    let arguments: Vec<_> = container["args"].as_array().unwrap().iter().map(text).collect();
    let kubeconfig = cluster.login(namespace, &text(&pod["spec"]["serviceAccountName"]));
    let log = cluster.folder.join(format!("{namespace}.log"));
    Operator::start_as(&kubeconfig, &log, &arguments, &variables)
}

/// The folder with what is in the ConfigMap that a Pod mounts.
fn mounted(cluster: &Cluster, namespace: &str, pod: &Value) -> String {
    let folder = cluster.folder.join(namespace);
    fs::create_dir_all(&folder).unwrap();
    let name = pod["spec"]["volumes"][0]["configMap"]["name"].as_str().unwrap();
    let config = cluster.api.find(Some(namespace), "configmap", name).unwrap();
    for (file, text) in config["data"].as_object().unwrap() {
        fs::write(folder.join(file), text.as_str().unwrap()).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}
