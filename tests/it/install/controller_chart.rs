//! `charts/controller`: what Helm makes of its values, and that the operator can work with it.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::cluster::{SERVICE_ACCOUNT, bare_cluster, cluster};
use crate::support::helm::{Helm, chart};
use crate::support::kubectl::say;
use crate::support::operator::BINARY;
use crate::support::pods::processes;
use crate::support::{SOON, Test, equal};

/// Values of which each is put over the one before, in one installation.
const COMBINATIONS: &[&str] = &[
    "{}",
    "{clusterScoped: true, logLevel: trace, image: 'kalantar/iter8:20241010-0930'}",
    "{replicas: 1, logFormat: json, logLevel: 'info,iter8=debug'}",
    "{clusterScoped: true, crds: {install: false}, userRoles: {create: false}}",
    "{resourceTypes: {isvc: {Group: serving.kserve.io, Version: v1beta1, Resource: inferenceservices, conditions: [Ready]}, \
     pods: {Resource: pods}}}",
    // As the original chart had it.
    "{resourceTypes: {deploy: {Group: apps, Version: v1, Resource: deployments, conditions: [Available]}}}",
    "{clusterScoped: true, resourceTypes: {isvc: {Group: serving.kserve.io, Resource: inferenceservices}}}",
    "{serviceAccount: {create: false, name: default}}",
    "{serviceAccount: {name: operator, annotations: {a: b}}, imagePullPolicy: Always, imagePullSecrets: [{name: key}]}",
    "{resources: {requests: {cpu: 1}, limits: {memory: 1Gi, cpu: 2}}, priorityClassName: system-cluster-critical}",
    "{podAnnotations: {a: b}, podLabels: {c: d}, nodeSelector: {kubernetes.io/os: linux}, tolerations: [{operator: Exists}], \
     affinity: {podAntiAffinity: {}}}",
    "{serviceMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}, prometheusRule: {enabled: true}, \
     dashboard: {enabled: true}}",
    "{prometheusRule: {enabled: true, labels: {role: alerts}}, dashboard: {enabled: true, labels: {folder: a}}}",
    "{experiments: {prometheus: 'https://prometheus.monitoring:9090/path/', allowedHosts: [prometheus.monitoring, 'api:443']}}",
    "{clusterScoped: true, experiments: {secrets: [{namespace: default, name: new-relic}, {namespace: kube-public, name: x.y}], \
     weightTargets: [{kind: ConfigMap, resource: configmaps}, {group: apps, kind: Deployment, resource: deployments}]}}",
    "{experiments: {metrics: [knative], weightTargets: []}}",
    "{clusterScoped: true, experiments: {metrics: [istio]}}",
    "{experiments: {metrics: [linkerd]}, userRoles: {create: false}}",
    "{global: {imageRegistry: x}, crds: {keep: false}}",
];

#[test]
fn the_controller_chart_passes_helms_own_checks() {
    let helm = Helm::beside(&cluster().kubectl);
    for values in COMBINATIONS {
        helm.ok(["lint", "--strict", &chart("controller"), "-f", "-"], values);
    }
}

/// A value that is set, and why it is refused.
const REFUSED: &[(&str, &str)] = &[
    ("replica=3", "additional properties 'replica' not allowed"),
    (
        "clusterscoped=true",
        "additional properties 'clusterscoped' not allowed",
    ),
    ("clusterScoped=yes", "got string, want boolean"),
    ("crds.kep=true", "additional properties 'kep' not allowed"),
    ("defaultResync=15m", "additional properties 'defaultResync' not allowed"),
    ("metrics.port=1", "additional properties 'metrics' not allowed"),
    ("resources.limit.cpu=1", "additional properties 'limit' not allowed"),
    (
        "resourceTypes.ksvc.resource=services",
        "additional properties 'resource' not allowed",
    ),
    ("resourceTypes.ksvc.Resource=Services", "does not match pattern"),
    // Readiness is not looked for elsewhere, so to name another condition must not seem to work.
    (
        "resourceTypes.job.Resource=jobs,resourceTypes.job.conditions[0]=Complete",
        "value must be one of 'Ready', 'Available'",
    ),
    (
        "serviceMonitor.enable=true",
        "additional properties 'enable' not allowed",
    ),
    ("logLevel=degub", "does not match pattern"),
    ("logFormat=xml", "value must be one of 'text', 'json'"),
    (
        "experiments.prometeus=x",
        "additional properties 'prometeus' not allowed",
    ),
    ("experiments.prometheus=prometheus:9090", "does not match pattern"),
    ("experiments.prometheus=http://a:b@prometheus", "does not match pattern"),
    (
        "experiments.prometheus=http://prometheus/?a=b",
        "does not match pattern",
    ),
    ("experiments.allowedHosts={http://a}", "does not match pattern"),
    ("experiments.allowedHosts={*}", "does not match pattern"),
    (
        "experiments.weightTargets[0].kind=ConfigMap",
        "missing property 'resource'",
    ),
    (
        "experiments.weightTargets[0].kind=Service,experiments.weightTargets[0].resource=Services",
        "does not match pattern",
    ),
    ("experiments.secrets[0].name=a", "missing property 'namespace'"),
    (
        "experiments.metrics={seldon}",
        "value must be one of 'knative', 'istio', 'linkerd'",
    ),
    (
        "experiments.metrics={knative,istio}",
        "experiments.metrics: the Metrics of knative and istio have the same names",
    ),
    ("replicas=0", "minimum: got 0, want 1"),
    ("serviceAccount.create=false", "serviceAccount.name is required"),
];

