//! Promotion (design, *Order*) under slow rollouts: no request is lost on the way, whatever happens on it.
//!
//! Every test plays its case with one application for each pair of strategy and mesh, all in its namespace and at once.

mod capacity;
mod names;
mod order;
mod pace;
mod rollouts;
mod steps;
mod weights;

use serde_json::{Value, json};

use crate::support::manifest::sized;
use crate::support::recorder::{Change, Seen};
use crate::support::safety::SafetyWatch;
use crate::support::{SOON, Test, equal, holds, routes};

/// An application of a pair, which its Release is called after.
#[derive(Clone, Copy, Debug)]
struct App {
    name: &'static str,
    environment: &'static str,
    strategy: &'static str,
}

const fn app(name: &'static str, environment: &'static str, strategy: &'static str) -> App {
    App {
        name,
        environment,
        strategy,
    }
}

const APPS: [App; 6] = [
    app("blue-istio", "deployment-istio", "blue-green"),
    app("blue-gtw", "deployment-gtw", "blue-green"),
    app("canary-istio", "deployment-istio", "canary"),
    app("canary-gtw", "deployment-gtw", "canary"),
    app("mirror-istio", "deployment-istio", "mirror"),
    app("mirror-gtw", "deployment-gtw", "mirror"),
];

/// A version without a name, of an image, whose pods take two seconds to become ready.
fn version(image: &str) -> Value {
    let annotations = json!({ "kwok.iter8.tools/ready-after": "2s" });
    json!({
        "image": image,
        "deploymentSpecification": { "spec": { "template": { "metadata": { "annotations": annotations } } } },
    })
}

/// The same with a name.
fn named(name: &str, image: &str) -> Value {
    let mut version = version(image);
    version["metadata"] = json!({ "name": name });
    version
}

/// The image of a version.
fn image(version: &Value) -> &str {
    let own = &version["deploymentSpecification"]["spec"]["template"]["spec"]["containers"][0]["image"];
    version["image"].as_str().or_else(|| own.as_str()).unwrap()
}

/// The versions with something else in the `spec` of their Deployments.
fn with_deployment(mut versions: Vec<Value>, key: &str, value: &Value) -> Vec<Value> {
    for version in &mut versions {
        version["deploymentSpecification"]["spec"][key] = value.clone();
    }
    versions
}

impl App {
    /// The name of the version at a place of a list of unnamed ones.
    fn unnamed(&self, index: usize) -> String {
        format!("{}-{index}", self.name)
    }

