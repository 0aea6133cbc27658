//! Istio: its control plane, and the Envoy that it tells what to do, as an ingress gateway.
//!
//! That Envoy is not Istio's own and lacks its filters, which the control plane is told to leave out; all of them are for
//! telemetry and mutual TLS.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::mesh::{Carrier, ISTIO, ISTIO_GATEWAY, program};
use crate::support::kubectl::Kubectl;
use crate::support::operator::tied_to_this_process;
use crate::support::{SOON, wait_until};

/// Namespace of Istio.
const NAMESPACE: &str = "istio-system";

/// Of the gateway's Deployment and Service, as Istio calls them; also of its label.
const INGRESS: &str = "istio-ingressgateway";

/// What a Release says to get requests from outside: an Istio `Gateway`, or one of the Gateway API.
pub const GATEWAY: &str = "istio-system/gateway";

/// Where Envoy listens for the hosts of VirtualServices.
pub const LISTENER: u16 = 18081;

/// Where Envoy listens for the hosts of HTTPRoutes.
pub const GATEWAY_API_LISTENER: u16 = 18082;

/// Where Envoy asks Istio.
const XDS_PORT: u16 = 15010;

/// What a control plane needs to do without certificates, webhooks and Istio's own Envoy.
const FEATURES: &[(&str, &str)] = &[
    ("POD_NAMESPACE", NAMESPACE),
    ("ENABLE_CA_SERVER", "false"),
    ("PILOT_CERT_PROVIDER", "none"),
    ("INJECT_ENABLED", "false"),
    ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
    ("PILOT_ENABLE_ALPN_FILTER", "false"),
    // So that copies can be told from requests, as everywhere else.
    ("DISABLE_SHADOW_HOST_SUFFIX", "false"),
    ("ENABLE_LEADER_ELECTION", "false"),
];

/// Starts them for a cluster, and waits until Envoy listens.
pub fn start(kubectl: &Kubectl, folder: &Path) -> Carrier {
    let mut carrier = Carrier::new(folder);
    kubectl.ok(["apply", "--filename=-"], &gateways().to_string());
    start_istiod(&mut carrier, &kubectl.kubeconfig);
    start_envoy(&mut carrier, &node(kubectl));
    wait_until("Envoy listens", SOON, || {
        for mesh in [&ISTIO, &ISTIO_GATEWAY] {
            TcpStream::connect(mesh.envoy).map_err(|error| format!("{}: {error}\n{}", mesh.title, carrier.logs()))?;
        }
        Ok(())
    });
    carrier
}

fn start_istiod(carrier: &mut Carrier, kubeconfig: &Path) {
    let config = carrier.path("mesh.json");
    let mesh = json!({
        "accessLogFile": "/dev/stdout",
        "enableAutoMtls": false,
        "defaultProviders": { "metrics": [] },
    });
    fs::write(&config, mesh.to_string()).unwrap();
    let mut istiod = tied_to_this_process(&program("ISTIOD"));
    istiod.arg("discovery");
    istiod.arg("--kubeconfig").arg(kubeconfig);
    istiod.arg("--meshConfig").arg(config);
    istiod.arg(format!("--grpcAddr=127.0.0.1:{XDS_PORT}"));
    istiod.args(["--httpAddr=127.0.0.1:15080", "--monitoringAddr=127.0.0.1:15014"]);
    istiod.args(["--httpsAddr=", "--secureGRPCAddr="]);
    istiod.envs(FEATURES.iter().copied()).current_dir(carrier.path(""));
    carrier.run("istiod", istiod);
}

/// As what Envoy presents itself: the simulated pod of the gateway.
fn node(kubectl: &Kubectl) -> Value {
    let find = [
        "get",
        "pods",
        "--namespace",
        NAMESPACE,
        "--selector",
        "istio=ingressgateway",
        "--output=json",
    ];
    let pod = wait_until("the gateway's pod has an address", SOON, || {
        let pods: Value = serde_json::from_str(&kubectl.ok(find, "")).unwrap();
        let pod = pods["items"][0].clone();
        if pod["status"]["podIP"].is_string() {
            Ok(pod)
        } else {
            Err(pod.to_string())
        }
    });
    let (ip, name) = (
        pod["status"]["podIP"].as_str().unwrap(),
        pod["metadata"]["name"].as_str().unwrap(),
    );
    json!({
        "id": format!("router~{ip}~{name}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"),
        "cluster": format!("{INGRESS}.{NAMESPACE}"),
        "metadata": {
            "NAMESPACE": NAMESPACE,
            "NAME": name,
            "LABELS": pod["metadata"]["labels"],
            "CLUSTER_ID": "Kubernetes",
            "ISTIO_VERSION": "1.31.0",
        },
    })
}

fn start_envoy(carrier: &mut Carrier, node: &Value) {
    let bootstrap = carrier.path("envoy.json");
    let ads = json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" });
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": XDS_PORT } });
    let istiod = json!({
        "name": "xds-grpc",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    });
    let config = json!({
        "node": node,
        "admin": { "address": { "pipe": { "path": carrier.path("envoy.sock") } } },
        "static_resources": { "clusters": [istiod] },
        "dynamic_resources": {
            "lds_config": ads,
            "cds_config": ads,
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds-grpc" } }],
            },
        },
    });
    fs::write(&bootstrap, config.to_string()).unwrap();
    carrier.run_envoy(&bootstrap, &[]);
}

/// A pod and a Service for the Envoy, and a Gateway of each kind.
fn gateways() -> Value {
    let labels = json!({ "app": INGRESS, "istio": "ingressgateway" });
    let name = |name: &str| json!({ "namespace": NAMESPACE, "name": name });
    let port = |name: &str, port: u16| json!({ "name": name, "port": port, "targetPort": port });
    let listener = json!({
        "name": "http",
        "protocol": "HTTP",
        "port": GATEWAY_API_LISTENER,
        "allowedRoutes": { "namespaces": { "from": "All" } },
    });
    let server = json!({ "port": { "number": LISTENER, "name": "http", "protocol": "HTTP" }, "hosts": ["*"] });
    let pod = json!({
        "metadata": { "labels": labels },
        "spec": { "containers": [{ "name": "envoy", "image": "envoy" }] },
    });
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": name(INGRESS),
                "spec": { "selector": { "matchLabels": labels }, "template": pod },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": name(INGRESS),
                "spec": {
                    "selector": labels,
                    "ports": [port("http-istio", LISTENER), port("http-gateway-api", GATEWAY_API_LISTENER)],
                },
            },
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "Gateway",
                "metadata": name("gateway"),
                "spec": { "selector": { "istio": "ingressgateway" }, "servers": [server] },
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": name("gateway"),
                "spec": {
                    "gatewayClassName": "istio",
                    // With an address it is an Envoy that is there already.
                    "addresses": [{ "type": "Hostname", "value": format!("{INGRESS}.{NAMESPACE}.svc.cluster.local") }],
                    "listeners": [listener],
                },
            },
        ],
    })
}
