//! Where weights stand, and who may say so.

use serde_json::{Value, json};

use super::{
    ends, experiment, in_config, placed, reaches, says, weights, weights_config, weights_in_config, without_repetitions,
};
use crate::support::manifest::{list, release, weighted};
use crate::support::{SOON, Test, holds, skip_unless_local};

/// Traffic for two revisions, as `config/metrics` and tutorials have it.
const KNATIVE_SERVICE: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: web }
spec:
  template: { spec: { containers: [{ image: web:2 }] } }
  traffic:
  - { revisionName: web-v1, percent: 100 }
  - { latestRevision: true, percent: 0 }
";

fn version(name: &str) -> Value {
    json!({ "name": name })
}

#[test]
fn the_weights_of_a_knative_service_move_where_they_stand() {
    if skip_unless_local("Knative's CRD without Knative") {
        return;
    }
    let test = Test::new("knative weights");
    test.apply(KNATIVE_SERVICE);
    let services = test.watch("ksvc");
    let service = ("serving.knative.dev/v1", "Service", "web");
    let versions = [
        placed(version("v1"), service, "/spec/traffic/0/percent"),
        placed(version("v2"), service, "/spec/traffic/1/percent"),
    ];
    test.apply(&experiment("canary", "Canary", 3, &versions).to_string());
    let status = ends(&test, "canary", "Successful");
    assert_eq!(weights(&status["currentWeightDistribution"]), [60, 40]);
    assert_eq!(weights(&status["startWeights"]), [100, 0]);
    let recorded = services.versions_of("web");
    let percents = recorded
        .iter()
        .map(|seen| [0, 1].map(|at| seen.object["spec"]["traffic"][at]["percent"].as_i64().unwrap()));
    // Both at once, and nothing else of the object.
    let want = [[100, 0], [90, 10], [80, 20], [70, 30], [60, 40]];
    assert_eq!(without_repetitions(percents), want);
    let last = &recorded[recorded.len() - 1].object["spec"];
    assert_eq!(last["template"], recorded[0].object["spec"]["template"]);
    assert_eq!(last["traffic"][1]["latestRevision"], true);
}

#[test]
fn a_fixed_split_is_told_and_not_moved() {
    let test = Test::new("fixed split");
    test.apply(&weights_config().to_string());
    let configs = test.watch("configmap");
    let versions = ["v1", "v2"].map(|name| in_config(version(name)));
    let mut fixed = experiment("fixed", "Canary", 3, &versions);
    fixed["spec"]["strategy"]["deploymentPattern"] = "FixedSplit".into();
    test.apply(&fixed.to_string());
    let status = ends(&test, "fixed", "Successful");
    assert_eq!(weights(&status["currentWeightDistribution"]), [100, 0]);
    assert_eq!(configs.versions_of("weights").len(), 1);
}

#[test]
fn weights_that_somebody_changes_meanwhile_are_seen_and_not_overwritten() {
    let test = Test::new("edited weights");
    test.apply(&weights_config().to_string());
    let configs = test.watch("configmap");
    let versions = ["v1", "v2"].map(|name| in_config(version(name)));
    let mut long = experiment("long", "Canary", 1000, &versions);
    long["spec"]["duration"]["intervalSeconds"] = 2.into();
    test.apply(&long.to_string());
    test.wait_until("weights have been moved", SOON, || {
        let weights = weights_in_config(&configs);
        holds(weights.ends_with(&[[80, 20]]), weights)
    });
    let edit = json!({ "data": { "v1": "45", "v2": "55" } });
    test.cluster.api.merge(&test.namespace, "configmap", "weights", &edit);
    let after = test.wait_until("it goes on", SOON, || {
        let weights = weights_in_config(&configs);
        let at = weights.iter().position(|weights| *weights == [45, 55]);
        let after = at.and_then(|at| weights.get(at + 1).copied());
        after.ok_or_else(|| format!("{weights:?}"))
    });
    assert_eq!(after, [35, 65], "one step from what was found");
    test.wait_until("an Event says so", SOON, || {
        let events = test.events("WeightsEdited");
        holds(events == ["somebody has changed weights: v1 45, v2 55"], events)
    });
}

/// A Canary experiment whose candidate's weight stands there.
fn of_candidate(name: &str, object: (&str, &str, &str), pointer: &str) -> Value {
    let candidate = placed(version("v2"), object, pointer);
    experiment(name, "Canary", 2, &[version("v1"), candidate])
}

