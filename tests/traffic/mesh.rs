//! What carries routes: the control planes that read them, and the Envoys through which requests go.

use std::env;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use crate::pods::Pods;
use crate::support::cluster::cluster;
use crate::support::operator::{spawn, tail, tied_to_this_process};
use crate::{contour, istio};

/// A mesh, and what a Release says to be routed by it.
pub struct Mesh {
    /// What its tests are called after.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// `spec.environment`.
    pub environment: &'static str,
    /// `spec.gateway`.
    pub gateway: &'static str,
    /// The kind of its routes.
    pub route: &'static str,
    /// Where its Envoy listens. Envoy does so at every address, those of pods too, so no container may have that port.
    pub envoy: SocketAddr,
    /// Whether it can copy a percentage of requests; otherwise it copies all.
    pub copies_a_percentage: bool,
    /// How long the promotion of a candidate takes here, about.
    pub promotion: Duration,
    carrier: &'static LazyLock<Carrier>,
}

/// HTTPRoutes, carried by Contour.
pub static CONTOUR: Mesh = Mesh {
    name: "contour",
    title: "HTTPRoute, Contour",
    environment: "deployment-gtw",
    gateway: contour::GATEWAY,
    route: "httproute",
    envoy: local(contour::LISTENER),
    copies_a_percentage: false,
    promotion: Duration::from_secs(14),
    carrier: &CONTOUR_CARRIER,
};

/// VirtualServices, carried by Istio.
pub static ISTIO: Mesh = Mesh {
    name: "istio",
    title: "VirtualService, Istio",
    environment: "deployment-istio",
    gateway: istio::GATEWAY,
    route: "virtualservice",
    envoy: local(istio::LISTENER),
    copies_a_percentage: true,
    promotion: Duration::from_secs(7),
    carrier: &ISTIO_CARRIER,
};

/// HTTPRoutes, carried by Istio.
pub static ISTIO_GATEWAY: Mesh = Mesh {
    name: "istio_gateway",
    title: "HTTPRoute, Istio",
    environment: "deployment-gtw",
    gateway: istio::GATEWAY,
    route: "httproute",
    envoy: local(istio::GATEWAY_API_LISTENER),
    copies_a_percentage: true,
    promotion: Duration::from_secs(14),
    carrier: &ISTIO_CARRIER,
};

/// All of them.
pub static MESHES: [&Mesh; 3] = [&CONTOUR, &ISTIO, &ISTIO_GATEWAY];

static CONTOUR_CARRIER: LazyLock<Carrier> = LazyLock::new(|| {
    let cluster = cluster();
    contour::start(&cluster.kubectl, &cluster.folder.join("contour"))
});

static ISTIO_CARRIER: LazyLock<Carrier> = LazyLock::new(|| {
    let cluster = cluster();
    istio::start(&cluster.kubectl, &cluster.folder.join("istio"))
});

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Mesh {
    /// What carries its routes; it begins with the first call, and ends with this process.
    pub fn carrier(&self) -> &'static Carrier {
        self.carrier
    }
}

/// The pods of this process' cluster.
pub fn pods() -> &'static Pods {
    static PODS: LazyLock<Pods> = LazyLock::new(|| Pods::start(&cluster().api));
    &PODS
}

/// A control plane and an Envoy.
pub struct Carrier {
    folder: PathBuf,
    processes: Vec<Child>,
}

impl Carrier {
    /// None yet. Logs go to the folder.
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self {
            folder: folder.to_owned(),
            processes: Vec::new(),
        }
    }

    /// A file of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a process, which ends with this one.
    pub fn run(&mut self, name: &str, mut command: Command) {
        let log = File::create(self.path(&format!("{name}.log"))).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.processes.push(spawn(command).unwrap());
    }

    /// Starts Envoy with a bootstrap configuration and more arguments.
    pub fn run_envoy(&mut self, bootstrap: &Path, arguments: &[&str]) {
        let mut envoy = tied_to_this_process(&program("ENVOY"));
        envoy.arg("--config-path").arg(bootstrap).args(arguments);
        envoy.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        self.run("envoy", envoy);
    }

    /// The first lines of Envoy's access log that tell of failed requests for a host, response flags and all.
    pub fn failures(&self, host: &str) -> String {
        let log = fs::read_to_string(self.path("envoy.log")).unwrap_or_default();
        let host = format!("\"{host}\"");
        let failed = log
            .lines()
            .filter(|line| line.contains(&host) && line.contains("HTTP/1.1\" 5"));
        failed.take(5).collect::<Vec<_>>().join("\n")
    }

    /// The end of what each of its processes says.
    pub fn logs(&self) -> String {
        let paths = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let ends = logs.map(|path| format!("{}:\n{}", path.display(), tail(&path, 30)));
        ends.collect::<Vec<_>>().join("\n")
    }
}

/// A path that `mesh.sh` printed.
pub fn program(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start the tests outside of the namespace"))
}