    /// The Release with these versions. Canaries match the header `traffic: <image>`.
    fn release(&self, versions: &[Value], extra: &Value) -> Value {
        let mut versions = versions.to_vec();
        for version in versions.iter_mut().skip(1).filter(|_| self.strategy == "canary") {
            version["matches"] = json!([{ "headers": [{ "name": "traffic", "value": image(version) }] }]);
        }
        for version in &mut versions {
            // Versions have names within the application: the namespace is shared.
            if let Some(name) = version["metadata"]["name"].as_str() {
                version["metadata"]["name"] = format!("{}-{name}", self.name).into();
            }
        }
        let mut spec = json!({
            "environment": self.environment,
            "drainSeconds": 1,
            "application": { "strategy": self.strategy, "versions": versions },
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        json!({ "apiVersion": "iter8.tools/v1alpha1", "kind": "Release", "metadata": { "name": self.name }, "spec": spec })
    }
}

/// Applies every application with these versions.
#[track_caller]
fn apply(test: &Test, versions: &[Value]) {
    apply_with(test, versions, &json!({}));
}

/// The same with something else in the spec.
#[track_caller]
fn apply_with(test: &Test, versions: &[Value], extra: &Value) {
    let items = APPS.map(|app| app.release(versions, extra));
    test.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
}

/// Applies, and waits until all is as it should be.
#[track_caller]
fn settle(test: &Test, versions: &[Value]) {
    apply(test, versions);
    settled(test);
}

/// Waits until all is as it should be: nothing is under way any more.
#[track_caller]
fn settled(test: &Test) {
    test.kubectl(["wait", "release", "--all", "--for=condition=Ready", "--timeout=120s"]);
    for app in APPS {
        assert_eq!(test.release(app.name).promotion(), None, "{}", app.name);
    }
}

/// Waits until the promotion of every application is in that step, from that source.
#[track_caller]
fn step_becomes(test: &Test, step: &str, source: usize) {
    for app in APPS {
        let want = Some((step.to_owned(), app.unnamed(source)));
        let what = format!("{} is in step {step}", app.name);
        test.wait_until(&what, SOON, || equal(test.release(app.name).promotion(), &want));
    }
}

/// Waits until the primary of every application has the template with that image.
#[track_caller]
fn primaries_roll_to(test: &Test, image: &str) {
    for app in APPS {
        let primary = app.unnamed(0);
        test.wait_until("the primary has its new template", SOON, || {
            let template = test.get("deployment", &primary)["spec"]["template"].take();
            equal(template["spec"]["containers"][0]["image"].clone(), image)
        });
    }
}

/// Every application has Deployments of these images, by their places, that are rolled out, and no other; its route
/// gives each what is its due.
#[track_caller]
fn assert_end(test: &Test, images: &[&str]) {
    for app in APPS {
        let names: Vec<String> = (0..images.len()).map(|index| app.unnamed(index)).collect();
        let versions: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(images.iter().copied()).collect();
        assert_versions(test, &app, &versions);
    }
}

/// The same of one application, with the names of its versions.
#[track_caller]
fn assert_versions(test: &Test, app: &App, versions: &[(&str, &str)]) {
    let images = test.kubectl([
        "get",
        "deployments",
        "--output=jsonpath={range .items[*]}{.metadata.name}={.spec.template.spec.containers[0].image} {end}",
    ]);
    let prefix = format!("{}-", app.name);
    let mut got: Vec<&str> = images
        .split_whitespace()
        .filter(|one| one.starts_with(&prefix))
        .collect();
    got.sort_unstable();
    let mut want: Vec<String> = versions.iter().map(|(name, image)| format!("{name}={image}")).collect();
    want.sort_unstable();
    assert_eq!(got, want, "Deployments of {}", app.name);
    for (name, _) in versions {
        let what = format!("Deployment {name} is rolled out");
        test.wait_until(&what, SOON, || {
            let deployment = test.get("deployment", name);
            holds(is_rolled_out(&deployment), &deployment["status"])
        });
        test.get("service", name);
    }
    let names: Vec<&str> = versions.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        route_of(test, app),
        expected_route(app, &names),
        "route of {}",
        app.name
    );
}

/// The route while the version stands in for the primary, and no other is left.
fn route_to(app: &App, version: &str) -> Words {
    let matched = (app.strategy == "canary").then(|| format!("match {version}:100"));
    matched.into_iter().chain([format!("{version}:100")]).collect()
}

/// The rules of a route in words, in their order: who gets the requests that match something, who the rest, who copies.
type Words = Vec<String>;

/// A rule in words: `match a:100`, `a:50 b:50`, `a:100 copy b:100`.
fn words(route: &Value) -> Words {
    let line = |rule: routes::Rule| {
        let mut words: Vec<String> = Vec::new();
        words.extend((!rule.matches.is_empty()).then(|| "match".to_owned()));
        words.extend(rule.backends.iter().map(|(name, weight)| format!("{name}:{weight}")));
        words.extend(
            rule.mirrors
                .iter()
                .map(|(name, percent)| format!("copy {name}:{percent}")),
        );
        words.join(" ")
    };
    routes::rules(route).into_iter().map(line).collect()
}

fn route_kind(app: &App) -> &'static str {
    if app.environment == "deployment-istio" {
        "virtualservice"
    } else {
        "httproute"
    }
}

/// The route of an application as it is now.
#[track_caller]
fn route_of(test: &Test, app: &App) -> Words {
    words(&test.get(route_kind(app), app.name))
}

/// The route when every version, the primary first, is ready and no weight is set.
fn expected_route(app: &App, names: &[&str]) -> Words {
    let share = if names.len() == 1 { 100 } else { 50 };
    let (primary, candidates) = names.split_first().unwrap();
    match app.strategy {
        "blue-green" => {
            // Three equal weights: the first gets what is over.
            let shares = if names.len() == 3 {
                vec![34, 33, 33]
            } else {
                vec![share; names.len()]
            };
            let parts = names.iter().zip(shares).map(|(name, share)| format!("{name}:{share}"));
            vec![parts.collect::<Vec<_>>().join(" ")]
        }
        "canary" => {
            let matched = candidates.iter().map(|name| format!("match {name}:100"));
            matched.chain([format!("{primary}:100")]).collect()
        }
        _ => {
            let copies = candidates.iter().map(|name| format!("copy {name}:100"));
            vec![
                [format!("{primary}:100")]
                    .into_iter()
                    .chain(copies)
                    .collect::<Vec<_>>()
                    .join(" "),
            ]
        }
    }
}

