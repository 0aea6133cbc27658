//! The leader ends, is killed, or stands still: another goes on, and the old one writes nothing more.

use std::time::Duration;

use chrono::{TimeDelta, Utc};

use super::replicas::{LEASE, RETRY, Replicas};
use crate::support::audit::Request;
use crate::support::{SOON, holds};

/// How long handing over may take.
const HANDED_OVER: TimeDelta = TimeDelta::seconds(2);

/// How much longer than it should a takeover may take: the machine is busy.
const SLACK: TimeDelta = TimeDelta::seconds(3);

fn succeeded(mut writes: Vec<Request>) -> Vec<Request> {
    writes.retain(|write| write.code < 300);
    writes
}

#[test]
fn a_leader_that_is_asked_to_stop_hands_over_within_two_seconds_and_the_other_reads_nothing() {
    let Some(mut pair) = Replicas::start("hand over", 2) else {
        return;
    };
    pair.release();
    pair.test.wait_ready("release/web");
    let churn = pair.churn();
    let mark = pair.test.audit_mark();
    pair.test.wait_until("the first leader writes", SOON, || {
        let writes = pair.all[0].writes_since(mark);
        holds(writes.len() > 5, writes)
    });

    let asked = Utc::now();
    pair.all[0].stop(); // fails unless it exits with 0
    pair.leads(1);
    let first = pair.test.wait_until("the other writes", SOON, || {
        succeeded(pair.all[1].writes_since(mark))
            .into_iter()
            .next()
            .ok_or_else(|| pair.all[1].tail())
    });
    drop(churn);
    let took = first.received - asked;
    assert!(
        took < HANDED_OVER,
        "its first write came {took} after the other was asked to stop"
    );

    let reads: Vec<_> = pair.all[1]
        .requests_since(mark)
        .into_iter()
        .filter(|request| !request.is_write() && request.received < first.received)
        .collect();
    let others: Vec<_> = reads.iter().filter(|read| read.resource != "leases").collect();
    assert!(others.is_empty(), "it has read before it wrote: {others:#?}");
    let old = succeeded(pair.all[0].writes_since(mark));
    assert!(old.iter().all(|write| write.received < first.received), "{old:#?}");
}

#[test]
fn a_leader_that_is_killed_is_replaced_within_the_lease_time() {
    let Some(mut pair) = Replicas::start("killed", 2) else {
        return;
    };
    pair.release();
    pair.test.wait_ready("release/web");
    let mark = pair.test.audit_mark();
    pair.test.wait_until("the leader has renewed", SOON, || {
        let renewals = pair.all[0].renewals_since(mark);
        holds(!renewals.is_empty(), renewals)
    });
    let killed = pair.all.remove(0);
    let (user, audit) = (killed.name.clone(), mark);
    let last = *killed.renewals_since(audit).last().unwrap();
    drop(killed);
    pair.leads(0);
    let taken = pair.all[0].renewals_since(mark)[0];
    let lease = TimeDelta::from_std(LEASE).unwrap();
    // It may have renewed once more after we looked.
    let retry = TimeDelta::from_std(RETRY).unwrap();
    let after = taken - last;
    assert!(
        after >= lease - TimeDelta::milliseconds(50),
        "taken {after} after {user} renewed"
    );
    assert!(after < lease + retry + SLACK, "taken {after} after {user} renewed");
    // Work goes on.
    pair.test.kubectl([
        "annotate",
        "--overwrite",
        "configmap",
        "web-1-weight-config",
        "iter8.tools/weight=0",
    ]);
    pair.test.shares_become("web", &[("web-0", 100)]);
}

#[test]
fn a_leader_that_stood_still_for_longer_than_its_lease_writes_nothing_more() {
    let Some(mut pair) = Replicas::start("frozen", 2) else {
        return;
    };
    pair.release();
    pair.test.wait_ready("release/web");
    let _churn = pair.churn();
    let (mut leader, mut follower) = (0, 1);
    for round in 0..3 {
        let mark = pair.test.audit_mark();
        pair.test.wait_until("the leader writes", SOON, || {
            let writes = pair.all[leader].writes_since(mark);
            holds(writes.len() > 5, writes)
        });
        pair.all[leader].operator.signal("STOP");
        pair.leads(follower);
        let first = pair.test.wait_until("the other writes", SOON, || {
            let writes = succeeded(pair.all[follower].writes_since(mark));
            writes.into_iter().next().ok_or_else(|| pair.all[follower].tail())
        });
        pair.all[leader].operator.signal("CONT");
        let status = pair.test.wait_until("the old leader ends", SOON, || {
            let ended = pair.all[leader].operator.exit_status();
            ended.ok_or_else(|| pair.all[leader].tail())
        });
        assert!(!status.success(), "it must be seen that it did not end by itself");
        let late: Vec<_> = succeeded(pair.all[leader].writes_since(mark))
            .into_iter()
            .filter(|write| write.received > first.received)
            .collect();
        assert!(late.is_empty(), "round {round}: {late:#?}");
        pair.restart(leader);
        pair.follows(leader);
        (leader, follower) = (follower, leader);
    }
}

#[test]
fn a_leader_that_stood_still_for_less_than_its_lease_goes_on() {
    let Some(mut pair) = Replicas::start("frozen shortly", 1) else {
        return;
    };
    let mark = pair.test.audit_mark();
    pair.all[0].operator.signal("STOP");
    std::thread::sleep(Duration::from_secs(1));
    pair.all[0].operator.signal("CONT");
    pair.test.wait_until("it renews", SOON, || {
        let renewals = pair.all[0].renewals_since(mark);
        holds(renewals.len() > 1, renewals)
    });
    assert!(pair.all[0].operator.exit_status().is_none());
    pair.release();
    pair.test.wait_ready("release/web");
}
