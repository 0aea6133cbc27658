//! *Canary release*, with the Gateway API.

use serde_json::{Value, json};

use super::{Tutorial, assert_gone, assert_row, assert_version};
use crate::support::Test;

const INITIAL: &str = "
environment: deployment-gtw
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v0
    image: kennethreitz/httpbin
  strategy: canary
";

const CANDIDATE: &str = "
environment: deployment-gtw
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v0
    image: kennethreitz/httpbin
  - metadata:
      labels:
        app.kubernetes.io/version: v1
    image: kennethreitz/httpbin
    matches:
    - headers:
      - name: traffic
        value: test
  strategy: canary
";

const PROMOTED: &str = "
environment: deployment-gtw
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v1
    image: kennethreitz/httpbin
  strategy: canary
";

/// What the reader does, and what there is to see then.
pub const TUTORIAL: Tutorial = Tutorial {
    steps: &[(INITIAL, initial), (CANDIDATE, candidate), (PROMOTED, promoted)],
    made: &[
        ("deployment", "httpbin-0"),
        ("service", "httpbin-0"),
        ("service", "httpbin"),
        ("routepolicy", "httpbin"),
        ("httproute", "httpbin"),
    ],
};

/// Deploy initial version.
fn initial(test: &Test) {
    assert_version(test, "httpbin-0", "v0");
    assert!(
        test.find("configmap", "httpbin-0-weight-config").is_none(),
        "a canary has no weights"
    );
    assert_application_service(test);
    assert_rules(test, &[everything_to("httpbin-0")]);
    assert_row(test, ["httpbin", "deployment-gtw", "canary", "1/1", "100", "Ready"]);
}

/// Deploy candidate.
fn candidate(test: &Test) {
    assert_version(test, "httpbin-0", "v0");
    assert_version(test, "httpbin-1", "v1");
    assert_rules(test, &[test_traffic_to("httpbin-1"), everything_to("httpbin-0")]);
    assert_row(
        test,
        ["httpbin", "deployment-gtw", "canary", "2/2", "100/match", "Ready"],
    );
}

/// Promote candidate.
fn promoted(test: &Test) {
    assert_version(test, "httpbin-0", "v1");
    assert_rules(test, &[everything_to("httpbin-0")]);
    assert_gone(test, "httpbin-1");
    assert_row(test, ["httpbin", "deployment-gtw", "canary", "1/1", "100", "Ready"]);
}

#[test]
fn the_canary_tutorial_does_what_it_says() {
    TUTORIAL.follow("canary tutorial");
}

/// Clients call it and the route decides who answers, so it has no pods of its own.
#[track_caller]
fn assert_application_service(test: &Test) {
    let spec = &test.get("service", "httpbin")["spec"];
    assert_eq!(spec["ports"][0]["port"], 80);
    assert!(spec.get("selector").is_none(), "{spec}");
}

#[track_caller]
fn assert_rules(test: &Test, rules: &[Value]) {
    let host = format!("httpbin.{}", test.namespace);
    let want = json!({
        "hostnames": ["httpbin", host, format!("{host}.svc"), format!("{host}.svc.cluster.local")],
        "parentRefs": [{ "group": "", "kind": "Service", "name": "httpbin", "port": 80 }],
        "rules": rules,
    });
    assert_eq!(test.get("httproute", "httpbin")["spec"], want);
}

fn everything_to(service: &str) -> Value {
    rule(&json!({ "path": { "type": "PathPrefix", "value": "/" } }), service)
}

fn test_traffic_to(service: &str) -> Value {
    let header = json!({ "type": "Exact", "name": "traffic", "value": "test" });
    rule(
        &json!({ "path": { "type": "PathPrefix", "value": "/" }, "headers": [header] }),
        service,
    )
}

fn rule(matched: &Value, service: &str) -> Value {
    json!({
        "matches": [matched],
        "filters": [{
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": { "add": [{ "name": "app-version", "value": service }] },
        }],
        "backendRefs": [{ "group": "", "kind": "Service", "name": service, "port": 80, "weight": 100 }],
    })
}