/// Whether a Deployment has rolled out fully what it asks for.
fn is_rolled_out(deployment: &Value) -> bool {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let wanted = &spec["replicas"];
    let seen = status["observedGeneration"] == deployment["metadata"]["generation"];
    let of = |key: &str| &status[key] == wanted;
    seen && of("replicas") && of("updatedReplicas") && of("availableReplicas")
}

/// The generation of a Deployment.
#[track_caller]
fn generation(test: &Test, deployment: &str) -> i64 {
    test.get("deployment", deployment)["metadata"]["generation"]
        .as_i64()
        .unwrap()
}

/// Sets a `spec.replicas`-independent limit that lets no new pod into the namespace, so that whatever needs one waits.
#[track_caller]
pub(crate) fn admit_no_pods(test: &Test) {
    test.kubectl(["create", "quota", "no-more-pods", "--hard=pods=0"]);
    let in_force = "--for=jsonpath={.status.hard.pods}=0";
    test.kubectl(["wait", "quota/no-more-pods", in_force, "--timeout=60s"]);
}

/// Ends that.
#[track_caller]
pub(crate) fn admit_pods(test: &Test) {
    test.kubectl(["delete", "quota", "no-more-pods"]);
}

/// From the version of a Deployment with a new pod template to the one in which it is rolled out, or gets another (or
/// the last one).
struct Roll {
    from: u64,
    to: u64,
}

/// Every roll of a Deployment in a history.
fn rolls(history: &[Seen], deployment: &str) -> Vec<Roll> {
    let mut rolls: Vec<Roll> = Vec::new();
    let mut template: Option<&Value> = None;
    let mut is_rolling = false;
    let versions = history
        .iter()
        .filter(|seen| seen.kind == "deployments" && seen.name() == deployment);
    for seen in versions.filter(|seen| seen.change != Change::Deleted) {
        let new = &seen.object["spec"]["template"];
        let from = seen.resource_version;
        if template.is_some_and(|old| old != new) {
            if let Some(overtaken) = rolls.last_mut() {
                overtaken.to = overtaken.to.min(from);
            }
            rolls.push(Roll { from, to: u64::MAX });
            is_rolling = true;
        }
        if is_rolling && is_rolled_out(&seen.object) {
            rolls.last_mut().unwrap().to = from;
            is_rolling = false;
        }
        template = Some(new);
    }
    rolls
}

/// The routes of an application that were in force at some moment of an interval of resourceVersions.
fn routes_within<'a>(history: &'a [Seen], app: &App, roll: &Roll) -> Vec<&'a Seen> {
    let is_route =
        |seen: &&Seen| matches!(seen.kind.as_str(), "virtualservices" | "httproutes") && seen.name() == app.name;
    let routes: Vec<&Seen> = history.iter().filter(is_route).collect();
    let first = routes
        .iter()
        .rposition(|seen| seen.resource_version < roll.from)
        .unwrap_or(0);
    let within = routes.into_iter().skip(first);
    within.take_while(|seen| seen.resource_version <= roll.to).collect()
}

/// Everything that was stored, without a gap.
#[track_caller]
fn history(safety: &SafetyWatch) -> Vec<Seen> {
    let (history, gaps) = safety.history();
    assert!(gaps.is_empty(), "the recording has gaps: {gaps:?}");
    history
}

/// While the primary's template was new and not rolled out, so many times, the source had all live traffic.
#[track_caller]
fn assert_source_serves(safety: &SafetyWatch, rolled: usize) {
    let history = history(safety);
    for app in APPS {
        let (primary, source) = (app.unnamed(0), app.unnamed(1));
        let rolls = rolls(&history, &primary);
        assert_eq!(rolls.len(), rolled, "rolls of {primary}");
        for roll in rolls {
            let routes = routes_within(&history, &app, &roll);
            assert!(!routes.is_empty(), "no route while {primary} rolled");
            for route in routes {
                let rules = words(&route.object);
                let (all_others, matched) = rules.split_last().unwrap();
                let answers = all_others.split(" copy ").next().unwrap();
                let names_primary = |rule: &String| rule.contains(&format!("{primary}:"));
                assert!(
                    answers == format!("{source}:100") && !rules.iter().any(names_primary),
                    "route {} of rv {} gives {matched:?} {all_others} while {primary} rolled in rv {}..{}",
                    app.name,
                    route.resource_version,
                    roll.from,
                    roll.to
                );
            }
        }
    }
}
