//! *Your first blue-green release*.

use serde_json::{Value, json};

use super::{Tutorial, assert_gone, assert_istio_service, assert_row, assert_version, share, virtual_service, weight};
use crate::support::Test;

const INITIAL: &str = "
environment: deployment-istio
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v0
    image: kennethreitz/httpbin
    port: 80
  strategy: blue-green
";

const CANDIDATE: &str = "
environment: deployment-istio
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v0
    image: kennethreitz/httpbin
    port: 80
  - metadata:
      labels:
        app.kubernetes.io/version: v1
    image: kennethreitz/httpbin
    port: 80
  strategy: blue-green
";

const WEIGHTS: &str = "
environment: deployment-istio
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v0
    image: kennethreitz/httpbin
    port: 80
    weight: 30
  - metadata:
      labels:
        app.kubernetes.io/version: v1
    image: kennethreitz/httpbin
    port: 80
    weight: 70
  strategy: blue-green
";

const PROMOTED: &str = "
environment: deployment-istio
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v1
    image: kennethreitz/httpbin
    port: 80
  strategy: blue-green
";

/// What the reader does, and what there is to see then.
pub const TUTORIAL: Tutorial = Tutorial {
    steps: &[
        (INITIAL, initial),
        (CANDIDATE, candidate),
        (WEIGHTS, weights),
        (PROMOTED, promoted),
    ],
    made: &[
        ("deployment", "httpbin-0"),
        ("service", "httpbin-0"),
        ("service", "httpbin"),
        ("configmap", "httpbin-0-weight-config"),
        ("routepolicy", "httpbin"),
        ("virtualservice", "httpbin"),
    ],
};

/// Deploy initial version.
fn initial(test: &Test) {
    assert_version(test, "httpbin-0", "v0");
    assert_istio_service(test);
    assert_eq!(weight(test, "httpbin-0"), "50");
    assert_shares(test, &[("httpbin-0", 100)]);
    assert_row(
        test,
        ["httpbin", "deployment-istio", "blue-green", "1/1", "100", "Ready"],
    );
}

/// Deploy candidate.
fn candidate(test: &Test) {
    assert_version(test, "httpbin-0", "v0");
    assert_version(test, "httpbin-1", "v1");
    assert_eq!(weight(test, "httpbin-1"), "50");
    assert_shares(test, &[("httpbin-0", 50), ("httpbin-1", 50)]);
    assert_row(
        test,
        ["httpbin", "deployment-istio", "blue-green", "2/2", "50/50", "Ready"],
    );
}

/// Modify weights.
fn weights(test: &Test) {
    assert_eq!([weight(test, "httpbin-0"), weight(test, "httpbin-1")], ["30", "70"]);
    assert_shares(test, &[("httpbin-0", 30), ("httpbin-1", 70)]);
    assert_row(
        test,
        ["httpbin", "deployment-istio", "blue-green", "2/2", "30/70", "Ready"],
    );
}

/// Promote candidate.
fn promoted(test: &Test) {
    assert_version(test, "httpbin-0", "v1");
    assert_shares(test, &[("httpbin-0", 100)]);
    assert_gone(test, "httpbin-1");
    assert_row(
        test,
        ["httpbin", "deployment-istio", "blue-green", "1/1", "100", "Ready"],
    );
}

#[test]
fn the_blue_green_tutorial_does_what_it_says() {
    TUTORIAL.follow("blue-green tutorial");
}

#[track_caller]
fn assert_shares(test: &Test, want: &[(&str, i32)]) {
    let route: Vec<Value> = want
        .iter()
        .map(|(service, weight)| share(test, service, *weight))
        .collect();
    let want = virtual_service(test, json!({ "route": route }));
    assert_eq!(test.get("virtualservice", "httpbin")["spec"], want);
}