#[test]
fn a_value_of_the_controller_that_nothing_reads_is_refused() {
    let helm = Helm::beside(&cluster().kubectl);
    let chart = chart("controller");
    for (set, want) in REFUSED {
        let said = helm.fails(["template", "iter8", &chart, "--set", set], "");
        assert!(said.contains(want), "{set}: {said}");
    }
}

#[test]
fn each_combination_of_values_can_be_installed_over_the_one_before() {
    let Some(cluster) = bare_cluster("values") else {
        return;
    };
    let test = Test::within(cluster, "values");
    test.kubectl([
        "label",
        "namespace",
        &test.namespace,
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    test.server_side("prometheus-operator", include_str!("monitoring.yaml"));
    let (helm, chart) = (test.helm(), chart("controller"));
    let ways = ["--server-side=true", "--server-side=false"].into_iter().cycle();
    for (values, way) in COMBINATIONS.iter().zip(ways) {
        helm.ok(["upgrade", "--install", "iter8", &chart, way, "-f", "-"], values);
        // Its Pods are admitted, as they keep to the restricted standard.
        test.wait_until("every Pod is available", SOON, || {
            let deployment = test.get("deployment", "iter8");
            let status = &deployment["status"];
            equal(
                json!([
                    status["observedGeneration"],
                    status["updatedReplicas"],
                    status["availableReplicas"]
                ]),
                &json!([
                    deployment["metadata"]["generation"],
                    deployment["spec"]["replicas"],
                    deployment["spec"]["replicas"]
                ]),
            )
        });
    }
    let uninstalled = helm.ok(["uninstall", "iter8"], "");
    assert!(
        !uninstalled.contains("kept due to"),
        "keep: false was the last word: {uninstalled}"
    );
    test.gone("crd", "releases.iter8.tools");
}

/// The objects that Helm would install in namespace `team`.
pub fn rendered(set: &str) -> Vec<Value> {
    let helm = Helm::beside(&cluster().kubectl).within("team");
    let text = helm.ok(["template", "iter8", &chart("controller"), "--set", set], "");
    let documents = text
        .split("\n---\n")
        .map(|part| serde_yaml::from_str::<Value>(part).unwrap());
    documents.filter(|object| !object.is_null()).collect()
}

#[test]
fn without_cluster_scope_nothing_is_outside_of_the_namespace() {
    for object in rendered("crds.install=false") {
        assert_eq!(object["metadata"]["namespace"], "team", "{object}");
    }
    let kinds = |set: &str| -> Vec<String> {
        let outside = rendered(set)
            .into_iter()
            .filter(|object| object["metadata"]["namespace"].is_null());
        outside
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut found = kinds("clusterScoped=true");
    found.dedup();
    assert_eq!(found, ["CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"]);
}

/// The objects that these values change, before and after.
#[track_caller]
fn changed(set: &str) -> Vec<(Value, Value)> {
    let plain = rendered("clusterScoped=true");
    let more = rendered(&format!("clusterScoped=true,{set}"));
    assert_eq!(plain.len(), more.len());
    plain
        .into_iter()
        .zip(more)
        .filter(|(before, after)| before != after)
        .collect()
}

#[test]
fn further_kinds_are_rules_to_watch_them_and_nothing_else() {
    let isvc = "resourceTypes.isvc.Group=serving.kserve.io,resourceTypes.isvc.Resource=inferenceservices";
    let [(before, after)] = &changed(isvc)[..] else {
        panic!("not one object changes")
    };
    let rules = after["rules"].as_array().unwrap();
    assert_eq!(rules[..rules.len() - 1], before["rules"].as_array().unwrap()[..]);
    let rule =
        json!({ "apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["list", "watch"] });
    assert_eq!(rules.last(), Some(&rule));
}

#[test]
fn the_deployment_says_nothing_that_the_operator_does_not_understand() {
    let help = say(Command::new(BINARY).args(["run", "--help"]), "").stdout;
    let told = "experiments.prometheus=http://prometheus,experiments.allowedHosts={a}";
    for scope in ["clusterScoped=true", "clusterScoped=false", told] {
        let mut objects = rendered(scope).into_iter();
        let deployment = objects.find(|object| object["kind"] == "Deployment").unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        for flag in container["args"].as_array().unwrap().iter().skip(1) {
            let flag = flag.as_str().unwrap().split('=').next().unwrap();
            assert!(
                help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                "{flag}: {help}"
            );
        }
        for variable in container["env"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap();
            // Who it is in Events.
            assert!(
                name == "POD_NAME" || help.contains(&format!("[env: {name}=")),
                "{name}: {help}"
            );
        }
    }
}

#[test]
fn another_log_level_restarts_nothing() {
    for (level, want) in [("trace", "trace"), ("warning", "warn")] {
        let [(_, after)] = &changed(&format!("logLevel={level}"))[..] else {
            panic!("not one object changes")
        };
        assert_eq!([&after["kind"], &after["data"]["log-level"]], ["ConfigMap", want]);
    }
}

#[test]
fn users_get_what_their_role_says_and_no_more() {
    let test = Test::without_operator("users");
    // Roles in one installation, ClusterRoles in the other.
    let names = ["role", "cluster"].map(|scope| format!("{scope}-{}", test.namespace));
    let scopes = [
        ("clusterScoped=false", "--role"),
        ("clusterScoped=true", "--clusterrole"),
    ];
    let (helm, chart) = (test.helm(), chart("controller"));
    for (name, (scope, kind)) in names.iter().zip(scopes) {
        helm.ok(
            ["install", name, &chart, "--set", scope, "--set", "crds.install=false"],
            "",
        );
        for (role, user) in [
            ("releases-edit", "releaser"),
            ("routepolicies-edit", "router"),
            ("experiments-edit", "experimenter"),
        ] {
            let (role, user) = (format!("{kind}={name}-{role}"), format!("--user={user}"));
            let binding = format!("{user}-{name}").replace(['-', '='], "");
            test.kubectl(["create", "rolebinding", &binding, &role, &user]);
        }
        for (user, verb, resource, want) in [
            ("releaser", "create", "releases.iter8.tools", true),
            ("releaser", "get", "releases.iter8.tools/status", true),
            ("releaser", "patch", "releases.iter8.tools/status", false),
            ("releaser", "create", "routepolicies.iter8.tools", false),
            ("releaser", "create", "deployments.apps", false),
            ("router", "delete", "routepolicies.iter8.tools", true),
            ("router", "create", "releases.iter8.tools", false),
            ("router", "create", "httproutes.gateway.networking.k8s.io", false),
            ("experimenter", "create", "experiments.iter8.tools", true),
            ("experimenter", "patch", "metrics.iter8.tools", true),
            ("experimenter", "get", "experiments.iter8.tools/status", true),
            ("experimenter", "patch", "experiments.iter8.tools/status", false),
            ("experimenter", "patch", "releases.iter8.tools", false),
            ("experimenter", "patch", "configmaps", false),
            ("experimenter", "get", "secrets", false),
        ] {
            let resource: Vec<&str> = resource.split('/').collect();
            let mut ask = vec!["auth", "can-i", verb, resource[0], "--as", user];
            let subresource = resource
                .get(1)
                .map(|subresource| format!("--subresource={subresource}"));
            ask.extend(subresource.as_deref());
            assert_eq!(test.try_kubectl(ask), want, "{name}: {user} {verb} {resource:?}");
        }
        helm.ok(["uninstall", name], "");
    }
}

/// A kind that a RoutePolicy may name, called after the test.
fn crd(group: &str) -> String {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("models.{group}") },
        "spec": {
            "group": group,
            "names": { "kind": "Model", "plural": "models", "singular": "model" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    })
    .to_string()
}

#[test]
fn with_a_role_in_one_namespace_the_operator_does_all_there_is_to_do_there() {
    let mut test = Test::without_operator("role");
    let group = format!("{}.example.com", test.namespace);
    let more = format!("resourceTypes.model.Group={group},resourceTypes.model.Resource=models,crds.install=false");
    test.helm()
        .ok(["install", "role", &chart("controller"), "--set", &more], "");
    test.connect_as("role");
    test.expect_refusals();
    let mark = test.audit_mark_if_any();
    let operators = processes(&test.cluster, &test.namespace, "role");
    assert_eq!(operators.len(), 2);
    for environment in ["deployment-istio", "deployment-gtw"] {
        let values = format!(
            "{{environment: {environment}, application: {{strategy: blue-green, versions: [{{image: 'a:1'}}, {{image: 'a:2'}}]}}}}"
        );
        let name = environment.replace("deployment-", "shop-");
        test.helm()
            .ok(["install", &name, &chart("release"), "-f", "-"], &values);
        test.wait_ready(&format!("release/{name}"));
        test.shares_become(&name, &[(&format!("{name}-0"), 50), (&format!("{name}-1"), 50)]);
    }
    // A kind that comes later is found though CRDs may not be watched.
    let policy = json!({
        "apiVersion": "iter8.tools/v1alpha1", "kind": "RoutePolicy", "metadata": { "name": "models" },
        "spec": {
            "strategy": "blue-green",
            "versions": [{
                "name": "a",
                "resources": [{ "apiVersion": format!("{group}/v1"), "kind": "Model", "name": "a" }],
                "backend": { "name": "shop-istio-0", "port": 80 },
            }],
            "route": { "virtualService": { "hosts": ["models"] } },
        },
    });
    test.apply(&policy.to_string());
    crate::ownership::stalled(&test, "routepolicy/models", "KindNotFound", "Model");
    test.apply_outside("crd", &format!("models.{group}"), &crd(&group));
    test.kubectl([
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        &format!("crd/models.{group}"),
    ]);
    let model = json!({ "apiVersion": format!("{group}/v1"), "kind": "Model", "metadata": { "name": "a" } });
    test.apply(&model.to_string());
    test.wait_ready("routepolicy/models");
    test.shares_become("models", &[("shop-istio-0", 100)]);

    let Some(mark) = mark else { return };
    let refused: Vec<_> = test
        .requests_since(mark)
        .into_iter()
        .filter(|request| request.forbidden)
        .collect();
    let crds = refused
        .iter()
        .filter(|request| request.resource == "customresourcedefinitions")
        .count();
    assert!(crds == refused.len() && crds <= 2, "{refused:#?}");
}

#[test]
fn the_crds_are_upgraded_with_the_chart_and_stay_when_it_goes() {
    let Some(cluster) = bare_cluster("crds") else {
        return;
    };
    let helm = Helm::beside(&cluster.kubectl).within(SERVICE_ACCOUNT.0);
    let chart = chart("controller");
    let columns = || -> usize {
        let crd = cluster
            .api
            .find(None, "crd", "releases.iter8.tools")
            .expect("the CRD is gone");
        assert!(crd["metadata"]["deletionTimestamp"].is_null());
        crd["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .len()
    };
    helm.ok(["install", "iter8", &chart], "");
    let all = columns();
    // The version before knew less.
    let older = cluster.folder.join("older");
    let copied = Command::new("cp").arg("-r").arg(&chart).arg(&older).status().unwrap();
    assert!(copied.success());
    let file = older.join("templates/crds/releases.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let column = "    - jsonPath: .status.summary.images\n      name: Images\n      priority: 1\n      type: string\n";
    assert!(text.contains(column));
    std::fs::write(&file, text.replace(column, "")).unwrap();
    helm.ok(["upgrade", "iter8", older.to_str().unwrap()], "");
    assert_eq!(columns(), all - 1);
    helm.ok(["upgrade", "iter8", &chart], "");
    assert_eq!(columns(), all);
    // Whoever leaves them to others, or removes the operator, does not lose them; who comes back has them again.
    helm.ok(["upgrade", "iter8", &chart, "--set", "crds.install=false"], "");
    assert_eq!(columns(), all);
    helm.ok(["upgrade", "iter8", &chart], "");
    helm.ok(["uninstall", "iter8"], "");
    assert_eq!(columns(), all);
    helm.ok(["install", "iter8", &chart], "");
    // Under another name it must be said that they are to be taken over.
    helm.ok(["uninstall", "iter8"], "");
    let said = helm.fails(["install", "other", &chart], "");
    assert!(said.contains("invalid ownership metadata"), "{said}");
    helm.ok(["install", "other", &chart, "--take-ownership"], "");
    assert_eq!(columns(), all);
}
