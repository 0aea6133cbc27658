//! What others do to the Lease, and what the operator may not.

use serde_json::json;

use super::replicas::{LEASE, Replicas, SHARES};
use crate::support::cluster::SERVICE_ACCOUNT;
use crate::support::{SOON, holds, stays};

const KIND: &str = "leases.v1.coordination.k8s.io";

#[test]
fn a_lease_that_somebody_deletes_is_made_anew_by_its_holder_and_nobody_else_leads() {
    let Some(pair) = Replicas::start("deleted", 2) else {
        return;
    };
    pair.release();
    pair.test.wait_ready("release/web");
    let (lease, cluster) = (&pair.test.namespace, &pair.test.cluster);
    let mark = pair.test.audit_mark();
    cluster
        .kubectl
        .within(SERVICE_ACCOUNT.0)
        .ok(["delete", "lease", lease], "");
    pair.test.wait_until("it is there again", SOON, || {
        let lease = cluster.api.find(Some(SERVICE_ACCOUNT.0), KIND, lease);
        let holder = lease.map(|lease| lease["spec"]["holderIdentity"].clone());
        holds(holder.is_some(), pair.all[0].tail())
    });
    stays("the other follows", LEASE * 2, || {
        let leads = pair.all[1].pages().value("iter8_leader");
        holds(leads == Some(0.0), leads)
    });
    assert_eq!(pair.all[0].pages().value("iter8_leader"), Some(1.0));
    assert!(pair.all[1].writes_since(mark).is_empty());
    assert!(pair.all[1].renewals_since(mark).is_empty());
}

#[test]
fn a_lease_that_somebody_else_takes_ends_the_leader() {
    let Some(mut pair) = Replicas::start("taken", 1) else {
        return;
    };
    let lease = pair.test.namespace.clone();
    let api = pair.test.cluster.api.clone();
    let change = json!({ "spec": { "holderIdentity": "somebody" } });
    api.merge(SERVICE_ACCOUNT.0, KIND, &lease, &change);
    let status = pair.test.wait_until("the leader ends", SOON, || {
        pair.all[0].operator.exit_status().ok_or_else(|| pair.all[0].tail())
    });
    assert!(!status.success());
    let log = pair.all[0].log_of_this_run();
    assert!(log.contains("the lease is lost"), "{log}");
}

#[test]
fn a_lease_that_somebody_holds_for_ever_is_waited_for() {
    let Some(mut pair) = Replicas::none("held") else { return };
    let lease = pair.test.namespace.clone();
    let held = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": lease },
        "spec": { "holderIdentity": "somebody", "leaseDurationSeconds": 3600 },
    });
    let kubectl = pair.test.cluster.kubectl.within(SERVICE_ACCOUNT.0);
    kubectl.ok(["apply", "--filename=-"], &held.to_string());
    let mark = pair.test.audit_mark();
    pair.add();
    pair.follows(0);
    let (_, said) = pair.all[0].pages().get("/readyz");
    assert!(said.contains("Lease: somebody holds it"), "{said}");
    pair.release();
    stays("it writes nothing", LEASE * 2, || {
        let writes = pair.all[0].writes_since(mark);
        holds(writes.is_empty(), writes)
    });
    // Whoever gave it back lets it begin at once.
    let api = pair.test.cluster.api.clone();
    api.merge(
        SERVICE_ACCOUNT.0,
        KIND,
        &lease,
        &json!({ "spec": { "holderIdentity": "" } }),
    );
    pair.leads(0);
    pair.test.shares_become("web", SHARES);
}

#[test]
fn who_may_not_see_the_lease_says_what_to_add_and_begins_when_it_may() {
    let Some(mut pair) = Replicas::none("rightless") else {
        return;
    };
    pair.add();
    let name = pair.all[0].name.clone();
    let kubectl = pair.test.cluster.kubectl.within(SERVICE_ACCOUNT.0);
    kubectl.ok(["delete", "rolebinding", &name], "");
    pair.all[0].operator.signal("KILL");
    pair.test.wait_until("it has ended", SOON, || {
        pair.all[0].operator.exit_status().ok_or_else(String::new)
    });
    // The Lease may be its own since.
    kubectl.run(["delete", "lease", "--ignore-not-found", &*pair.test.namespace], "");
    pair.restart(0);
    let rule = "allow list, watch, create, update on leases.coordination.k8s.io in namespace iter8-system";
    pair.test.wait_until("it says what to add", SOON, || {
        let (code, said) = pair.all[0].pages().get("/readyz");
        holds(code == 503 && said.contains(rule), said)
    });
    let log = pair.all[0].log_of_this_run();
    assert!(log.contains(rule), "{log}");
    pair.test.cluster.bind_own(&name);
    pair.leads(0);
}
