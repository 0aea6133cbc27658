//! One operator that is killed again and again while it serves promotions of every strategy on both meshes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::api::Resource;
use crate::support::safety::SafetyWatch;
use crate::support::{SOON, Test, equal, holds};

const LIVES: usize = 50;

/// Names the sequence of lives and edits to be run again.
const SEED: &str = "ITER8_TEST_SEED";

/// What users make of a Release, one after the other and then again: of each version its name, if it has one of its own,
/// and what it runs: an image, or, as a capital letter, that image with another pod template.
const EDITS: [&[(&str, char)]; 18] = [
    &[("", 'a')],
    &[("", 'a'), ("", 'b')],
    &[("", 'b')], // promoted
    &[("", 'b'), ("", 'c'), ("", 'd')],
    &[("", 'c'), ("", 'd')], // each moves up a place
    &[("", 'd')],
    &[("", 'd'), ("", 'e')],
    &[("", 'd')], // given up
    &[("", 'd'), ("", 'e')],
    &[("", 'e')],            // promoted,
    &[("", 'd'), ("", 'e')], // and rolled back
    &[("", 'd'), ("", 'D')],
    &[("", 'D')], // promoted, though the image is the same
    &[("", 'D'), ("", 'e')],
    &[("", 'e'), ("", 'f')], // promoted, with a next candidate
    &[("blue", 'e')],        // all renamed
    &[("blue", 'e'), ("green", 'g')],
    &[("green", 'g')], // promoted without a roll
];

/// A Release with its edits.
struct App {
    environment: &'static str,
    strategy: &'static str,
    /// The number of its last edit.
    edit: usize,
}

impl App {
    fn name(&self) -> String {
        let mesh = self.environment.rsplit('-').next().unwrap();
        format!("{mesh}-{}", self.strategy)
    }

