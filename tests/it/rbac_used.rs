//! The operator needs every right that its `ClusterRole` gives it, and no other.
//!
//! That it needs no other shows at the end of every test: one fails if RBAC refused its operator anything.

use std::collections::{BTreeMap, BTreeSet};

use iter8::cluster::permissions::PERMISSIONS;

use crate::support::audit::Request;
use crate::support::relay::Relay;
use crate::support::{SOON, Test, equal, holds, skip_unless_local};

/// API group, resource with its subresource, and verb.
type Right = (String, String, String);

fn release(environment: &str, strategy: &str, port: u16, versions: &[(&str, u8)]) -> String {
    let version =
        |(image, weight): &(&str, u8)| format!("    - {{ image: {image}, weight: {weight}, port: {port} }}\n");
    let versions: String = versions.iter().map(version).collect();
    format!(
        "
apiVersion: iter8.tools/v1alpha1
kind: Release
metadata: {{ name: web }}
spec:
  environment: {environment}
  drainSeconds: 0
  application:
    strategy: {strategy}
    versions:
{versions}"
    )
}

/// A policy whose versions are of every kind that may be one; none of the objects needs to exist.
const EVERY_KIND: &str = "
apiVersion: iter8.tools/v1alpha1
kind: RoutePolicy
metadata: { name: kinds }
spec:
  strategy: blue-green
  versions:
  - name: a
    resources:
    - { apiVersion: apps/v1, kind: StatefulSet, name: a }
    - { apiVersion: apps/v1, kind: DaemonSet, name: a }
    - { apiVersion: apps/v1, kind: ReplicaSet, name: a }
    - { apiVersion: serving.knative.dev/v1, kind: Service, name: a }
    backend: { name: a, port: 80 }
  route:
    virtualService: { hosts: [kinds] }
";

/// The rights that answered requests made use of.
fn used(requests: &[Request]) -> BTreeSet<Right> {
    let answered = requests.iter().filter(|request| (200..300).contains(&request.code));
    answered
        .flat_map(|request| {
            let slash = if request.subresource.is_empty() { "" } else { "/" };
            let resource = format!("{}{slash}{}", request.resource, request.subresource);
            // An apply that makes an object needs the right to create as well.
            let creates = request.verb == "patch" && request.code == 201;
            let verbs = [Some(request.verb.as_str()), creates.then_some("create")];
            verbs
                .into_iter()
                .flatten()
                .map(move |verb| (request.group.clone(), resource.clone(), verb.to_owned()))
        })
        .collect()
}

fn given() -> BTreeMap<Right, &'static str> {
    let mut rights = BTreeMap::new();
    for rule in PERMISSIONS {
        for (resource, verb) in rule
            .resources
            .iter()
            .flat_map(|resource| rule.verbs.iter().map(move |verb| (resource, verb)))
        {
            let right = (rule.group.to_owned(), (*resource).to_owned(), (*verb).to_owned());
            rights.insert(right, rule.why);
        }
    }
    rights
}

#[test]
fn every_right_of_the_cluster_role_is_used() {
    if skip_unless_local("an audit log") {
        return;
    }
    let mut test = Test::with_account("rights");
    let mark = test.audit_mark();
    // Lists are asked for only where the server cannot send them with a watch.
    let relay = Relay::without_streaming_lists(&test.cluster.kubectl, test.kubeconfig());
    test.connect_with(&relay.kubeconfig);
    test.start();
    let blue_green = |environment, weight| release(environment, "blue-green", 80, &[("web:1", 50), ("web:2", weight)]);

    test.apply(EVERY_KIND);
    test.apply(&blue_green("deployment-istio", 50));
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    test.wait_ready("release/web");
    // Every object is written once more; a second Event of the same words adds to the first.
    for (weight, share) in [(50, 50), (100, 67), (50, 50), (100, 67)] {
        test.apply(&blue_green("deployment-istio", weight));
        test.shares_become("web", &[("web-0", 100 - share), ("web-1", share)]);
    }
    let ports = release("deployment-istio", "blue-green", 81, &[("web:1", 50), ("web:3", 50)]);
    test.apply(&ports);
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    // Another environment has another route.
    test.apply(&blue_green("deployment-gtw", 50));
    test.gone("virtualservice", "web");
    test.apply(&blue_green("deployment-gtw", 100));
    test.wait_until("the other route has the shares", SOON, || {
        equal(
            test.route_shares("web"),
            &[("web-0".to_owned(), 33), ("web-1".to_owned(), 67)],
        )
    });
    test.apply(&blue_green("deployment-istio", 100));
    test.gone("httproute", "web");
    // Without a strategy there are no routes, and a version that left the spec goes with all that it was made of.
    test.apply(&release("deployment", "none", 80, &[("web:1", 50)]));
    for (kind, name) in [
        ("routepolicy", "web"),
        ("deployment", "web-1"),
        ("service", "web-1"),
        ("configmap", "web-1-weight-config"),
    ] {
        test.gone(kind, name);
    }

    let given = given();
    test.wait_until("every right has been used", SOON, || {
        let used = used(&test.requests_since(mark));
        let unused: Vec<_> = given.iter().filter(|(right, _)| !used.contains(*right)).collect();
        holds(unused.is_empty(), unused)
    });
}
