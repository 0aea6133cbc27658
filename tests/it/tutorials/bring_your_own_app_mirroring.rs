//! *Traffic mirroring* between Deployments that users make themselves.

use serde_json::{Value, json};

use crate::support::{SOON, Test, equal};

pub(super) const HTTPBIN: &str = "
apiVersion: v1
kind: Service
metadata:
  name: httpbin
  labels:
    app: httpbin
spec:
  ports:
  - name: http
    port: 8000
    targetPort: 80
  selector:
    app: httpbin
";

/// In place of the tutorial's `subject` and `routingpolicy`.
const POLICY: &str = "
apiVersion: iter8.tools/v1alpha1
kind: RoutePolicy
metadata:
  name: httpbin
spec:
  strategy: mirror
  versions:
  - name: httpbin-v1
    resources:
    - {apiVersion: v1, kind: Service, name: httpbin-v1}
    - {apiVersion: apps/v1, kind: Deployment, name: httpbin-v1}
    backend: {name: httpbin-v1, port: 80}
  - name: httpbin-v2
    resources:
    - {apiVersion: v1, kind: Service, name: httpbin-v2}
    - {apiVersion: apps/v1, kind: Deployment, name: httpbin-v2}
    backend: {name: httpbin-v2, port: 80}
  route:
    httpRoute:
      parentRefs:
      - kind: Service
        name: httpbin
        port: 8000
";

pub(super) fn deployment(version: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: httpbin-{version}
spec:
  replicas: 1
  selector:
    matchLabels:
      app: httpbin
      version: {version}
  template:
    metadata:
      labels:
        app: httpbin
        version: {version}
    spec:
      containers:
      - image: docker.io/kennethreitz/httpbin
        imagePullPolicy: IfNotPresent
        name: httpbin
        command: ["gunicorn", "--access-logfile", "-", "-b", "0.0.0.0:80", "httpbin:app"]
        ports:
        - containerPort: 80
"#
    )
}

pub(super) fn service(version: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata:
  name: httpbin-{version}
spec:
  ports:
  - port: 80
    name: http
  selector:
    app: httpbin
    version: {version}
"
    )
}

#[test]
fn the_mirroring_tutorial_for_apps_of_ones_own_does_what_it_says() {
    let test = Test::new("bring your own tutorial");
    let safety = test.watch_safety();

    // Deploy app
    test.apply(&deployment("v1"));
    test.apply(&service("v1"));
    test.apply(HTTPBIN);
    test.apply(POLICY);
    test.there("httproute", "httpbin");
    assert_route_becomes(&test, &route(&[]));

    // Deploy variant 2
    test.apply(&deployment("v2"));
    test.apply(&service("v2"));
    test.wait_ready("routepolicy/httpbin");
    assert_route_becomes(&test, &route(&["httpbin-v2"]));
    safety.assert_safe();

    // Delete variant 2
    test.kubectl(["delete", "deploy/httpbin-v2", "svc/httpbin-v2"]);
    assert_route_becomes(&test, &route(&[]));

    // Cleanup
    test.kubectl(["delete", "routepolicy", "httpbin"]);
    test.gone("httproute", "httpbin");
    for (kind, name) in [
        ("deployment", "httpbin-v1"),
        ("service", "httpbin-v1"),
        ("service", "httpbin"),
    ] {
        assert!(
            test.get(kind, name)["metadata"]["deletionTimestamp"].is_null(),
            "{kind} {name} is the user's"
        );
    }
}

fn route(mirrors: &[&str]) -> Value {
    let backend = |name: &str| json!({ "group": "", "kind": "Service", "name": name, "port": 80 });
    let mut filters = vec![json!({
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": { "add": [{ "name": "app-version", "value": "httpbin-v1" }] },
    })];
    for name in mirrors {
        filters.push(json!({ "type": "RequestMirror", "requestMirror": { "backendRef": backend(name) } }));
    }
    let mut primary = backend("httpbin-v1");
    primary["weight"] = 100.into();
    json!({
        "parentRefs": [{ "group": "", "kind": "Service", "name": "httpbin", "port": 8000 }],
        "rules": [{
            "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
            "filters": filters,
            "backendRefs": [primary],
        }],
    })
}

#[track_caller]
fn assert_route_becomes(test: &Test, want: &Value) {
    test.wait_until("the route is as in the tutorial", SOON, || {
        equal(test.get("httproute", "httpbin")["spec"].take(), want)
    });
}
