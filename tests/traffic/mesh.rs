//! The data plane: Contour, which reads the routes, and Envoy, which carries the requests.

use std::env;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::pods::Pods;
use crate::support::api::Api;
use crate::support::cluster::cluster;
use crate::support::kubectl::Kubectl;
use crate::support::operator::{spawn, tail, tied_to_this_process};

/// Namespace of the Gateway. Contour insists on its existence.
const NAMESPACE: &str = "projectcontour";

/// What a Release says to get requests from outside.
pub const GATEWAY: &str = "projectcontour/gateway";

/// The Gateway's port.
const PORT: u16 = 10080;

/// Where Envoy listens as soon as there is a route: Contour adds 8000 to the port. It listens at every address, those of
/// pods too, so no container may have that port.
pub const ENVOY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT + 8000);

/// Where Envoy asks Contour.
const XDS_PORT: &str = "8001";

/// A cluster with a gateway, and pods that answer. Its processes end with this one.
pub struct Mesh {
    /// Those of the whole cluster.
    pub pods: Pods,
    folder: PathBuf,
    processes: Vec<Child>,
}

/// The one of this process.
pub fn mesh() -> &'static Mesh {
    static MESH: LazyLock<Mesh> = LazyLock::new(|| {
        let cluster = cluster();
        Mesh::start(&cluster.kubectl, &cluster.api, &cluster.folder.join("mesh"))
    });
    &MESH
}

impl Mesh {
    /// Makes it of a cluster. Logs go to the folder.
    pub fn start(kubectl: &Kubectl, api: &Api, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        kubectl.ok(["apply", "--server-side", "--filename", &program("CONTOUR_CRDS")], "");
        kubectl.ok(["apply", "--filename=-"], &gateway().to_string());
        let mut mesh = Self {
            pods: Pods::start(api),
            folder: folder.to_owned(),
            processes: Vec::new(),
        };
        mesh.start_contour(&kubectl.kubeconfig);
        mesh.start_envoy();
        let mut ready = vec!["wait", "--for=condition=Programmed", "--timeout=60s", "gateway/gateway"];
        ready.extend(["--namespace", NAMESPACE]);
        let said = kubectl.run(ready, "");
        assert!(said.ok, "{}\n{}", said.stderr, mesh.log("contour"));
        mesh
    }

    fn start_contour(&mut self, kubeconfig: &Path) {
        let config = self.folder.join("contour.yaml");
        let gateway = json!({ "gateway": { "gatewayRef": { "namespace": NAMESPACE, "name": "gateway" } } });
        fs::write(&config, gateway.to_string()).unwrap();
        let mut contour = tied_to_this_process(&program("CONTOUR"));
        contour.args(["serve", "--insecure", "--disable-leader-election"]);
        contour.args(["--xds-address=127.0.0.1", "--xds-port", XDS_PORT]);
        // Their kinds are not installed.
        contour.args(["tlsroutes", "tcproutes", "backendtlspolicies"].map(|kind| format!("--disable-feature={kind}")));
        contour
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--config-path")
            .arg(config);
        self.run("contour", contour);
    }

    fn start_envoy(&mut self) {
        let bootstrap = self.folder.join("envoy.json");
        let mut write = Command::new(program("CONTOUR"));
        write.arg("bootstrap").arg(&bootstrap);
        write.args(["--xds-address=127.0.0.1", "--xds-port", XDS_PORT]);
        write.arg("--admin-address").arg(self.folder.join("envoy.sock"));
        assert!(write.status().unwrap().success(), "contour bootstrap failed");
        let mut envoy = tied_to_this_process(&program("ENVOY"));
        envoy.arg("--config-path").arg(bootstrap);
        envoy.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        envoy.args(["--service-cluster", "traffic", "--service-node", "traffic"]);
        self.run("envoy", envoy);
    }

    fn run(&mut self, name: &str, mut command: Command) {
        let log = File::create(self.folder.join(format!("{name}.log"))).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.processes.push(spawn(command).unwrap());
    }

    /// The first lines of Envoy's access log that tell of failed requests for a host, response flags and all.
    pub fn failures(&self, host: &str) -> String {
        let log = fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default();
        let host = format!("\"{host}\"");
        let failed = log
            .lines()
            .filter(|line| line.contains(&host) && line.contains("HTTP/1.1\" 5"));
        failed.take(5).collect::<Vec<_>>().join("\n")
    }

    /// The end of what `contour` or `envoy` says.
    pub fn log(&self, name: &str) -> String {
        tail(&self.folder.join(format!("{name}.log")), 30)
    }
}

/// A path that `mesh.sh` printed.
fn program(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start the tests outside of the namespace"))
}

fn gateway() -> Value {
    let listener = json!({
        "name": "http",
        "protocol": "HTTP",
        "port": PORT,
        "allowedRoutes": { "namespaces": { "from": "All" } },
    });
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": { "name": "contour" },
                "spec": { "controllerName": "projectcontour.io/gateway-controller" },
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": { "name": "gateway", "namespace": NAMESPACE },
                "spec": { "gatewayClassName": "contour", "listeners": [listener] },
            },
        ],
    })
}
