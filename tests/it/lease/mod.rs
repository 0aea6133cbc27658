//! Several replicas, of which one writes: the one that holds the Lease.

mod replicas;
mod takeover;
mod trouble;

use std::time::Duration;

use replicas::{Replicas, SHARES};

use crate::support::{SOON, at_rest, equal, holds, stays};

/// How long an idle pair is watched.
const IDLE: Duration = Duration::from_secs(20);

#[test]
fn of_two_replicas_one_writes_and_the_other_knows_as_much() {
    let Some(pair) = Replicas::start("pair", 2) else { return };
    let (leader, follower) = (&pair.all[0], &pair.all[1]);
    let mark = pair.test.audit_mark();
    pair.release();
    pair.test.wait_ready("release/web");

    let writes = leader.writes_since(mark);
    assert!(writes.len() > 5, "{writes:#?}");
    assert!(
        follower.writes_since(mark).is_empty(),
        "{:#?}",
        follower.writes_since(mark)
    );
    for (replica, leads) in [(leader, 1.0), (follower, 0.0)] {
        let pages = replica.pages();
        assert_eq!(pages.value("iter8_leader"), Some(leads));
        assert_eq!(pages.get("/readyz").0, 200);
        assert_eq!(pages.get("/healthz").0, 200);
        pair.test.wait_until("it knows the Release", SOON, || {
            let known = pages.value(r#"iter8_objects{kind="Release",ready="true"}"#);
            equal(known.unwrap_or(0.0), &1.0)
        });
    }
    let holder = format!("Lease: {}_", follower.name);
    let (_, said) = leader.pages().get("/readyz");
    assert!(said.contains("Lease: this replica leads"), "{said}");
    let (_, said) = follower.pages().get("/readyz");
    assert!(said.contains("holds it") && !said.contains(&holder), "{said}");
}

#[test]
fn an_idle_pair_asks_for_nothing_but_renewals() {
    let Some(pair) = Replicas::start("idle pair", 2) else {
        return;
    };
    pair.release();
    pair.test.wait_ready("release/web");
    let begin = pair.test.audit_mark();
    let others_since = |mark| -> Vec<String> {
        let requests = pair.all.iter().flat_map(|replica| replica.requests_since(mark));
        let other = requests.filter(|request| (&*request.verb, &*request.resource) != ("update", "leases"));
        other
            .map(|request| format!("{} {}", request.verb, request.uri))
            .collect()
    };
    // Events are the last to be sent.
    at_rest("nothing more is on its way", Duration::from_secs(3), || {
        others_since(begin)
    });
    let mark = pair.test.audit_mark();
    stays("nothing but renewals is asked for", IDLE, || {
        holds(others_since(mark).is_empty(), others_since(mark))
    });
    let renewals = pair.all[0].requests_since(mark).len() as u64;
    let most = IDLE.as_secs() / replicas::RETRY.as_secs() + 2;
    assert!((2..=most).contains(&renewals), "{renewals} renewals");
    assert!(pair.all[1].requests_since(mark).is_empty());
}

#[test]
fn a_replica_alone_begins_by_itself_and_begins_again() {
    let Some(mut pair) = Replicas::start("alone", 1) else {
        return;
    };
    pair.release();
    pair.test.shares_become("web", SHARES);
    // Given back, the Lease is free at once.
    pair.all[0].stop();
    pair.restart(0);
    pair.leads(0);
}