/// Experiments that ask for weights of objects that are not for them, and what they are told.
fn refused() -> [(Value, &'static str); 6] {
    let istio = ("networking.istio.io/v1", "VirtualService", "web");
    let config = |name: &'static str| ("v1", "ConfigMap", name);
    let mut of_release = experiment("names", "Canary", 2, &[version("web-0"), version("other")]);
    of_release["spec"]["versionInfo"]["releaseRef"] = json!({ "name": "web" });
    [
        (
            of_candidate("kind", ("apps/v1", "Deployment", "web-0"), "/spec/replicas"),
            "experiments may not move weights of Deployment of apps/v1, but of configmaps, services.serving.knative.dev, \
             virtualservices.networking.istio.io, httproutes.gateway.networking.k8s.io: see experiments.weightTargets of \
             the operator's chart",
        ),
        (
            of_candidate("label", config("plain"), "/data/v2"),
            "ConfigMap plain is not for experiments: give it label iter8.tools/watch: \"true\"",
        ),
        (
            of_candidate("policy", istio, "/spec/http/0/route/1/weight"),
            "VirtualService web is written by RoutePolicy web: move the weight of its versions instead, as in \
             versionInfo.releaseRef",
        ),
        (
            of_candidate("missing", config("missing"), "/data/v2"),
            "ConfigMap missing does not exist",
        ),
        (
            of_candidate("integer", config("weights"), "/data/v3"),
            "ConfigMap weights has no integer from 0 to 100 at /data/v3",
        ),
        (of_release, "ConfigMap other-weight-config does not exist"),
    ]
}

#[test]
fn weights_of_what_is_not_for_experiments_are_not_moved() {
    let test = Test::new("refused weights");
    let versions = [weighted("web:1", 70), weighted("web:2", 30)];
    test.apply(&release("web", "deployment-istio", "blue-green", &versions).to_string());
    test.wait_ready("release/web");
    let mut plain = weights_config();
    plain["metadata"] = json!({ "name": "plain" });
    test.apply(&list(&[plain, weights_config()]));
    let objects = || {
        [
            ("deployment", "web-0"),
            ("configmap", "plain"),
            ("virtualservice", "web"),
            ("configmap", "weights"),
            ("configmap", "web-0-weight-config"),
        ]
        .map(|(kind, name)| test.get(kind, name)["metadata"]["resourceVersion"].take())
    };
    let before = objects();
    let refused = refused();
    for (experiment, sentence) in &refused {
        let name = experiment["metadata"]["name"].as_str().unwrap();
        test.apply(&experiment.to_string());
        let ready = says(&test, name, "WeightRedistributionFailed", "");
        assert_eq!([&*ready.status, &*ready.message], ["False", *sentence]);
        let status = test.experiment(name).get();
        assert_eq!(status["stage"], "Initializing");
        assert_eq!(status["message"], format!("WeightRedistributionFailed: {sentence}"));
    }
    assert_eq!(objects(), before);
    test.wait_until("Events say so", SOON, || {
        let events = test.events("WeightRedistributionFailed");
        holds(events.len() == refused.len(), events)
    });

    // What was missing is there: it begins.
    test.kubectl(["label", "configmap", "plain", "iter8.tools/watch=true"]);
    ends(&test, "label", "Successful");
}

#[test]
fn weights_in_another_namespace_are_not_moved() {
    let (test, other) = (Test::new("own weights"), Test::without_operator("others weights"));
    other.apply(&weights_config().to_string());
    let configs = other.watch("configmap");
    let mut elsewhere = of_candidate("elsewhere", ("v1", "ConfigMap", "weights"), "/data/v2");
    elsewhere["spec"]["versionInfo"]["candidates"][0]["weightObjRef"]["namespace"] = other.namespace.as_str().into();
    test.apply(&elsewhere.to_string());
    let ready = says(&test, "elsewhere", "InvalidExperiment", "in its own namespace only");
    assert!(
        ready
            .message
            .contains("spec.versionInfo.candidates[0].weightObjRef.namespace"),
        "{ready:?}"
    );
    let status = reaches(&test, "elsewhere", "it says so", |status| {
        status["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("InvalidExperiment: "))
    });
    assert!(status["startTime"].is_null(), "{status}");
    assert_eq!(configs.versions_of("weights").len(), 1);
}
