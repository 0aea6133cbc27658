//! The cluster that tests run in.

use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::{Arc, LazyLock};
use std::{env, fs};

use serde_json::{Value, json};

use super::api::Api;
use super::audit::AuditLog;
use super::kubectl::{Kubectl, say};
use super::operator::{BINARY, Operator};

/// Namespace and name of the operator's ServiceAccount.
pub const SERVICE_ACCOUNT: (&str, &str) = ("iter8-system", "iter8");

/// Where the launcher, and what belongs to a cluster that we did not start, is put.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// A cluster with the CRDs, the rights and the ServiceAccount of the operator.
pub struct Cluster {
    /// `kubectl` as the admin.
    pub kubectl: Kubectl,
    /// A client as the admin.
    pub api: Api,
    /// Every request of the API server; not known of a cluster that we did not start.
    pub audit: Option<AuditLog>,
    /// Where files of tests go.
    pub folder: PathBuf,
    /// What the operator connects with.
    pub operator_kubeconfig: PathBuf,
    /// The name that the launcher knows it by, if it started it.
    launched: Option<String>,
    dedicated: bool,
}

/// The cluster that all tests of this process share. It ends with the process.
pub fn cluster() -> Arc<Cluster> {
    static SHARED: LazyLock<Arc<Cluster>> = LazyLock::new(|| {
        Arc::new(if is_current() {
            Cluster::current()
        } else {
            Cluster::launch(format!("it-{}", process::id()), false, With::Operator)
        })
    });
    Arc::clone(&SHARED)
}

/// A cluster for one test, that ends with it: for an operator of all namespaces, for killing components, for counts of
/// everything. `None`, with the reason printed, where tests use a cluster that is there already.
pub fn dedicated_cluster(name: &str) -> Option<Arc<Cluster>> {
    own_cluster(name, With::Operator)
}

/// The same without CRDs and rights of the operator: it is to be installed.
pub fn bare_cluster(name: &str) -> Option<Arc<Cluster>> {
    own_cluster(name, With::Nothing)
}

fn own_cluster(name: &str, with: With) -> Option<Arc<Cluster>> {
    if skip_unless_local("a cluster of its own") {
        return None;
    }
    let name = format!("it-{}-{name}", process::id());
    Some(Arc::new(Cluster::launch(name, true, with)))
}

/// What of the operator a cluster has from the beginning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    /// Its CRDs, its ServiceAccount and its rights.
    Operator,
    /// A namespace for it.
    Nothing,
}

/// Whether the test must be skipped because it needs `what`, which only a cluster has that the tests started; says so.
pub fn skip_unless_local(what: &str) -> bool {
    if is_current() {
        let name = std::thread::current().name().unwrap_or("test").to_owned();
        println!("{name}: skipped: ITER8_TEST_CLUSTER=current, and it needs {what}");
    }
    is_current()
}

fn is_current() -> bool {
    match env::var("ITER8_TEST_CLUSTER") {
        Err(_) => false,
        Ok(value) => {
            assert_eq!(value, "current", "ITER8_TEST_CLUSTER knows no other value");
            true
        }
    }
}

impl Cluster {
    /// Starts one. It ends with this process at the latest.
    fn launch(name: String, dedicated: bool, with: With) -> Self {
        let pid = process::id().to_string();
        // Ours too, before there is a garbage collector that would have to look for new kinds.
        let crds = match with {
            With::Operator => format!("{},{}", crate::CRDS, crd_file().display()),
            With::Nothing => crate::CRDS.to_owned(),
        };
        let up = ["up", "--name", &name, "--owner-pid", &pid, "--crds", &crds];
        let exports = launcher(&up);
        let kubeconfig = exports
            .lines()
            .find_map(|line| line.strip_prefix("export KUBECONFIG="))
            .unwrap_or_else(|| panic!("the launcher names no kubeconfig: {exports}"));
        let state = Path::new(kubeconfig).with_file_name("cluster.json");
        let state: Value = serde_json::from_str(&fs::read_to_string(state).unwrap()).unwrap();
        let path = |key: &str| PathBuf::from(state[key].as_str().unwrap());
        let folder = path("dir").join("tests");
        let kubectl = path("binDir").join("kubectl");
        let audit_log = Some(path("auditLog"));
        let cluster = Self::prepare(kubectl, kubeconfig.into(), folder, audit_log, Some(name), dedicated);
        if with == With::Nothing {
            return cluster;
        }
        cluster.with_rights()
    }

