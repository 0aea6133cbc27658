//! What an experiment with task `knative/init-experiment` waits for: a Knative Service that is ready, and the revisions that
//! its versions name.

use serde_json::Value;

use crate::model::experiment::Awaited;

/// The conditions of a Knative Service that must be True.
const CONDITIONS: [&str; 3] = ["Ready", "ConfigurationsReady", "RoutesReady"];

/// Why the experiment cannot begin yet, in a sentence. `service`: as it is stored; `None`: there is none.
pub fn obstacle(awaited: &Awaited, service: Option<&Value>) -> Option<String> {
    let name = &awaited.service;
    let Some(service) = service else {
        return Some(format!("Knative Service {name} does not exist"));
    };
    let number = |path: &str| service.pointer(path).and_then(Value::as_i64);
    if number("/metadata/generation") != number("/status/observedGeneration") {
        return Some(format!(
            "Knative Service {name}: its latest edit was not seen by Knative yet"
        ));
    }
    let list = |path: &str| service.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let text = |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    for wanted in CONDITIONS {
        let condition = list("/status/conditions").find(|condition| text(condition, "type") == wanted);
        if condition.is_none_or(|condition| text(condition, "status") != "True") {
            let why = condition
                .map(|condition| text(condition, "message"))
                .unwrap_or_default();
            let colon = if why.is_empty() { "" } else { ": " };
            return Some(format!("Knative Service {name} is not {wanted}{colon}{why}"));
        }
    }
    let known = |revision: &&String| list("/status/traffic").any(|entry| text(entry, "revisionName") == **revision);
    let missing = awaited.revisions.iter().find(|revision| !known(revision))?;
    Some(format!(
        "Knative Service {name} has no entry for revision {missing} in its traffic: add one, if with percent: 0"
    ))
}
