//! `/metrics`, `/healthz`, `/readyz`, and the page about them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use iter8::cluster::Metrics;
use iter8::cluster::metrics::Described;

use crate::golden;
use crate::support::manifest::{self, ready_after, version};
use crate::support::pages::Pages;
use crate::support::relay::{Fault, Refusal, Relay, Which};
use crate::support::{SOON, Test, cluster, equal, holds};

const LISTEN: &str = "--listen=127.0.0.1:0";

fn page() -> String {
    let mut page = "# Metrics

What `/metrics` of the operator says, for Prometheus; `make generate` writes this page. No label is ever the name of an object
or a namespace: the number of series does not grow with the number of Releases.

| metric | form | labels | says |
|---|---|---|---|
"
    .to_owned();
    for Described {
        name,
        form,
        labels,
        help,
    } in Metrics::new().unwrap().described()
    {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let help = help.trim_end_matches('.');
        writeln!(page, "| `{name}` | {form} | {} | {help} |", labels.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_tells_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    golden::check([golden::compare_file(&path, &page())]);
}

fn release(name: &str) -> String {
    let versions = [version("web:1"), ready_after("web:2", "2s")];
    manifest::release(name, "deployment-istio", "blue-green", &versions).to_string()
}

/// A test whose operator answers.
fn listening(name: &str) -> (Test, Pages) {
    let test = Test::without_operator(name);
    test.run_with([LISTEN]);
    test.start();
    let pages = Pages::of(&test);
    (test, pages)
}

#[track_caller]
fn becomes(test: &Test, pages: &Pages, series: &str, want: f64) {
    test.wait_until(&format!("{series} is {want}"), SOON, || {
        equal(pages.value(series).unwrap_or(-1.0), &want)
    });
}

#[test]
fn a_release_shows_in_the_metrics_and_its_name_does_not() {
    let (test, pages) = listening("metrics");
    test.apply(&release("shop"));
    test.shares_become("shop", &[("shop-0", 50), ("shop-1", 50)]);
    test.wait_ready("release/shop");

    becomes(&test, &pages, r#"iter8_objects{kind="Release",ready="true"}"#, 1.0);
    becomes(&test, &pages, r#"iter8_objects{kind="RoutePolicy",ready="true"}"#, 1.0);
    becomes(&test, &pages, r#"iter8_objects{kind="Deployment",ready="true"}"#, 2.0);
    for (series, least) in [
        ("iter8_leader", 1.0),
        (r#"iter8_watch_synced{kind="VirtualService"}"#, 1.0),
        (r#"iter8_reconcile_total{controller="release",outcome="success"}"#, 1.0),
        (
            r#"iter8_reconcile_duration_seconds_count{controller="routepolicy"}"#,
            2.0,
        ),
        (
            r#"iter8_api_requests_total{code="201",kind="Deployment",verb="patch"}"#,
            2.0,
        ),
        (
            r#"iter8_api_requests_total{code="200",kind="Release",verb="watch"}"#,
            1.0,
        ),
        ("iter8_readiness_to_route_seconds_count", 1.0),
        (
            concat!(r#"iter8_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#),
            1.0,
        ),
    ] {
        let value = pages.value(series);
        assert!(
            value.is_some_and(|value| value >= least),
            "{series}: {value:?}: {:#?}",
            pages.metrics()
        );
    }
    if cfg!(target_os = "linux") {
        assert!(pages.value("process_resident_memory_bytes").unwrap() > 1e6);
    }
    let sum = pages.value("iter8_readiness_to_route_seconds_sum").unwrap();
    assert!(sum < SOON.as_secs_f64(), "{sum}");

    // One more Release: the same series.
    let names = |metrics: Vec<String>| -> BTreeSet<String> {
        let series = metrics.iter().map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
        series
            .filter(|series| !series.starts_with("iter8_api_requests_total"))
            .collect()
    };
    let before = names(pages.metrics());
    test.apply(&release("mart"));
    test.wait_ready("release/mart");
    assert_eq!(names(pages.metrics()), before);
    for line in pages.metrics() {
        assert!(
            !line.contains("shop") && !line.contains("mart") && !line.contains(&test.namespace),
            "{line}"
        );
    }
}

#[test]
fn what_is_repaired_and_what_is_in_the_way_is_counted() {
    let (test, pages) = listening("repairs");
    test.apply(&release("shop"));
    test.wait_ready("release/shop");
    let repairs = r#"iter8_drift_repairs_total{kind="Service"}"#;
    assert_eq!(pages.value(repairs), Some(0.0));
    test.kubectl([
        "patch",
        "service",
        "shop-0",
        "--patch={\"spec\":{\"selector\":{\"app\":\"other\"}}}",
    ]);
    becomes(&test, &pages, repairs, 1.0);

    let conflicts = r#"iter8_name_conflicts{kind="Release"}"#;
    assert_eq!(pages.value(conflicts), Some(0.0));
    test.kubectl(["create", "service", "clusterip", "mart-0", "--tcp=80"]);
    test.apply(&release("mart"));
    becomes(&test, &pages, conflicts, 1.0);
    test.kubectl(["delete", "service", "mart-0"]);
    becomes(&test, &pages, conflicts, 0.0);
}

#[test]
fn kinds_that_only_policies_name_count_together() {
    let (test, pages) = listening("other kinds");
    test.apply(
        "
apiVersion: iter8.tools/v1alpha1
kind: RoutePolicy
metadata: { name: own }
spec:
  strategy: canary
  versions:
  - name: a
    resources:
    - { apiVersion: example.com/v1, kind: Apple, name: a }
    - { apiVersion: example.com/v1, kind: Pear, name: a }
    - { apiVersion: apps/v1, kind: StatefulSet, name: a }
    backend: { name: a, port: 80 }
  route: { virtualService: { hosts: [own] } }
",
    );
    becomes(&test, &pages, r#"iter8_watch_synced{kind="StatefulSet"}"#, 1.0);
    becomes(&test, &pages, r#"iter8_watch_synced{kind="other"}"#, 0.0);
    let metrics = pages.metrics();
    assert!(
        !metrics
            .iter()
            .any(|line| line.contains("Apple") || line.contains("apples")),
        "{metrics:#?}"
    );
}

#[test]
fn an_operator_is_ready_when_its_first_lists_have_been_answered() {
    let mut test = Test::without_operator("ready");
    let relay = Relay::start(test.kubeconfig());
    test.connect_with(&relay.kubeconfig);
    relay.fail_reads(Some("/deployments"));
    test.run_with([LISTEN]);
    test.start();
    let pages = Pages::of(&test);
    test.wait_until("Services are known, and Deployments are not", SOON, || {
        let (code, body) = pages.get("/readyz");
        let known = body.contains("Service: synced") && body.contains("Deployment: the first list failed");
        holds(code == 503 && known, body)
    });
    assert_eq!(pages.value(r#"iter8_watch_synced{kind="Deployment"}"#), Some(0.0));
    assert_eq!(pages.get("/healthz").0, 200);
    relay.fail_reads(None);
    test.wait_until("it is ready", SOON, || {
        let (code, body) = pages.get("/readyz");
        holds(code == 200, body)
    });
    becomes(&test, &pages, r#"iter8_watch_synced{kind="Deployment"}"#, 1.0);
}

#[test]
fn a_replica_that_may_not_see_what_it_needs_is_not_ready_to_replace_one_that_may() {
    let mut test = Test::without_operator("unready");
    let relay = Relay::start(test.kubeconfig());
    test.connect_with(&relay.kubeconfig);
    let forbidden = Refusal {
        code: 403,
        message: "configmaps is forbidden",
        reason: "Forbidden",
        retry_after: None,
    };
    relay.disturb(Which::reads("/configmaps?"), Fault::Refused(forbidden), None);
    test.run_with([LISTEN]);
    test.start();
    let pages = Pages::of(&test);
    test.wait_until("it says what it lacks, and knows all else", SOON, || {
        let (code, body) = pages.get("/readyz");
        let told = body.contains("ConfigMap: forbidden") && body.contains("Deployment: synced");
        holds(code == 503 && told, body)
    });
}

#[test]
fn every_address_is_listened_at_as_one_with_ipv6_or_without() {
    let test = Test::without_operator("addresses");
    test.run_with(["--listen=[::]:0"]);
    test.start();
    assert_eq!(Pages::of(&test).on_loopback().get("/healthz").0, 200);
}

#[test]
fn a_mesh_that_is_not_installed_shows_and_does_not_make_it_unready() {
    let Some(cluster) = cluster::dedicated_cluster("meshless") else {
        return;
    };
    let test = Test::within(cluster, "meshless");
    test.kubectl(["delete", "crd", "virtualservices.networking.istio.io"]);
    test.run_with([LISTEN]);
    test.start();
    let pages = Pages::of(&test);
    test.wait_until("it is ready", SOON, || {
        let (code, body) = pages.get("/readyz");
        holds(code == 200 && body.contains("VirtualService: not installed"), body)
    });
    assert_eq!(pages.value(r#"iter8_watch_synced{kind="VirtualService"}"#), Some(0.0));
    assert_eq!(pages.value(r#"iter8_watch_synced{kind="HTTPRoute"}"#), Some(1.0));
}

#[test]
fn a_port_that_is_taken_is_told_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let test = Test::without_operator("port");
    let output = std::process::Command::new(crate::support::operator::BINARY)
        .args(["run", "--listen", &address])
        .env("KUBECONFIG", test.kubeconfig())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains(&format!("--listen {address}")),
        "{said}"
    );
}
