//! Whom Metrics ask: nobody but those that the operator may ask, and nobody for nothing.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use iter8::api::experiment::NamedValue;
use iter8::api::metric::MetricSpec;
use iter8::model::query::Sample;
use iter8::model::yaml;
use iter8::plan::experiment::queries::{self, Asked};
use iter8::provider::{Provider, Settings};
use serde_json::{Value, json};

use super::{Lab, at_most, ends, experiment, objective, says, with_objectives};
use crate::support::api::RUNTIME;
use crate::support::json_api::JsonApi;
use crate::support::{SOON, Test, at_rest, equal, holds, skip_unless_local, stays};

/// A Metric that asks a JSON API.
fn json_metric(name: &str, url: &str) -> Value {
    json!({
        "apiVersion": "iter8.tools/v2alpha1",
        "kind": "Metric",
        "metadata": { "name": name },
        "spec": {
            "provider": "shop",
            "urlTemplate": url,
            "params": [{ "name": "version", "value": "$name" }, { "name": "window", "value": "$interval" }],
            "jqExpression": ".data[0].latency",
        },
    })
}

/// A JSON API that answers 12.5, and its Metric.
fn api() -> (JsonApi, Value) {
    let api = JsonApi::start(&json!({ "data": [{ "latency": 12.5 }] }));
    let metric = json_metric("latency", &format!("http://{}/latency", api.address));
    (api, metric)
}

/// Conformance of `v1` to one limit of metric `latency`.
fn conformance(name: &str, iterations: i64) -> Value {
    let conformance = experiment(name, "Conformance", iterations, &[json!({ "name": "v1" })]);
    with_objectives(conformance, &[at_most("latency", 50)])
}

#[test]
fn a_json_api_that_the_operator_may_ask_is_asked() {
    let test = Test::without_operator("json api");
    let (api, metric) = api();
    test.run_with(["--allowed-hosts", &api.address.to_string()]);
    test.start();
    test.apply(&metric.to_string());
    test.apply(&conformance("json", 2).to_string());
    let status = ends(&test, "json", "Successful");
    assert_eq!(objective(&status)["value"], "12.5");
    let asked = api.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for asked in asked {
        assert!(asked.line.starts_with("GET /latency?version=v1&window="), "{asked:?}");
    }
}

#[test]
fn a_host_that_the_operator_may_not_ask_is_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let test = Test::without_operator("other host");
    test.run_with(["--prometheus=http://prometheus.example", "--allowed-hosts=api.example"]);
    test.start();
    test.apply(&json_metric("latency", &format!("http://{address}/")).to_string());
    let mut refused = conformance("refused", 30);
    refused["spec"]["duration"]["maxIterationsWithoutData"] = 2.into();
    test.apply(&refused.to_string());
    let status = ends(&test, "refused", "Error");
    let judged = objective(&status);
    assert_eq!(judged["verdict"], "Error");
    let want = format!(
        "host {address} is not among the hosts that this operator may ask (prometheus.example:80, api.example): whoever \
         runs the operator can add it to its chart's experiments.allowedHosts"
    );
    assert_eq!(judged["message"], want);
    says(&test, "refused", "Error", &want);
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_secret_is_sent_where_somebody_lets_the_operator_read_it_and_shown_nowhere() {
    const TOKEN: &str = "t0p-s3cr3t";
    let mut test = Test::without_operator("secret");
    test.expect_refusals(); // before the right is there
    let (api, mut metric) = api();
    metric["spec"]["authType"] = "Bearer".into();
    metric["spec"]["secret"] = "api".into();
    test.run_with(["--allowed-hosts", &api.address.to_string()]);
    test.start();
    let token = format!("--from-literal=token={TOKEN}");
    test.kubectl(["create", "secret", "generic", "api", &token]);
    test.apply(&metric.to_string());
    let mut refused = conformance("refused", 30);
    refused["spec"]["duration"]["maxIterationsWithoutData"] = 1.into();
    test.apply(&refused.to_string());
    let status = ends(&test, "refused", "Error");
    let said = objective(&status)["message"].as_str().unwrap();
    let secret = format!("metric latency: Secret {}/api: ", test.namespace);
    assert!(
        said.starts_with(&secret) && said.contains("allow get on secrets"),
        "{said}"
    );
    assert!(api.asked().is_empty());

    let role = ["--verb=get", "--resource=secrets", "--resource-name=api"];
    test.kubectl(["create", "role", "api"].into_iter().chain(role));
    let account = "--serviceaccount=iter8-system:iter8";
    test.kubectl(["create", "rolebinding", "api", "--role=api", account]);
    test.apply(&conformance("allowed", 2).to_string());
    let status = ends(&test, "allowed", "Successful");
    let asked = api.asked();
    assert!(!asked.is_empty());
    for asked in asked {
        assert_eq!(asked.authorization, format!("Bearer {TOKEN}"));
    }
    assert!(!status.to_string().contains(TOKEN), "{status}");
    assert!(!test.log().contains(TOKEN));
}

