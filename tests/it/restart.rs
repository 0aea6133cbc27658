//! The operator ends and begins.

use std::time::Duration;

use crate::support::{SOON, Test, cluster, holds};

/// What the kubelet leaves a Pod between SIGTERM and SIGKILL unless it is told otherwise.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

const RELEASE: &str = "
apiVersion: iter8.tools/v1alpha1
kind: Release
metadata: { name: httpbin }
spec:
  environment: deployment
  application:
    versions:
    - image: kennethreitz/httpbin
";

#[test]
fn at_sigterm_an_operator_that_has_nothing_to_do_ends_well() {
    let test = Test::new("sigterm idle");
    test.apply(RELEASE);
    test.wait_ready("release/httpbin");
    test.stop(); // fails unless it exits with 0
    assert!(test.log().contains("iter8 stops"), "{}", test.log());
}

#[test]
fn at_sigterm_what_was_begun_is_ended() {
    let (test, relay) = Test::through_relay("sigterm under way");
    relay.hold_answers_to_writes();
    test.apply(RELEASE);
    test.there("deployment", "httpbin-0");

    test.ask_to_stop();
    test.wait_until("the operator has heard it", SOON, || {
        holds(test.log().contains("iter8 stops"), test.log())
    });
    assert!(test.is_running(), "it ended though an apply was under way");
    assert!(test.find("service", "httpbin-0").is_none());
    relay.let_go();
    test.has_stopped(SOON);

    // The reconcile of which the apply was the first has been carried to its end, and told.
    test.get("service", "httpbin-0");
    let reason = test.release("httpbin").ready_reason();
    assert!(!reason.is_empty() && reason != "Pending", "status says {reason:?}");
}

#[test]
fn at_sigterm_an_api_server_that_does_not_answer_is_not_waited_for_longer_than_the_kubelet_waits() {
    let (test, relay) = Test::through_relay("sigterm unanswered");
    relay.hold_answers_to_writes();
    test.apply(RELEASE);
    test.there("deployment", "httpbin-0");

    test.ask_to_stop();
    test.has_stopped(GRACE_PERIOD);
}

#[test]
fn one_operator_serves_all_namespaces() {
    let Some(cluster) = cluster::dedicated_cluster("all") else {
        return;
    };
    let tests = ["one", "two"].map(|name| Test::within(cluster.clone(), name));
    let mut operator = cluster.operator(None);
    for test in &tests {
        test.apply(RELEASE);
    }
    for test in &tests {
        test.wait_ready("release/httpbin");
    }
    // A namespace that comes later is served too.
    let late = Test::within(cluster.clone(), "late");
    late.apply(RELEASE);
    late.wait_ready("release/httpbin");
    assert!(operator.exit_status().is_none());
    operator.stop();
}
