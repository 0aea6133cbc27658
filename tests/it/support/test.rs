//! One test: a namespace and an operator of its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

mod running;

use super::api::Resource;
use super::audit::{AuditLog, Mark, Request};
use super::cluster::{Cluster, SERVICE_ACCOUNT, cluster, skip_unless_local, user};
use super::gateway::{self, Verdict};
use super::kubectl::Kubectl;
use super::names::unique;
use super::operator::{self, Operator};
use super::recorder::Recorder;
use super::relay::Relay;
use super::release::Status;
use super::routes::{self, Rule};
use super::safety::SafetyWatch;
use super::{SOON, wait_until};

/// The schemas of all kinds are for changes of kinds that merge lists, of which `kubectl` knows those that it has itself. Without
/// them an apply takes half the time.
const WITHOUT_SCHEMAS: &str = "--openapi-patch=false";

/// A namespace and, unless it was stopped, an operator that watches it. Both end with it, the namespace at the latest with
/// its cluster; if the test fails it prints what is in the namespace and what the operator said.
pub struct Test {
    /// Where it runs.
    pub cluster: Arc<Cluster>,
    /// Its namespace.
    pub namespace: String,
    kubectl: Kubectl,
    operator: Mutex<Option<Operator>>,
    /// Who the operator is to the API server, and what it connects with.
    pub(super) account: (String, PathBuf),
    log: PathBuf,
    /// What operators are started with besides.
    arguments: Mutex<Vec<String>>,
    /// Kinds and names of objects outside of the namespace.
    outside: Mutex<Vec<(&'static str, String)>>,
    /// Where the audit log was when the test began; `None`: not known, or the operator may be refused what it asks for.
    begin: Option<Mark>,
}

impl Test {
    /// In the cluster that tests share. The name is for the namespace.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let test = Self::without_operator(name);
        test.start();
        test
    }

    /// The same without an operator.
    #[track_caller]
    pub fn without_operator(name: &str) -> Self {
        Self::within(cluster(), name)
    }

    /// A namespace in this cluster, without an operator.
    #[track_caller]
    pub fn within(cluster: Arc<Cluster>, name: &str) -> Self {
        Self::in_namespace(cluster, unique(name))
    }

    /// In a namespace of exactly this name, of which only one test may make use; without an operator.
    #[track_caller]
    pub fn in_namespace(cluster: Arc<Cluster>, namespace: String) -> Self {
        cluster.api.create_namespace(&namespace);
        let begin = cluster.audit.as_ref().map(AuditLog::mark);
        Self {
            account: (user(SERVICE_ACCOUNT.1), cluster.operator_kubeconfig.clone()),
            begin,
            kubectl: cluster.kubectl.within(&namespace),
            operator: Mutex::new(None),
            log: cluster.folder.join(format!("{namespace}.log")),
            cluster,
            namespace,
            outside: Mutex::default(),
            arguments: Mutex::default(),
        }
    }

    /// The same without an operator, which will be a ServiceAccount of its own with the operator's rights: what it asks
    /// for, in any namespace, can be told from what others do.
    #[track_caller]
    pub fn with_account(name: &str) -> Self {
        let mut test = Self::without_operator(name);
        test.account = test.cluster.account(&test.namespace);
        test
    }

    /// A test whose operator is connected through a relay, which can disturb it.
    #[track_caller]
    pub fn through_relay(name: &str) -> (Self, Relay) {
        let mut test = Self::without_operator(name);
        let relay = Relay::start(test.kubeconfig());
        test.connect_with(&relay.kubeconfig);
        test.start();
        (test, relay)
    }

    /// What the operator connects with from the next start on.
    pub fn connect_with(&mut self, kubeconfig: &Path) {
        kubeconfig.clone_into(&mut self.account.1);
    }

    /// This test is about what the operator has no right to: that it is refused is no failure.
    pub fn expect_refusals(&mut self) {
        self.begin = None;
    }

