//! A `ResourceQuota` that leaves no room for a version.

use serde_json::json;

use crate::ownership::release;
use crate::support::{SOON, Test, holds};

#[test]
fn a_version_that_exceeds_a_quota_is_made_when_there_is_room_and_all_else_goes_on() {
    let test = Test::new("quota");
    let quota = |deployments: &str| {
        test.apply(
            &json!({
                "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" },
                "spec": { "hard": { "count/deployments.apps": deployments } },
            })
            .to_string(),
        );
        test.wait_until("the quota is counted", SOON, || {
            let status = test.get("resourcequota", "few")["status"]["hard"].take();
            holds(status["count/deployments.apps"] == deployments, status)
        });
    };
    quota("1");
    test.apply(&release("web", 2));
    test.shares_become("web", &[("web-0", 100)]);
    test.wait_until("status tells of the quota", SOON, || {
        let ready = test
            .release("web")
            .condition("Ready")
            .ok_or("there is no condition yet")?;
        let told = ready.reason == "QuotaExceeded" && ready.message.contains("exceeded quota: few");
        holds(
            told && test
                .release("web")
                .condition("Stalled")
                .is_some_and(|one| one.status == "False"),
            ready,
        )
    });
    quota("2");
    test.wait_ready("release/web");
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
}
