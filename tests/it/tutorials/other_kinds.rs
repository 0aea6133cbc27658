//! *Traffic mirroring* for versions made of other kinds than Deployments: watched as long as a `RoutePolicy` names them.

use serde_json::json;

use super::bring_your_own_app_mirroring::{HTTPBIN, deployment, service};
use crate::support::audit::{Mark, Request};
use crate::support::{SOON, Test, equal, holds, skip_unless_local};

/// httpbin-v1 answers, httpbin-v2 gets a copy; httpbin-v2 is made of one object of any kind.
fn policy(api_version: &str, kind: &str) -> String {
    format!(
        "
apiVersion: iter8.tools/v1alpha1
kind: RoutePolicy
metadata:
  name: httpbin
spec:
  strategy: mirror
  versions:
  - name: httpbin-v1
    resources:
    - {{apiVersion: v1, kind: Service, name: httpbin-v1}}
    - {{apiVersion: apps/v1, kind: Deployment, name: httpbin-v1}}
    backend: {{name: httpbin-v1, port: 80}}
  - name: httpbin-v2
    resources:
    - {{apiVersion: {api_version}, kind: {kind}, name: httpbin-v2}}
    backend: {{name: httpbin-v2, port: 80}}
  route:
    httpRoute:
      parentRefs:
      - kind: Service
        name: httpbin
        port: 8000
"
    )
}

/// The app with its first version and the policy, and the Service of a second version that does not exist yet.
#[track_caller]
fn app(name: &str, api_version: &str, kind: &str) -> Test {
    let test = Test::new(name);
    test.apply(&deployment("v1"));
    test.apply(&service("v1"));
    test.apply(&service("v2"));
    test.apply(HTTPBIN);
    test.apply(&policy(api_version, kind));
    assert_mirrored(&test, false);
    test
}

/// Whether httpbin-v2 gets a copy of every request.
#[track_caller]
fn assert_mirrored(test: &Test, mirrored: bool) {
    let copies: &[_] = if mirrored {
        &[("httpbin-v2".to_owned(), 100)]
    } else {
        &[]
    };
    let what = format!("httpbin-v1 answers, httpbin-v2 gets copies: {mirrored}");
    test.wait_until(&what, SOON, || {
        let rules = test.rules("httpbin");
        let [rule] = &rules[..] else {
            return Err(format!("{rules:?}"));
        };
        equal(
            (rule.backends.as_slice(), rule.mirrors.as_slice()),
            &([("httpbin-v1".to_owned(), 100)].as_slice(), copies),
        )
        .map(drop)
    });
}

/// How many watches of a kind were begun, and how many have ended.
fn watches(test: &Test, since: Mark, group: &str, resource: &str) -> (usize, usize) {
    let requests = test.audit_since(since);
    let of = |ended| {
        let is = |one: &&Request| {
            one.verb == "watch" && one.group == group && one.resource == resource && one.complete == ended
        };
        requests.iter().filter(is).count()
    };
    (of(false), of(true))
}

#[test]
fn a_knative_service_is_mirrored_to_while_it_is_ready() {
    if skip_unless_local("Knative's CRD without Knative") {
        return;
    }
    let test = app("knative service", "serving.knative.dev/v1", "Service");
    test.apply(
        "
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: httpbin-v2
spec:
  template:
    spec:
      containers:
      - image: docker.io/kennethreitz/httpbin
",
    );
    for (ready, mirrored) in [
        ("Unknown", false),
        ("True", true),
        ("Unknown", true),
        ("False", false),
        ("True", true),
    ] {
        knative_reports(&test, ready);
        test.wait_until("the policy has seen it", SOON, || {
            let version = test.policy("httpbin").version("httpbin-v2").unwrap_or_default();
            holds(version["ready"] == ready, version)
        });
        assert_mirrored(&test, mirrored);
    }
    test.kubectl(["delete", "ksvc", "httpbin-v2"]);
    assert_mirrored(&test, false);
}

/// In place of Knative's controller.
#[track_caller]
fn knative_reports(test: &Test, ready: &str) {
    let generation = test.get("ksvc", "httpbin-v2")["metadata"]["generation"].clone();
    let conditions = json!([{ "type": "Ready", "status": ready }]);
    let status = json!({ "status": { "observedGeneration": generation, "conditions": conditions } });
    let patch = format!("--patch={status}");
    test.kubectl([
        "patch",
        "ksvc",
        "httpbin-v2",
        "--subresource=status",
        "--type=merge",
        &patch,
    ]);
}