    /// What the operator connects with.
    pub fn kubeconfig(&self) -> &Path {
        &self.account.1
    }

    /// `kubectl` with these arguments; what it prints. Fails when it fails.
    #[track_caller]
    pub fn kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        self.kubectl.ok(arguments, "")
    }

    /// `kubectl` with these arguments; whether it succeeded.
    pub fn try_kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> bool {
        self.kubectl.run(arguments, "").ok
    }

    /// `kubectl` with these arguments, which must fail; what it says.
    #[track_caller]
    pub fn kubectl_fails<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let said = self.kubectl.run(arguments, "");
        assert!(!said.ok, "kubectl did not fail: {}", said.stdout);
        said.stderr
    }

    /// `kubectl apply -f -`.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.kubectl.ok(["apply", WITHOUT_SCHEMAS, "--filename=-"], yaml);
    }

    /// `kubectl apply --dry-run=server -f -`.
    #[track_caller]
    pub fn dry_run(&self, yaml: &str) {
        self.kubectl.ok(["apply", "--dry-run=server", "--filename=-"], yaml);
    }

    /// `kubectl replace -f -`: what `kubectl edit` does in the end.
    #[track_caller]
    pub fn replace(&self, yaml: &str) {
        self.kubectl.ok(["replace", "--filename=-"], yaml);
    }

    /// `kubectl apply --server-side --force-conflicts -f -` as this field manager.
    #[track_caller]
    pub fn server_side(&self, manager: &str, yaml: &str) {
        let manager = format!("--field-manager={manager}");
        let apply = ["apply", "--server-side", "--force-conflicts", &manager, "--filename=-"];
        self.kubectl.ok(apply, yaml);
    }

    /// `kubectl apply -f -`, which must fail; what it says.
    #[track_caller]
    pub fn apply_fails(&self, yaml: &str) -> String {
        let said = self.kubectl.run(["apply", WITHOUT_SCHEMAS, "--filename=-"], yaml);
        assert!(!said.ok, "it was not refused:\n{yaml}");
        said.stderr
    }

    /// `kubectl apply -f -` of an object that has no namespace, and that ends with the test; the namespace's name must be
    /// part of its name.
    #[track_caller]
    pub fn apply_outside(&self, kind: &'static str, name: &str, yaml: &str) {
        assert!(
            name.contains(&self.namespace),
            "{kind} {name} may be in another test's way"
        );
        self.outside.lock().unwrap().push((kind, name.to_owned()));
        self.apply(yaml);
    }

    /// What users do to see that something is ready: `kubectl wait --for=condition=Ready release/httpbin`.
    #[track_caller]
    pub fn wait_ready(&self, object: &str) {
        self.kubectl(["wait", "--for=condition=Ready", "--timeout=60s", object]);
    }

    /// The row of `kubectl get <kind> <name>`, by column.
    #[track_caller]
    pub fn columns(&self, kind: &str, name: &str) -> BTreeMap<String, String> {
        self.row(["get", kind, name]).into_iter().collect()
    }

    /// The only row of what `kubectl` prints, with the names of its columns, from left to right.
    #[track_caller]
    pub fn row<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
        let printed = self.kubectl(arguments);
        let [header, row] = printed.lines().collect::<Vec<_>>()[..] else {
            panic!("{printed}")
        };
        // Columns are as wide as their widest cell; two spaces at least stand between.
        let starts: Vec<usize> = (0..header.len())
            .filter(|at| !header[*at..].starts_with(' ') && (*at == 0 || header[..*at].ends_with(' ')))
            .collect();
        let cell = |line: &str, column: usize| {
            let end = starts.get(column + 1).copied().unwrap_or(line.len()).min(line.len());
            line.get(starts[column]..end).unwrap_or_default().trim().to_owned()
        };
        (0..starts.len())
            .map(|column| (cell(header, column), cell(row, column)))
            .collect()
    }

    /// The object, if it exists.
    pub fn find(&self, kind: &str, name: &str) -> Option<Value> {
        self.cluster.api.find(Some(&self.namespace), kind, name)
    }

    /// The object, which must exist.
    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Value {
        self.find(kind, name)
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// Waits until there is such an object.
    #[track_caller]
    pub fn there(&self, kind: &str, name: &str) -> Value {
        let what = format!("there is a {kind} {name}");
        self.wait_until(&what, SOON, || {
            self.find(kind, name).ok_or_else(|| "there is none".to_owned())
        })
    }

    /// Waits until there is no such object.
    #[track_caller]
    pub fn gone(&self, kind: &str, name: &str) {
        let what = format!("{kind} {name} is gone");
        self.wait_until(&what, SOON, || {
            self.find(kind, name).map_or(Ok(()), |object| Err(object.to_string()))
        });
    }

    /// Waits until `look` answers `Ok`; its `Err` is what it saw. Fails at once if the operator ends meanwhile.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
        wait_until(what, within, || {
            let looked = look();
            let ended = self.operator.lock().unwrap().as_mut().and_then(Operator::exit_status);
            assert!(looked.is_ok() || ended.is_none(), "the operator has ended: {ended:?}");
            looked
        })
    }

    /// What the Events with that reason say, in no order.
    pub fn events(&self, reason: &str) -> Vec<String> {
        let (events, _) = self.cluster.api.list(&self.namespace, &Resource::named("event"));
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let of_reason = events.iter().filter(|event| text(event, "reason") == reason);
        of_reason.map(|event| text(event, "note")).collect()
    }

    /// What a Release says of itself.
    pub fn release<'a>(&'a self, name: &'a str) -> Status<'a> {
        Status::new(self, "release", name)
    }

    /// What a RoutePolicy says of itself.
    pub fn policy<'a>(&'a self, name: &'a str) -> Status<'a> {
        Status::new(self, "routepolicy", name)
    }

    /// What an Experiment says of itself.
    pub fn experiment<'a>(&'a self, name: &'a str) -> Status<'a> {
        Status::new(self, "experiment", name)
    }

    /// The rules of the `VirtualService` or `HTTPRoute` of that name; none if there is neither.
    pub fn rules(&self, route: &str) -> Vec<Rule> {
        let route = self
            .find("virtualservice", route)
            .or_else(|| self.find("httproute", route));
        route.map(|route| routes::rules(&route)).unwrap_or_default()
    }

    /// The Services that share the requests without special conditions, with their weights.
    pub fn route_shares(&self, route: &str) -> Vec<(String, i64)> {
        let mut rules = self.rules(route);
        rules.retain(|rule| rule.matches.is_empty());
        rules.pop().map(|rule| rule.backends).unwrap_or_default()
    }

    /// Waits until the route shares the requests without special conditions like this.
    #[track_caller]
    pub fn shares_become(&self, route: &str, want: &[(&str, i64)]) {
        let want: Vec<_> = want
            .iter()
            .map(|(service, weight)| ((*service).to_owned(), *weight))
            .collect();
        let what = format!("{route} gives {want:?}");
        self.wait_until(&what, SOON, || super::equal(self.route_shares(route), &want));
    }

    /// Waits until the route of an application says this, in the words of [`routes::words`].
    #[track_caller]
    pub fn route_becomes(&self, application: &str, want: &str) {
        self.wait_until(&format!("{application} is routed {want}"), SOON, || {
            super::equal(routes::words(&self.rules(application), application), want)
        });
    }

    /// As a gateway controller: takes an `HTTPRoute` as it is now.
    #[track_caller]
    pub fn accept(&self, route: &str) {
        gateway::report(self, route, Verdict::Accepted);
    }

    /// As a gateway controller: refuses an `HTTPRoute` as it is now.
    #[track_caller]
    pub fn refuse(&self, route: &str, reason: &str) {
        gateway::report(self, route, Verdict::NotAccepted(reason));
    }

    /// Records every version of the objects of a kind from now on.
    pub fn watch(&self, kind: &str) -> Recorder {
        Recorder::start(&self.cluster.api, &self.namespace, kind)
    }

    /// Watches over the promise from now on.
    pub fn watch_safety(&self) -> SafetyWatch {
        SafetyWatch::start(&self.cluster.api, &self.namespace)
    }

    /// Where the audit log is now. Only in a cluster that the tests started.
    #[track_caller]
    pub fn audit_mark(&self) -> Mark {
        self.cluster.audit.as_ref().expect("no audit log").mark()
    }

    /// Where the audit log is now; `None`, with the reason printed, if there is none: what needs it is left out.
    #[track_caller]
    pub fn audit_mark_if_any(&self) -> Option<Mark> {
        (!skip_unless_local("an audit log")).then(|| self.audit_mark())
    }

    /// What the operator's ServiceAccount asked for since then, anywhere: of interest if it is the test's own.
    #[track_caller]
    pub fn requests_since(&self, mark: Mark) -> Vec<Request> {
        let log = self.cluster.audit.as_ref().expect("no audit log");
        let mut requests = log.since(mark, None);
        requests.retain(|request| request.user == self.account.0);
        requests
    }

    /// What the operator asked for in the namespace since then.
    #[track_caller]
    pub fn audit_since(&self, mark: Mark) -> Vec<Request> {
        let log = self.cluster.audit.as_ref().expect("no audit log");
        log.since(mark, Some(&self.namespace))
    }

    /// What the operator wrote in the namespace since then, refused or not.
    #[track_caller]
    pub fn writes_since(&self, mark: Mark) -> Vec<Request> {
        let mut requests = self.audit_since(mark);
        requests.retain(Request::is_write);
        requests
    }

    /// What the operators said.
    pub fn log(&self) -> String {
        operator::tail(&self.log, usize::MAX)
    }

    /// What there is to see, for somebody who wonders why a test failed.
    fn describe(&self) -> String {
        let mut text = format!("\n==== namespace {}\n", self.namespace);
        let kinds = "releases,routepolicies,experiments,metrics,virtualservices,httproutes,deployments,replicasets,pods,\
                     services,configmaps";
        for arguments in [
            vec!["get", kinds, "--output=wide"],
            vec![
                "get",
                "releases,routepolicies,experiments,virtualservices,httproutes",
                "--output=yaml",
            ],
            vec!["get", "events", "--sort-by=.metadata.creationTimestamp"],
        ] {
            let said = self.kubectl.run(&arguments, "");
            let _ = writeln!(
                text,
                "---- kubectl {}\n{}{}",
                arguments.join(" "),
                said.stdout,
                said.stderr
            );
        }
        let _ = writeln!(text, "---- the operator\n{}\n====", operator::tail(&self.log, 200));
        text
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            println!("{}", self.describe());
        }
        drop(self.operator.get_mut().ok().and_then(Option::take));
        for (kind, name) in self.outside.get_mut().unwrap() {
            self.cluster.api.delete(kind, name);
        }
        let log = self.cluster.audit.as_ref().zip(self.begin);
        let forbidden = log.map(|(log, begin)| log.forbidden_since(begin, &self.account.0));
        // To delete a namespace takes a hundred requests and more.
        if crate::PODS_RUN || self.cluster.outlives_the_tests() {
            self.cluster.api.delete("namespace", &self.namespace);
        }
        // The rights of the ClusterRole are enough for everything that any test does.
        let mut forbidden = forbidden.unwrap_or_default();
        forbidden.retain(|request| [self.namespace.as_str(), ""].contains(&request.namespace.as_str()));
        assert!(failed || forbidden.is_empty(), "RBAC refused {forbidden:?}");
    }
}
