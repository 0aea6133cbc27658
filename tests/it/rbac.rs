//! What the operator may do, and that it needs it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use iter8::cluster::permissions::{OWN_NAMESPACE, PERMISSIONS, Permission, WEIGHT_TARGETS};

use serde_json::Value;

use crate::golden;
use crate::support::api::Resource;
use crate::support::audit::Request;
use crate::support::{SOON, Test, holds, skip_unless_local};

/// The operator's role of this kind and name, as YAML.
fn role(kind: &str, name: &str, rules: &str) -> String {
    format!(
        "# Made from src/cluster/permissions.rs by `make generate`.
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata:
  name: {name}
rules:
{rules}"
    )
}

/// Rules of a role, as YAML.
pub fn rules<'a>(permissions: impl IntoIterator<Item = &'a Permission>) -> String {
    let list = |words: &[&str]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    for rule in permissions {
        let (group, resources, verbs) = (quoted(rule.group), list(rule.resources), list(rule.verbs));
        writeln!(
            text,
            "# {}\n- apiGroups: [{group}]\n  resources: [{resources}]\n  verbs: [{verbs}]",
            rule.why
        )
        .unwrap();
    }
    text
}

fn quoted(word: &str) -> String {
    if word.is_empty() {
        "\"\"".to_owned()
    } else {
        word.to_owned()
    }
}

#[test]
fn the_roles_are_what_the_operator_says_it_needs() {
    let everywhere = PERMISSIONS.iter().chain(WEIGHT_TARGETS);
    let within = everywhere.clone().filter(|rule| !rule.is_outside_of_namespaces());
    golden::check(
        [
            (
                "rbac/cluster_role.yaml",
                role("ClusterRole", "iter8", &rules(everywhere)),
            ),
            ("rbac/own_role.yaml", role("Role", "iter8-own", &rules(OWN_NAMESPACE))),
            ("namespace/role.yaml", role("Role", "iter8", &rules(within))),
        ]
        .map(|(file, text)| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
            golden::compare_file(&path, &text)
        }),
    );
}

/// Group, plural with subresource, verb.
type Right = (String, String, String);

/// What the rules allow.
fn allowed() -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in PERMISSIONS.iter().chain(WEIGHT_TARGETS).chain(OWN_NAMESPACE) {
        for resource in rule.resources {
            let verbs = rule.verbs.iter();
            rights.extend(verbs.map(|verb| (rule.group.to_owned(), (*resource).to_owned(), (*verb).to_owned())));
        }
    }
    rights
}

/// What a request needed.
fn used(request: &Request) -> Vec<Right> {
    let slash = if request.subresource.is_empty() { "" } else { "/" };
    let resource = format!("{}{slash}{}", request.resource, request.subresource);
    let right = |verb: &str| (request.group.clone(), resource.clone(), verb.to_owned());
    // Server-side apply of an object that does not exist is checked for both.
    let creates = request.verb == "patch" && request.code == 201;
    std::iter::once(right(&request.verb))
        .chain(creates.then(|| right("create")))
        .collect()
}

/// Blue-green with two versions on Istio: every kind that a Release is made of.
fn release(strategy: &str, versions: &str) -> String {
    format!(
        "
apiVersion: iter8.tools/v1alpha1
kind: Release
metadata:
  name: shop
spec:
  environment: {}
  application:
    strategy: {strategy}
    versions: {versions}
  drainSeconds: 0
",
        if strategy == "none" {
            "deployment"
        } else {
            "deployment-istio"
        },
    )
}

/// A policy that names every kind that is watched on demand.
fn policy(route: &str) -> String {
    format!(
        "
apiVersion: iter8.tools/v1alpha1
kind: RoutePolicy
metadata:
  name: own
spec:
  strategy: mirror
  versions:
  - name: a
    resources: [{{apiVersion: v1, kind: Service, name: shop-0}}]
    backend: {{name: shop-0, port: 80}}
  - name: b
    resources:
    - {{apiVersion: apps/v1, kind: StatefulSet, name: b}}
    - {{apiVersion: apps/v1, kind: DaemonSet, name: b}}
    - {{apiVersion: apps/v1, kind: ReplicaSet, name: b}}
    - {{apiVersion: serving.knative.dev/v1, kind: Service, name: b}}
    backend: {{name: b, port: 80}}
  route: {route}
"
    )
}

/// What users may let Experiments move weights in: one object of each kind, with 100 or 0 in it.
const WEIGHTED: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: weighted}
spec:
  template: {spec: {containers: [{image: a}]}}
  traffic: [{revisionName: weighted-1, percent: 100}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: weighted}
