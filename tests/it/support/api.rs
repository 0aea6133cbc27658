//! Reading from the API server, as the admin.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, HeaderValue};
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};

use super::SOON;

/// For the clients of all tests.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
});

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Plural, names and `apiVersion` of the kinds that tests read.
const KINDS: [(&str, &[&str], &str); 20] = [
    ("releases", &["release", "rel"], "iter8.tools/v1alpha1"),
    ("routepolicies", &["routepolicy", "rp"], "iter8.tools/v1alpha1"),
    ("experiments", &["experiment", "exp"], "iter8.tools/v2alpha1"),
    ("metrics", &["metric"], "iter8.tools/v2alpha1"),
    ("virtualservices", &["virtualservice", "vs"], "networking.istio.io/v1"),
    ("httproutes", &["httproute"], "gateway.networking.k8s.io/v1"),
    ("deployments", &["deployment", "deploy"], "apps/v1"),
    ("replicasets", &["replicaset", "rs"], "apps/v1"),
    ("statefulsets", &["statefulset", "sts"], "apps/v1"),
    ("daemonsets", &["daemonset", "ds"], "apps/v1"),
    ("services", &["service", "svc"], "v1"),
    ("configmaps", &["configmap", "cm"], "v1"),
    ("pods", &["pod"], "v1"),
    ("namespaces", &["namespace", "ns"], "v1"),
    ("resourcequotas", &["resourcequota", "quota"], "v1"),
    ("events", &["event"], "events.k8s.io/v1"),
    ("horizontalpodautoscalers", &["hpa"], "autoscaling/v2"),
    ("customresourcedefinitions", &["crd"], "apiextensions.k8s.io/v1"),
    ("clusterroles", &["clusterrole"], "rbac.authorization.k8s.io/v1"),
    ("services", &["ksvc"], "serving.knative.dev/v1"),
];

/// Where objects of a kind are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// As in `apiVersion`.
    pub api_version: String,
    /// As in URLs.
    pub plural: String,
}

impl Resource {
    /// By a name that `kubectl` knows (`deployment`, `deploy`), or `<plural>.<version>.<group>`.
    #[track_caller]
    pub fn named(name: &str) -> Self {
        let known = KINDS
            .iter()
            .find(|(plural, names, _)| *plural == name || names.contains(&name));
        if let Some((plural, _, api_version)) = known {
            let (api_version, plural) = ((*api_version).to_owned(), (*plural).to_owned());
            return Self { api_version, plural };
        }
        let parts: Vec<&str> = name.splitn(3, '.').collect();
        let [plural, version, group] = parts[..] else {
            panic!("{name}: add the kind to the table in {}", file!());
        };
        let (api_version, plural) = (format!("{group}/{version}"), plural.to_owned());
        Self { api_version, plural }
    }

    fn url(&self, namespace: Option<&str>) -> String {
        let Self { api_version, plural } = self;
        let root = if api_version.contains('/') { "apis" } else { "api" };
        match namespace {
            Some(namespace) => format!("/{root}/{api_version}/namespaces/{namespace}/{plural}"),
            None => format!("/{root}/{api_version}/{plural}"),
        }
    }

    /// Requests for objects in a namespace, or for those that have none.
    pub fn requests(&self, namespace: Option<&str>) -> Request {
        Request::new(self.url(namespace))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)
    }
}

/// A client with all rights.
#[derive(Clone)]
pub struct Api {
    /// The client itself.
    pub client: Client,
}

impl Api {
    /// Connects.
    pub fn new(kubeconfig: &Path) -> Self {
        let client = RUNTIME.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
            let options = KubeConfigOptions::default();
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            config.default_retry = false;
            Client::try_from(config).unwrap()
        });
        Self { client }
    }

    /// The object, without its managed fields, if it exists.
    pub fn find(&self, namespace: Option<&str>, kind: &str, name: &str) -> Option<Value> {
        let requests = Resource::named(kind).requests(namespace);
        let mut object = self.patiently(|| requests.get(name, &GetParams::default()).unwrap())?;
        without_managed_fields(&mut object);
        Some(object)
    }

    /// All objects of a kind in the namespace, without their managed fields, and the resourceVersion that they are of;
    /// none when the kind is not installed.
    pub fn list(&self, namespace: &str, resource: &Resource) -> (Vec<Value>, u64) {
        let requests = resource.requests(Some(namespace));
        let list = self.patiently(|| requests.list(&ListParams::default()).unwrap());
        let Some(mut list) = list else { return (Vec::new(), 0) };
        let version = resource_version(&list);
        let Value::Array(mut items) = list["items"].take() else {
            panic!("no items in {list}")
        };
        items.iter_mut().for_each(without_managed_fields);
        (items, version)
    }

    /// The names of the columns that `kubectl get` prints of a kind.
    pub fn columns(&self, resource: &Resource) -> Vec<String> {
        let requests = resource.requests(None);
        let list = || {
            let mut request = requests.list(&ListParams::default().limit(1)).unwrap();
            let table = HeaderValue::from_static("application/json;as=Table;g=meta.k8s.io;v=v1");
            request.headers_mut().insert(ACCEPT, table);
            request
        };
        let table = self.patiently(list).unwrap_or_default();
        let columns = table["columnDefinitions"].as_array().into_iter().flatten();
        let names = columns.filter_map(|column| column["name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// Changes an object: maps are merged, lists replaced.
    pub fn merge(&self, namespace: &str, kind: &str, name: &str, change: &Value) {
        let requests = Resource::named(kind).requests(Some(namespace));
        let patch = Patch::Merge(change);
        let done = self.patiently(|| requests.patch(name, &PatchParams::default(), &patch).unwrap());
        assert!(done.is_some(), "there is no {kind} {name}");
    }

    /// Makes a namespace, if there is none of that name.
    pub fn create_namespace(&self, name: &str) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let requests = Resource::named("namespace").requests(None);
        let (params, patch) = (PatchParams::apply("tests"), Patch::Apply(&namespace));
        self.patiently(|| requests.patch(name, &params, &patch).unwrap());
    }

    /// Deletes an object that has no namespace, and does not wait.
    pub fn delete(&self, kind: &str, name: &str) {
        let requests = Resource::named(kind).requests(None);
        self.patiently(|| requests.delete(name, &DeleteParams::background()).unwrap());
    }

    /// The answer; `None` for 404. An API server that is being restarted is waited for.
    fn patiently(&self, request: impl Fn() -> http::Request<Vec<u8>>) -> Option<Value> {
        let deadline = Instant::now() + SOON;
        loop {
            let request = request();
            let what = format!("{} {}", request.method(), request.uri());
            let answer = RUNTIME.block_on(async {
                let answer = self.client.request::<Value>(request);
                tokio::time::timeout(REQUEST_TIMEOUT, answer).await
            });
            let error = match answer {
                Ok(Ok(value)) => return Some(value),
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => return None,
                Ok(Err(kube::Error::Api(status))) if status.code < 429 => panic!("{what}: {}", status.message),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            assert!(Instant::now() < deadline, "{what}: {error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// `metadata.resourceVersion`. All kinds of a cluster share one counter, so that they can be compared across kinds.
pub fn resource_version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    version
        .parse()
        .unwrap_or_else(|_| panic!("resourceVersion {version:?} is no number"))
}

/// Removes what makes objects long and says nothing to most tests.
pub fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}
