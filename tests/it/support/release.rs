//! What a Release, a RoutePolicy or an Experiment says of itself.

use serde_json::Value;

use super::Test;

/// A look at a Release, a RoutePolicy or an Experiment; every question is asked anew.
#[derive(Clone, Copy)]
pub struct Status<'a> {
    test: &'a Test,
    kind: &'static str,
    name: &'a str,
}

impl<'a> Status<'a> {
    pub(super) fn new(test: &'a Test, kind: &'static str, name: &'a str) -> Self {
        Self { test, kind, name }
    }

    /// The whole status; null when there is none.
    #[track_caller]
    pub fn get(&self) -> Value {
        self.test.get(self.kind, self.name)["status"].take()
    }

    /// A condition, only if it was computed for the object as it is.
    #[track_caller]
    pub fn condition(&self, type_: &str) -> Option<Condition> {
        let object = self.test.get(self.kind, self.name);
        let conditions = object["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == type_)?;
        if condition["observedGeneration"] != object["metadata"]["generation"] {
            return None;
        }
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        Some(Condition {
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
        })
    }

    /// The reason of condition Ready, empty as long as the object as it is has none.
    #[track_caller]
    pub fn ready_reason(&self) -> String {
        self.condition("Ready").map(|ready| ready.reason).unwrap_or_default()
    }

    /// What each version gets, as `kubectl get` prints it: `30/70`.
    #[track_caller]
    pub fn traffic(&self) -> String {
        self.get()["summary"]["traffic"].as_str().unwrap_or_default().to_owned()
    }

    /// A version's entry.
    #[track_caller]
    pub fn version(&self, name: &str) -> Option<Value> {
        let status = self.get();
        let mut versions = status["versions"].as_array()?.iter();
        versions.find(|version| version["name"] == name).cloned()
    }

    /// Step and source of the promotion that is under way.
    #[track_caller]
    pub fn promotion(&self) -> Option<(String, String)> {
        let status = self.get();
        let promotion = status.get("promotion")?;
        let text = |key: &str| promotion[key].as_str().unwrap_or_default().to_owned();
        Some((text("step"), text("source")))
    }
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}