#[test]
fn an_experiment_waits_for_its_metric_and_begins_when_it_is_there() {
    let test = Test::without_operator("metric later");
    let (api, metric) = api();
    test.run_with(["--allowed-hosts", &api.address.to_string()]);
    test.start();
    test.apply(&conformance("waiting", 2).to_string());
    let missing = format!("Unable to find metric {}/latency", test.namespace);
    let ready = says(&test, "waiting", "MetricUnavailable", &missing);
    assert_eq!(ready.status, "False");
    let status = test.experiment("waiting").get();
    assert_eq!(status["stage"], "Initializing");
    assert_eq!(status["message"], format!("MetricUnavailable: {missing}"));
    test.apply(&metric.to_string());
    ends(&test, "waiting", "Successful");
}

#[test]
fn for_an_experiment_that_is_deleted_nobody_is_asked_any_more() {
    let test = Test::without_operator("deleted");
    let (api, metric) = api();
    test.run_with(["--allowed-hosts", &api.address.to_string()]);
    test.start();
    test.apply(&metric.to_string());
    test.apply(&conformance("deleted", 1000).to_string());
    test.wait_until("it is under way", SOON, || holds(api.asked().len() > 1, api.asked()));
    test.kubectl(["delete", "experiment", "deleted"]);
    // What was begun before may end.
    let asked = at_rest("nobody is asked any more", Duration::from_secs(4), || api.asked().len());
    test.apply(&conformance("deleted", 2).to_string());
    let status = ends(&test, "deleted", "Successful");
    assert_eq!(status["completedIterations"], 2, "it begins anew");
    assert_eq!(api.asked().len(), asked + 2);
}

/// How long nothing must be asked for.
const IDLE: Duration = Duration::from_secs(20);

#[test]
fn an_experiment_that_has_ended_costs_nothing() {
    if skip_unless_local("an audit log") {
        return;
    }
    let test = Test::with_account("ended");
    let (api, metric) = api();
    test.run_with(["--allowed-hosts", &api.address.to_string()]);
    test.start();
    test.apply(&metric.to_string());
    test.apply(&conformance("ended", 2).to_string());
    ends(&test, "ended", "Successful");
    test.wait_until("the last Event is sent", SOON, || {
        equal(test.events("ExperimentCompleted").len(), &1)
    });
    let (mark, asked) = (test.audit_mark(), api.asked());
    test.kubectl(["label", "experiment", "ended", "color=red"]);
    stays("nobody is asked for anything", IDLE, || {
        let mut requests = test.requests_since(mark);
        requests.retain(|request| request.verb != "watch");
        holds(requests.is_empty() && api.asked() == asked, requests)
    });
}

#[test]
fn prometheus_understands_every_query_that_is_shipped() {
    let Some(lab) = Lab::new("shipped") else {
        return;
    };
    let provider = Provider::new(Settings {
        prometheus: Some(lab.prometheus.url()),
        ..Settings::default()
    });
    let provider = provider.unwrap();
    let variables = ["revision", "namespace"].map(|name| NamedValue {
        name: name.to_owned(),
        value: lab.test.namespace.clone(),
    });
    let asked = Asked {
        version: "web-1",
        variables: &variables,
        elapsed_seconds: 60,
    };
    for source in ["knative", "istio", "linkerd"] {
        let file = format!("{}/config/metrics/{source}.yaml", env!("CARGO_MANIFEST_DIR"));
        let metrics = yaml::read_all(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(metrics.len(), 5, "{source}");
        for metric in metrics {
            let spec: MetricSpec = serde_json::from_value(metric["spec"].clone()).unwrap();
            let query = queries::query(&spec, &asked, provider.prometheus(), None).unwrap();
            let sample = RUNTIME.block_on(provider.ask(&query, Duration::ZERO));
            // Nothing of these versions is scraped.
            assert!(matches!(sample, Sample::NoData(_)), "{source}: {query:?}: {sample:?}");
        }
    }
}