    /// The one of `KUBECONFIG`.
    fn current() -> Self {
        let folder = Path::new(SCRATCH).join(format!("it-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let kubeconfig = folder.join("kubeconfig");
        let mut view = Command::new("kubectl");
        let said = say(
            view.args(["config", "view", "--raw", "--minify", "--flatten", "--output=json"]),
            "",
        );
        assert!(said.ok, "{}", said.stderr);
        fs::write(&kubeconfig, said.stdout).unwrap();
        let cluster = Self::prepare("kubectl".into(), kubeconfig, folder, None, None, false);
        let crds = crd_file().to_str().unwrap();
        cluster.kubectl.ok(["apply", "--server-side", "--filename", crds], "");
        let names =
            ["releases", "routepolicies", "experiments", "metrics"].map(|name| format!("crd/{name}.iter8.tools"));
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        let wait = wait.into_iter().chain(names.iter().map(String::as_str));
        cluster.kubectl.ok(wait, "");
        cluster.with_rights()
    }

    fn prepare(
        kubectl: PathBuf,
        kubeconfig: PathBuf,
        folder: PathBuf,
        audit_log: Option<PathBuf>,
        launched: Option<String>,
        dedicated: bool,
    ) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let kubectl = Kubectl {
            binary: kubectl,
            cache: folder.join("cache"),
            namespace: None,
            kubeconfig,
        };
        let api = Api::new(&kubectl.kubeconfig);
        api.create_namespace(SERVICE_ACCOUNT.0);
        Self {
            audit: audit_log.map(|path| AuditLog::new(path, api.clone())),
            kubectl,
            api,
            operator_kubeconfig: kubeconfig_of(&folder, SERVICE_ACCOUNT.1),
            folder,
            launched,
            dedicated,
        }
    }

    /// Gives the operator its rights.
    fn with_rights(self) -> Self {
        let rbac = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rbac");
        self.kubectl.ok(["apply", "--kustomize", rbac], "");
        self.login(SERVICE_ACCOUNT.0, SERVICE_ACCOUNT.1);
        self
    }

    /// Whether it is still there when the tests are over.
    pub fn outlives_the_tests(&self) -> bool {
        self.launched.is_none()
    }

    /// Lets the garbage collector see kinds that were installed just now: it looks for them every 30 s, and at its start.
    pub fn collect_new_kinds(&self) {
        self.component("restart", "kube-controller-manager");
    }

    /// Writes the admin's kubeconfig with the ServiceAccount's token in place of the admin's login.
    #[track_caller]
    pub fn login(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self
            .kubectl
            .within(namespace)
            .ok(["create", "token", account, "--duration=24h"], "");
        let view = ["config", "view", "--raw", "--minify", "--flatten", "--output=json"];
        let mut config: Value = serde_json::from_str(&self.kubectl.ok(view, "")).unwrap();
        config["users"][0]["user"] = json!({ "token": token.trim() });
        let path = kubeconfig_of(&self.folder, account);
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// An operator beside those of [`super::Test`]s: of one namespace, or of all. Its log is in the cluster's folder.
    #[track_caller]
    pub fn operator(&self, namespace: Option<&str>) -> Operator {
        let log = self.folder.join("operator.log");
        Operator::start(&self.operator_kubeconfig, namespace, &log)
    }

    /// A ServiceAccount with the operator's rights that nobody else uses, so that what it asks for can be told apart:
    /// its name, and what to connect with.
    #[track_caller]
    pub fn account(&self, name: &str) -> (String, PathBuf) {
        let kubectl = self.kubectl.within(SERVICE_ACCOUNT.0);
        kubectl.ok(["create", "serviceaccount", name], "");
        let subject = format!("--serviceaccount={}:{name}", SERVICE_ACCOUNT.0);
        kubectl.ok(
            ["create", "clusterrolebinding", name, "--clusterrole=iter8", &subject],
            "",
        );
        self.bind_own(name);
        (user(name), self.login(SERVICE_ACCOUNT.0, name))
    }

    /// Gives a ServiceAccount the operator's rights in its own namespace.
    pub fn bind_own(&self, account: &str) {
        let kubectl = self.kubectl.within(SERVICE_ACCOUNT.0);
        let subject = format!("--serviceaccount={}:{account}", SERVICE_ACCOUNT.0);
        kubectl.ok(["create", "rolebinding", account, "--role=iter8-own", &subject], "");
    }

    /// `stop`, `start` or `restart` a component of a cluster that we started, as `kube-apiserver`; data stay.
    #[track_caller]
    pub fn component(&self, verb: &str, component: &str) {
        let name = self.launched.as_ref().expect("not a cluster of our own");
        launcher(&[verb, "--name", name, component]);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(name) = self.launched.as_ref().filter(|_| self.dedicated) {
            launcher(&["down", "--name", name]);
        }
    }
}

/// Who a ServiceAccount of the operator's namespace is in the audit log.
pub fn user(account: &str) -> String {
    format!("system:serviceaccount:{}:{account}", SERVICE_ACCOUNT.0)
}

fn kubeconfig_of(folder: &Path, account: &str) -> PathBuf {
    folder.join(format!("{account}.kubeconfig"))
}

/// The operator's CRDs, as it prints them.
fn crd_file() -> &'static Path {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let crds = say(Command::new(BINARY).arg("crdgen"), "");
        assert!(crds.ok, "iter8 crdgen: {}", crds.stderr);
        // Written beside and moved: another process may be reading the old one.
        let scratch = Path::new(SCRATCH);
        let (new, path) = (
            scratch.join(format!("crds-{}", process::id())),
            scratch.join("crds.yaml"),
        );
        fs::write(&new, crds.stdout).unwrap();
        fs::rename(new, &path).unwrap();
        path
    });
    &FILE
}

/// Runs the launcher and returns what it prints.
#[track_caller]
fn launcher(arguments: &[&str]) -> String {
    static LAUNCHER: LazyLock<PathBuf> = LazyLock::new(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster");
        // Built beside and moved: another process may be running the old one.
        let (new, path) = (
            format!("{SCRATCH}/cluster-{}", process::id()),
            format!("{SCRATCH}/cluster"),
        );
        let mut build = Command::new("go");
        build
            .current_dir(source)
            .env("CGO_ENABLED", "0")
            .args(["build", "-o", &new, "."]);
        let said = say(&mut build, "");
        assert!(said.ok, "go build in {source}: {}", said.stderr);
        fs::rename(new, &path).unwrap();
        path.into()
    });
    let said = say(Command::new(&*LAUNCHER).args(arguments), "");
    assert!(
        said.ok,
        "{} {}: {}",
        LAUNCHER.display(),
        arguments.join(" "),
        said.stderr
    );
    said.stdout
}
