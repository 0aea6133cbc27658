//! An API server that does not take writes for a while.

use serde_json::{Value, json};

use crate::ownership::release;
use crate::support::relay::Relay;
use crate::support::{SOON, Test, holds};

const SENTENCE: &str = "etcdserver: leader changed";

/// A test whose operator talks to the API server through a relay.
fn disturbed(name: &str) -> (Test, Relay) {
    let mut test = Test::without_operator(name);
    let relay = Relay::start(&test.cluster.kubectl, test.kubeconfig());
    test.connect_with(&relay.kubeconfig);
    test.start();
    (test, relay)
}

#[test]
fn a_status_that_is_not_taken_is_written_when_it_can_be() {
    for resource in ["routepolicies", "releases"] {
        let (test, relay) = disturbed("status not taken");
        relay.fail_writes(Some(&format!("/{resource}/web/status")));
        let mark = test.audit_mark();
        test.apply(&release("web", 1));
        test.shares_become("web", &[("web-0", 100)]);
        test.wait_until("other writes are done", SOON, || {
            let made = test.writes_since(mark).iter().filter(|write| write.code == 201).count();
            holds(made >= 5, made)
        });
        relay.fail_writes(None);
        test.wait_ready("release/web");
    }
}

#[test]
fn a_release_is_not_ready_while_its_edit_cannot_be_written() {
    let (test, relay) = disturbed("edit not taken");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    relay.fail_writes(Some("/deployments/web-1"));
    let mut edited: Value = serde_json::from_str(&release("web", 2)).unwrap();
    edited["spec"]["application"]["versions"][1]["image"] = json!("ealen/echo-server");
    test.apply(&edited.to_string());
    test.wait_until(
        "status tells which object the API server does not take, and why",
        SOON,
        || {
            let ready = test.release("web").condition("Ready").ok_or("there is no condition")?;
            let told = ready.message.contains("Deployment web-1") && ready.message.contains(SENTENCE);
            holds(ready.status == "False" && told, ready)
        },
    );
    relay.fail_writes(None);
    test.wait_ready("release/web");
}