#[test]
fn a_stateful_set_is_mirrored_to_while_it_has_a_ready_pod() {
    let test = app("stateful set", "apps/v1", "StatefulSet");
    let stateful_set = deployment("v2").replace("kind: Deployment", "kind: StatefulSet");
    test.apply(&stateful_set);
    assert_mirrored(&test, true);
    test.kubectl(["scale", "statefulset/httpbin-v2", "--replicas=0"]);
    assert_mirrored(&test, false);
    test.kubectl(["scale", "statefulset/httpbin-v2", "--replicas=1"]);
    assert_mirrored(&test, true);
    test.kubectl(["delete", "statefulset", "httpbin-v2"]);
    assert_mirrored(&test, false);
}

#[test]
fn a_kind_is_watched_as_long_as_a_policy_names_it() {
    if skip_unless_local("the audit log") {
        return;
    }
    let test = Test::new("dynamic watches");
    let mark = test.audit_mark();
    let daemon_sets = || watches(&test, mark, "apps", "daemonsets");
    let first = policy("apps/v1", "DaemonSet");
    let second = first.replace("  name: httpbin\nspec", "  name: second\nspec");
    test.apply(&policy("apps/v1", "ReplicaSet"));
    test.wait_until("the other kind is watched", SOON, || {
        equal(watches(&test, mark, "apps", "replicasets"), &(1, 0))
    });
    assert_eq!(daemon_sets(), (0, 0));
    test.apply(&first);
    test.apply(&second);
    test.wait_until("it is watched, once", SOON, || equal(daemon_sets(), &(1, 0)));
    assert_eq!(
        watches(&test, mark, "apps", "replicasets"),
        (1, 1),
        "nobody names it any more"
    );
    test.kubectl(["delete", "routepolicy", "httpbin"]);
    test.apply(&second.replace("name: httpbin-v1, port: 80", "name: httpbin-v1, port: 81"));
    test.wait_until("the operator has seen both", SOON, || {
        let generation = test.get("routepolicy", "second")["status"]["observedGeneration"].clone();
        holds(generation == 2, generation)
    });
    assert_eq!(daemon_sets(), (1, 0), "the second policy still names it");
    test.kubectl(["delete", "routepolicy", "second"]);
    test.wait_until("it is watched no more", SOON, || equal(daemon_sets(), &(1, 1)));
}

/// A kind that is neither installed nor allowed: what is missing is said, and its coming is noticed without a restart.
#[test]
fn a_kind_that_comes_later_is_picked_up() {
    let mut test = Test::without_operator("later kind");
    test.expect_refusals(); // before the rule for them is there
    let group = format!("{}.example.com", test.namespace);
    test.start();
    for manifest in [deployment("v1"), service("v1"), service("v2"), HTTPBIN.to_owned()] {
        test.apply(&manifest);
    }
    test.apply(&policy(&format!("{group}/v1"), "Widget"));
    assert_mirrored(&test, false);
    stalls(&test, "KindNotFound", "Widget");

    let crd = format!("widgets.{group}");
    test.apply_outside("crd", &crd, &widgets(&group));
    stalls(&test, "Forbidden", &format!("list, watch on widgets.{group}"));

    let role = format!("{}-widgets", test.namespace);
    test.apply_outside(
        "clusterrole",
        &role,
        &format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {role}}},
           rules: [{{apiGroups: [{group}], resources: [widgets], verbs: [list, watch]}}]}}"
        ),
    );
    let account = format!(
        "{}:{}",
        crate::support::cluster::SERVICE_ACCOUNT.0,
        crate::support::cluster::SERVICE_ACCOUNT.1
    );
    test.kubectl([
        "create",
        "rolebinding",
        "widgets",
        "--clusterrole",
        &role,
        "--serviceaccount",
        &account,
    ]);
    test.apply(&format!(
        "{{apiVersion: {group}/v1, kind: Widget, metadata: {{name: httpbin-v2}}}}"
    ));
    assert_mirrored(&test, true);
    test.wait_ready("routepolicy/httpbin");
}

#[track_caller]
fn stalls(test: &Test, reason: &str, part: &str) {
    test.wait_until(&format!("the policy is stalled: {reason}"), SOON, || {
        let stalled = test.policy("httpbin").condition("Stalled");
        let said = stalled
            .as_ref()
            .is_some_and(|one| one.status == "True" && one.reason == reason && one.message.contains(part));
        holds(said, stalled)
    });
}

fn widgets(group: &str) -> String {
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.{group}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Widget, plural: widgets, singular: widget}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object}}}}
"
    )
}
