//! Contour, and the Envoy that it tells what to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::mesh::{Carrier, program};
use crate::support::kubectl::Kubectl;
use crate::support::operator::tied_to_this_process;
use crate::support::{SOON, holds, wait_until};

/// Namespace of the Gateway. Contour insists on its existence.
const NAMESPACE: &str = "projectcontour";

/// What a Release says to get requests from outside.
pub const GATEWAY: &str = "projectcontour/gateway";

/// The Gateway's port.
const PORT: u16 = 10080;

/// Where Envoy listens as soon as there is a route: Contour adds 8000 to the port.
pub const LISTENER: u16 = PORT + 8000;

/// The kinds that it watches besides those of the Gateway API.
const OWN_KINDS: &str = "httpproxies,tlscertificatedelegations,extensionservices,contourconfigurations";

/// Where Envoy asks Contour.
const XDS_PORT: &str = "8001";

/// Starts them for a cluster, and waits for the Gateway.
pub fn start(kubectl: &Kubectl, folder: &Path) -> Carrier {
    let mut carrier = Carrier::new(folder);
    kubectl.ok(["apply", "--server-side", "--filename", &program("CONTOUR_CRDS")], "");
    // Contour looks once which of its kinds there are.
    wait_until("Contour's kinds are served", SOON, || {
        let said = kubectl.run(["get", "--all-namespaces", OWN_KINDS], "");
        holds(said.ok, said.stderr)
    });
    kubectl.ok(["apply", "--filename=-"], &gateway().to_string());
    start_contour(&mut carrier, &kubectl.kubeconfig);
    start_envoy(&mut carrier);
    let mut ready = vec!["wait", "--for=condition=Programmed", "--timeout=60s", "gateway/gateway"];
    ready.extend(["--namespace", NAMESPACE]);
    let said = kubectl.run(ready, "");
    assert!(said.ok, "{}\n{}", said.stderr, carrier.logs());
    carrier
}

fn start_contour(carrier: &mut Carrier, kubeconfig: &Path) {
    let config = carrier.path("contour.yaml");
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
    carrier.run("contour", contour);
}

fn start_envoy(carrier: &mut Carrier) {
    let bootstrap = carrier.path("envoy.json");
    let mut write = Command::new(program("CONTOUR"));
    write.arg("bootstrap").arg(&bootstrap);
    write.args(["--xds-address=127.0.0.1", "--xds-port", XDS_PORT]);
    write.arg("--admin-address").arg(carrier.path("envoy.sock"));
    assert!(write.status().unwrap().success(), "contour bootstrap failed");
    carrier.run_envoy(
        &bootstrap,
        &["--service-cluster", "traffic", "--service-node", "traffic"],
    );
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