    /// Names, images and templates' annotations of the versions that the last edit asks for.
    fn versions(&self) -> Vec<(String, String, &'static str)> {
        let round = self.edit / EDITS.len();
        let versions = EDITS[self.edit % EDITS.len()].iter().enumerate();
        let name = |place: usize, own: &str| match own {
            "" => format!("{}-{place}", self.name()),
            own => format!("{}-{own}", self.name()),
        };
        versions
            .map(|(place, (own, runs))| {
                let template = if runs.is_uppercase() { "other" } else { "" };
                let image = format!("web:{}{round}", runs.to_ascii_lowercase());
                (name(place, own), image, template)
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.versions().into_iter().map(|(name, ..)| name).collect()
    }

    fn manifest(&self) -> Value {
        let version = |(place, (name, image, template)): (usize, (String, String, &str))| {
            let mut annotations = json!({ "template": template });
            // Every second image takes a while to start.
            if image.as_bytes()[4] % 2 == 0 {
                annotations["kwok.iter8.tools/ready-after"] = "300ms".into();
            }
            let mut version = json!({
                "metadata": { "name": name },
                "image": image,
                "deploymentSpecification": {
                    "spec": { "progressDeadlineSeconds": 5, "template": { "metadata": { "annotations": annotations } } },
                },
            });
            if self.strategy == "canary" && place > 0 {
                version["matches"] = json!([{ "headers": [{ "name": "traffic", "value": format!("test-{place}") }] }]);
            }
            version
        };
        let versions: Vec<Value> = self.versions().into_iter().enumerate().map(version).collect();
        json!({
            "apiVersion": "iter8.tools/v1alpha1",
            "kind": "Release",
            "metadata": { "name": self.name() },
            "spec": {
                "environment": self.environment,
                "drainSeconds": 1,
                "application": { "strategy": self.strategy, "versions": versions },
            },
        })
    }

    /// Waits until the Release is what its last edit asks for.
    #[track_caller]
    fn assert_arrives(&self, test: &Test) {
        let name = self.name();
        let what = format!("{name} is Ready after edit {}", self.edit);
        test.wait_until(&what, 2 * SOON, || {
            let ready = test.release(&name).condition("Ready");
            holds(ready.as_ref().is_some_and(|ready| ready.status == "True"), ready)
        });
        for (version, image, want) in self.versions() {
            let template = &test.get("deployment", &version)["spec"]["template"];
            assert_eq!(template["spec"]["containers"][0]["image"], *image, "{version}");
            assert_eq!(template["metadata"]["annotations"]["template"], *want, "{version}");
        }
        let versions = self.names();
        let all = vec![(versions[0].clone(), 100)];
        let shared = match versions.len() {
            1 => all.clone(),
            2 => versions.iter().cloned().zip([50, 50]).collect(),
            _ => versions.iter().cloned().zip([34, 33, 33]).collect(),
        };
        let answering = if self.strategy == "blue-green" { shared } else { all };
        assert_eq!(test.route_shares(&name), answering, "{name}");
        let named: BTreeSet<String> = test
            .rules(&name)
            .iter()
            .flat_map(|rule| rule.names().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
            .collect();
        assert_eq!(named, versions.into_iter().collect(), "{name}");
    }
}

/// Edits one Release after the other as long as the operator lives and dies.
fn edit(test: &Test, watch: &SafetyWatch, apps: &mut [App], rng: &mut Rng, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let app = rng.choice(&mut *apps).unwrap();
        app.edit += 1;
        println!("edit {} of {}: {:?}", app.edit, app.name(), app.versions());
        // Not with kubectl: starting it takes as long as some of the lives.
        let api = &test.cluster.api;
        api.merge(&test.namespace, "release", &app.name(), &app.manifest());
        // The next comes early in what this one begins, or late, or after it.
        let (written, patience) = (
            watch.written() + rng.usize(1..12),
            Instant::now() + Duration::from_secs(1),
        );
        while watch.written() < written && Instant::now() < patience && !done.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Lets the operator live for a while: for any time, also while it connects; or, more often, until it has written
/// something, however long it takes to begin, as what is lost between one write and the next is what matters most.
fn live(watch: &SafetyWatch, rng: &mut Rng) {
    if rng.u8(..5) == 0 {
        thread::sleep(Duration::from_millis(rng.u64(50..700)));
        return;
    }
    let written = watch.written() + rng.usize(1..8);
    let patience = Instant::now() + Duration::from_secs(10);
    while watch.written() < written && Instant::now() < patience {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Names of all objects of a kind, but for those that Kubernetes makes itself.
fn names(test: &Test, kind: &str) -> BTreeSet<String> {
    let (objects, _) = test.cluster.api.list(&test.namespace, &Resource::named(kind));
    let names = objects
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| name != "kube-root-ca.crt").collect()
}

#[test]
fn an_operator_that_is_killed_fifty_times_keeps_the_promise_and_arrives() {
    let seed = env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut apps = Vec::new();
    for environment in ["deployment-istio", "deployment-gtw"] {
        for strategy in ["blue-green", "canary", "mirror"] {
            let edit = rng.usize(..EDITS.len());
            apps.push(App {
                environment,
                strategy,
                edit,
            });
        }
    }
    let test = Test::without_operator("crash");
    let watch = test.watch_safety();
    for app in &apps {
        test.apply(&app.manifest().to_string());
    }

    let done = AtomicBool::new(false);
    let mut edits = rng.fork();
    thread::scope(|scope| {
        let editor = scope.spawn(|| edit(&test, &watch, &mut apps, &mut edits, &done));
        let mut idle = 0;
        for life in 0..LIVES {
            let before = watch.written();
            test.start();
            live(&watch, &mut rng);
            test.kill();
            println!("life {life}: {} routes and policies written", watch.written() - before);
            idle += usize::from(watch.written() == before);
        }
        done.store(true, Ordering::Relaxed);
        editor.join().unwrap();
        assert!(idle < LIVES / 2, "in {idle} lives nothing was written");
    });

    test.start();
    for app in &apps {
        app.assert_arrives(&test);
    }
    watch.assert_safe();
    assert_nothing_left_over(&test, &apps);
}

#[track_caller]
fn assert_nothing_left_over(test: &Test, apps: &[App]) {
    let of = |chosen: &dyn Fn(&App) -> Vec<String>| apps.iter().flat_map(chosen).collect::<BTreeSet<String>>();
    let versions = App::names;
    let in_mesh = |mesh: &str, app: &App| {
        app.environment
            .ends_with(mesh)
            .then(|| app.name())
            .into_iter()
            .collect()
    };
    let weighted = |app: &App| {
        let first = match app.strategy {
            "blue-green" => 0,
            "mirror" => 1,
            _ => usize::MAX,
        };
        let configs = versions(app).into_iter().skip(first);
        configs.map(|version| format!("{version}-weight-config")).collect()
    };
    let names_of_apps = |app: &App| vec![app.name()];
    let services = |app: &App| [versions(app), vec![app.name()]].concat();
    for (kind, want) in [
        ("deployments", of(&versions)),
        ("services", of(&services)),
        ("configmaps", of(&weighted)),
        ("routepolicies", of(&names_of_apps)),
        ("virtualservices", of(&|app| in_mesh("istio", app))),
        ("httproutes", of(&|app| in_mesh("gtw", app))),
    ] {
        test.wait_until(kind, SOON, || equal(names(test, kind), &want));
    }
}
