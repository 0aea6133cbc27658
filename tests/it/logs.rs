//! Logs: one line per thing that changed, which names the object and the reason; none when nothing changed.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use iter8::model::kind::Kind;
use serde_json::{Value, json};

use crate::support::manifest::{self, ready_after, version};
use crate::support::{SOON, Test, at_rest, holds, stays};

/// How long nothing must be logged while nothing changes.
const IDLE: Duration = Duration::from_secs(15);

/// Release `web`, of one version and these.
fn release(more: &[Value]) -> String {
    let versions: Vec<Value> = [version("web:1")].iter().chain(more).cloned().collect();
    manifest::release("web", "deployment-istio", "blue-green", &versions).to_string()
}

/// The lines of a log in JSON, from a place on.
fn lines(test: &Test, from: usize) -> Vec<Value> {
    let log = test.log();
    log.lines()
        .skip(from)
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}

/// Waits until no line has come for a while, and says how many there are.
fn lines_at_rest(test: &Test) -> usize {
    at_rest("nothing more is logged", Duration::from_secs(3), || {
        test.log().lines().count()
    })
}

/// `created Deployment web-0`, in no order; each once.
#[track_caller]
fn objects(lines: &[Value], verb: &str) -> BTreeSet<String> {
    let of_verb: Vec<_> = lines.iter().filter(|line| line["message"] == verb).collect();
    let objects: BTreeSet<_> = of_verb
        .iter()
        .map(|line| format!("{} {}", text(line, "kind"), text(line, "name")))
        .collect();
    assert_eq!(objects.len(), of_verb.len(), "one is told twice: {of_verb:#?}");
    objects
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Every line names its object and says why; nothing is told twice.
#[track_caller]
fn tells(lines: &[Value], namespace: &str) {
    let mut told = BTreeSet::new();
    for line in lines {
        let mut line = line.clone();
        assert_eq!(line["namespace"], namespace, "{line}");
        for key in ["kind", "name", "reason", "message"] {
            assert!(!text(&line, key).is_empty(), "no {key}: {line}");
        }
        line.as_object_mut().unwrap().remove("timestamp");
        assert!(told.insert(line.to_string()), "told twice: {line}");
    }
}

#[test]
fn each_thing_that_changes_is_one_line_and_what_does_not_change_is_none() {
    let test = Test::without_operator("logs");
    test.run_with(["--log-level=info", "--log-format=json"]);
    test.start();
    test.wait_until("every kind is known", SOON, || {
        let known = test.log().matches("all objects are known").count();
        holds(known == Kind::ALL.len(), test.log())
    });
    let begin = test.log().lines().count();
    test.apply(&release(&[ready_after("web:2", "2s")]));
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    test.wait_ready("release/web");
    let end = lines_at_rest(&test);

    let life = lines(&test, begin);
    tells(&life, &test.namespace);
    let made = set(&[
        "Deployment web-0",
        "Deployment web-1",
        "Service web-0",
        "Service web-1",
        "Service web",
        "ConfigMap web-0-weight-config",
        "ConfigMap web-1-weight-config",
        "RoutePolicy web",
    ]);
    assert_eq!(objects(&life, "created"), made);
    assert!(objects(&life, "updated").is_empty(), "{life:#?}");
    let routes = life.iter().filter(|line| line["kind"] == "VirtualService");
    let routes: Vec<_> = routes.map(|line| text(line, "message")).collect();
    assert_eq!(routes, ["created: web-0 100", "updated: web-0 50, web-1 50"]);
    let ready = |line: &&Value| text(line, "message").starts_with("Ready=True");
    let ready: Vec<_> = life.iter().filter(ready).map(|line| text(line, "kind")).collect();
    assert_eq!(BTreeSet::from_iter(ready), BTreeSet::from(["Release", "RoutePolicy"]));
    assert!(life.len() < made.len() + 12, "{life:#?}");

    // What changes nothing is not told of.
    test.kubectl(["label", "release", "web", "color=red"]);
    test.kubectl(["label", "service", "web-0", "color=red"]);
    stays("nothing is logged", IDLE, || {
        let new = lines(&test, end);
        holds(new.is_empty(), new)
    });
    test.restart();
    lines_at_rest(&test);
    let restart = lines(&test, end);
    let about: Vec<_> = restart.iter().filter(|line| !text(line, "name").is_empty()).collect();
    assert!(about.is_empty(), "{about:#?}");
}

#[test]
fn drift_is_one_line_and_so_is_each_object_that_goes() {
    let test = Test::without_operator("log drift");
    test.run_with(["--log-level=info", "--log-format=json"]);
    test.start();
    test.apply(&release(&[ready_after("web:2", "2s")]));
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    test.wait_ready("release/web");
    lines_at_rest(&test);
    let begin = test.log().lines().count();
    test.kubectl([
        "patch",
        "service",
        "web-0",
        "--patch={\"spec\":{\"selector\":{\"app\":\"other\"}}}",
    ]);
    test.wait_until("the drift is told", SOON, || {
        let new = lines(&test, begin);
        holds(new.iter().any(|line| line["reason"] == "DriftRepaired"), new)
    });
    test.apply(&release(&[]));
    test.gone("deployment", "web-1");
    lines_at_rest(&test);
    let end = lines(&test, begin);
    tells(&end, &test.namespace);
    let gone = set(&["Deployment web-1", "Service web-1", "ConfigMap web-1-weight-config"]);
    assert_eq!(objects(&end, "deleted"), gone);
    assert_eq!(objects(&end, "updated"), set(&["RoutePolicy web"]));
}

#[test]
fn a_refusal_is_told_once() {
    let test = Test::without_operator("log refusal");
    test.run_with(["--log-level=info", "--log-format=json"]);
    test.start();
    let mut bad = version("web:2");
    bad["deploymentSpecification"]["spec"]["template"]["spec"]["priority"] = json!([]);
    test.apply(&release(&[bad]));
    test.wait_until("it is told", SOON, || {
        let reason = test.release("web").ready_reason();
        holds(reason == "InvalidSpecification", reason)
    });
    lines_at_rest(&test);
    let lines = lines(&test, 0);
    let refusals: Vec<_> = lines
        .iter()
        .filter(|line| line["reason"] == "InvalidSpecification" && line["kind"] == "Deployment")
        .collect();
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert_eq!(refusals[0]["level"], "WARN");
    let stalled = lines
        .iter()
        .filter(|line| text(line, "message").contains("Stalled=True"));
    assert_eq!(stalled.count(), 1, "{lines:#?}");
}

#[test]
fn the_level_follows_a_file_and_a_bad_one_is_told_once() {
    let test = Test::without_operator("log level");
    let file = test.cluster.folder.join(format!("{}.level", test.namespace));
    let write = |level: &str| fs::write(&file, level).unwrap();
    write("info\n");
    let flag = format!("--log-level-file={}", file.display());
    test.run_with(["--log-level=error", &flag]);
    test.start();
    let says = |what: &str, times: usize| {
        test.wait_until(&format!("{what:?} is logged"), SOON, || {
            holds(test.log().matches(what).count() == times, test.log())
        });
    };
    says("iter8 starts", 1);
    test.apply(&release(&[]));
    test.wait_ready("release/web");
    assert!(!test.log().contains("DEBUG"), "{}", test.log());

    write("info,iter8=debug\n");
    test.signal("HUP");
    says("level=\"info,iter8=debug\"", 1);
    test.kubectl(["label", "release", "web", "color=red"]);
    test.wait_until("reconciles are told", SOON, || {
        holds(test.log().contains("DEBUG"), test.log())
    });

    write("loud");
    says("the log level stays: log level \"loud\"", 1); // without a signal
    test.signal("HUP");
    test.kubectl(["label", "--overwrite", "release", "web", "color=blue"]);
    let before = test.log().matches("DEBUG").count();
    test.wait_until("the last good level stays", SOON, || {
        test.kubectl(["label", "--overwrite", "release", "web", "color=green"]);
        test.kubectl(["label", "--overwrite", "release", "web", "color=blue"]);
        holds(test.log().matches("DEBUG").count() > before, test.log())
    });
    says("the log level stays", 1);

    fs::remove_file(&file).unwrap();
    says("the log level stays", 2);
    write("warn");
    test.signal("HUP");
    test.wait_until("it is quiet while things change", SOON, || {
        let before = test.log();
        test.apply(&release(&[ready_after("web:2", "2s")]));
        test.wait_ready("release/web");
        test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
        test.apply(&release(&[]));
        test.gone("deployment", "web-1");
        holds(test.log() == before, test.log())
    });
}