spec:
  hosts: [weighted]
  http: [{route: [{destination: {host: a}, weight: 0}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: weighted}
spec:
  parentRefs: [{group: '', kind: Service, name: weighted}]
  rules: [{backendRefs: [{name: a, port: 80, weight: 100}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: weighted, labels: {iter8.tools/watch: 'true'}, annotations: {iter8.tools/weight: '0'}}
";

/// Two versions without criteria, so that the candidate gets its share at once.
fn experiment(name: &str, [baseline, candidate]: [&str; 2]) -> String {
    format!(
        "
apiVersion: iter8.tools/v2alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  target: {name}
  strategy: {{testingPattern: Canary}}
  duration: {{intervalSeconds: 1, iterationsPerLoop: 2}}
  versionInfo:
    baseline: {{name: a, weightObjRef: {baseline}}}
    candidates:
    - {{name: b, weightObjRef: {candidate}}}
"
    )
}

/// Weights are moved in an object of each kind that Experiments may name.
fn move_weights(test: &Test) {
    const KSVC: &str =
        "{apiVersion: serving.knative.dev/v1, kind: Service, name: weighted, fieldPath: /spec/traffic/0/percent}";
    const VIRTUAL_SERVICE: &str = "{apiVersion: networking.istio.io/v1, kind: VirtualService, name: weighted, \
         fieldPath: /spec/http/0/route/0/weight}";
    const HTTP_ROUTE: &str = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, name: weighted, \
         fieldPath: /spec/rules/0/backendRefs/0/weight}";
    const CONFIG_MAP: &str =
        "{apiVersion: v1, kind: ConfigMap, name: weighted, fieldPath: /metadata/annotations/iter8.tools~1weight}";
    test.apply(WEIGHTED);
    test.apply(&experiment("istio", [KSVC, VIRTUAL_SERVICE]));
    test.apply(&experiment("gateway", [HTTP_ROUTE, CONFIG_MAP]));
    for name in ["istio", "gateway"] {
        let experiment = format!("experiment/{name}");
        test.kubectl(["wait", "--for=condition=Completed", "--timeout=60s", &experiment]);
    }
    let weight = |kind: &str, pointer: &str| test.get(kind, "weighted").pointer(pointer).cloned();
    let istio = weight("virtualservice", "/spec/http/0/route/0/weight");
    assert!(istio.is_some_and(|weight| weight != 0), "nothing was moved");
    let gateway = weight("configmap", "/metadata/annotations/iter8.tools~1weight");
    assert!(gateway.is_some_and(|weight| weight != "0"), "nothing was moved");
}

/// The operator takes part in an election, of which it is the only candidate.
fn elect(test: &Test) {
    let lease = format!("--lease-name={}", test.namespace);
    let namespace = "--lease-namespace=iter8-system";
    test.run_with(["--leader-elect", namespace, "--lease-retry-period=1", &lease]);
}

#[test]
fn the_operator_uses_every_right_that_it_has() {
    if skip_unless_local("the audit log") {
        return;
    }
    let test = Test::with_account("rights");
    let mark = test.audit_mark();
    elect(&test);
    test.start();
    test.apply(&release("blue-green", "[{image: shop:1}, {image: shop:2, weight: 20}]"));
    test.wait_ready("release/shop");
    // An Event that comes again, in the same words, is a patch; but of two that wait to be sent one is made that counts two.
    for (weight, shares, count) in [(30, "63/37", 1), (40, "56/44", 1), (30, "63/37", 2)] {
        let annotation = format!("iter8.tools/weight={weight}");
        test.kubectl([
            "annotate",
            "--overwrite",
            "configmap",
            "shop-1-weight-config",
            &annotation,
        ]);
        test.wait_until("an Event tells of it", SOON, || {
            let (events, _) = test.cluster.api.list(&test.namespace, &Resource::named("event"));
            let tells = |event: &&Value| event["note"] == format!("VirtualService shop now gives {shares}");
            let told = events.iter().find(tells);
            let times = told.map(|event| event["series"]["count"].as_i64().unwrap_or(1));
            holds(times == Some(count), &events)
        });
    }
    for (route, kind, other) in [
        (
            "{httpRoute: {parentRefs: [{kind: Service, name: shop}]}}",
            "httproute",
            "virtualservice",
        ),
        ("{virtualService: {hosts: [own]}}", "virtualservice", "httproute"),
        (
            "{httpRoute: {parentRefs: [{kind: Service, name: shop}]}}",
            "httproute",
            "virtualservice",
        ),
    ] {
        test.apply(&policy(route));
        test.there(kind, "own");
        test.gone(other, "own");
    }
    test.apply(&release("blue-green", "[{image: shop:1}]"));
    test.gone("deployment", "shop-1");
    test.apply(&release("none", "[{image: shop:1}]"));
    test.gone("routepolicy", "shop");
    move_weights(&test);

    let mut rights = BTreeSet::new();
    for request in test.requests_since(mark) {
        assert!(!request.forbidden, "{request:#?}");
        // A request without a resource asks which kinds a group has, as everybody may.
        if !request.resource.is_empty() {
            rights.extend(used(&request));
        }
    }
    let superfluous: Vec<_> = allowed().difference(&rights).cloned().collect();
    assert!(superfluous.is_empty(), "not used: {superfluous:#?}");
    let unexpected: Vec<_> = rights.difference(&allowed()).cloned().collect();
    assert!(unexpected.is_empty(), "used without a rule: {unexpected:#?}");
}
