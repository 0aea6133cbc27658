//! An API server that does not take writes for a while.

use serde_json::{Value, json};

use crate::ownership::release;
use crate::support::{SOON, Test, holds};

const SENTENCE: &str = "etcdserver: leader changed";

#[test]
fn a_release_is_not_ready_while_its_edit_cannot_be_written() {
    let (test, relay) = Test::through_relay("edit not taken");
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
