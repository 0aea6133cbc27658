//! *Mirrored release*.

use serde_json::json;

use super::{
    Tutorial, assert_gone, assert_istio_service, assert_row, assert_version, destination, share, virtual_service,
    weight,
};
use crate::support::Test;

const INITIAL: &str = "
environment: deployment-istio
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v0
    image: kennethreitz/httpbin
  strategy: mirror
";

const CANDIDATE: &str = "
environment: deployment-istio
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
    weight: 100
  strategy: mirror
";

const HALF: &str = "
environment: deployment-istio
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
    weight: 50
  strategy: mirror
";

const PROMOTED: &str = "
environment: deployment-istio
application: 
  versions:
  - metadata:
      labels:
        app.kubernetes.io/version: v1
    image: kennethreitz/httpbin
  strategy: mirror
";

/// What the reader does, and what there is to see then.
pub const TUTORIAL: Tutorial = Tutorial {
    steps: &[
        (INITIAL, initial),
        (CANDIDATE, candidate),
        (HALF, half),
        (PROMOTED, promoted),
    ],
    made: &[
        ("deployment", "httpbin-0"),
        ("service", "httpbin-0"),
        ("service", "httpbin"),
        ("routepolicy", "httpbin"),
        ("virtualservice", "httpbin"),
    ],
};

/// Deploy initial version.
fn initial(test: &Test) {
    assert_version(test, "httpbin-0", "v0");
    assert_istio_service(test);
    assert!(
        test.find("configmap", "httpbin-0-weight-config").is_none(),
        "only a candidate has a percentage"
    );
    assert_mirrored(test, None);
    assert_row(test, ["httpbin", "deployment-istio", "mirror", "1/1", "100", "Ready"]);
}

/// Deploy candidate.
fn candidate(test: &Test) {
    assert_version(test, "httpbin-0", "v0");
    assert_version(test, "httpbin-1", "v1");
    assert_eq!(weight(test, "httpbin-1"), "100");
    assert_mirrored(test, Some(100));
    assert_row(
        test,
        ["httpbin", "deployment-istio", "mirror", "2/2", "100/copy:100", "Ready"],
    );
}

/// Modify mirrored weight.
fn half(test: &Test) {
    assert_eq!(weight(test, "httpbin-1"), "50");
    assert_mirrored(test, Some(50));
    assert_row(
        test,
        ["httpbin", "deployment-istio", "mirror", "2/2", "100/copy:50", "Ready"],
    );
}

/// Promote candidate.
fn promoted(test: &Test) {
    assert_version(test, "httpbin-0", "v1");
    assert_mirrored(test, None);
    assert_gone(test, "httpbin-1");
    assert_row(test, ["httpbin", "deployment-istio", "mirror", "1/1", "100", "Ready"]);
}

#[test]
fn the_mirroring_tutorial_does_what_it_says() {
    TUTORIAL.follow("mirror tutorial");
}

/// The primary answers every request; the candidate gets a copy of so many percent.
#[track_caller]
fn assert_mirrored(test: &Test, percent: Option<i32>) {
    let mut rule = json!({ "route": [share(test, "httpbin-0", 100)] });
    if let Some(percent) = percent {
        let mirror = json!({ "destination": destination(test, "httpbin-1"), "percentage": { "value": percent } });
        rule["mirrors"] = json!([mirror]);
    }
    assert_eq!(
        test.get("virtualservice", "httpbin")["spec"],
        virtual_service(test, rule)
    );
}
