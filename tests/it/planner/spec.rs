//! Releases as users write them, small enough that edits often make promotions, and the edits.

use iter8::api::ReleaseSpec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Image of pods that never become available.
pub const BROKEN_IMAGE: &str = "web:broken";

/// A version of the spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub name: Option<&'static str>,
    pub image: &'static str,
    /// An annotation of its pods: a template that differs in more than the image.
    pub env: Option<u8>,
    pub replicas: Option<i32>,
    pub weight: Option<i32>,
    pub port: Option<i32>,
}

/// The spec of a Release.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub environment: &'static str,
    pub gateway: bool,
    pub strategy: &'static str,
    pub versions: Vec<Version>,
    pub drain: i32,
    pub suspend: bool,
}

/// What a user does to a spec.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The seeds' way: the candidate's image into the primary, the candidate dropped.
    Promote(usize),
    Drop(usize),
    Push(Version),
    Replace(usize, Version),
    Rename(usize, Option<&'static str>),
    Swap(usize),
    Strategy(&'static str),
    Environment(&'static str),
    Gateway,
    Drain(i32),
    Suspend,
    /// Back to the spec before the last edit.
    Revert,
}

impl Version {
    fn json(&self, index: usize, canary: bool) -> Value {
        let mut version = json!({ "image": self.image });
        if let Some(name) = self.name {
            version["metadata"] = json!({ "name": name });
        }
        if let Some(env) = self.env {
            let template = json!({ "metadata": { "annotations": { "env": env.to_string() } } });
            version["deploymentSpecification"] = json!({ "spec": { "template": template } });
        }
        for (key, number) in [
            ("replicas", self.replicas),
            ("weight", self.weight),
            ("port", self.port),
        ] {
            if let Some(number) = number {
                version[key] = number.into();
            }
        }
        if canary && index > 1 {
            let header =
                json!({ "name": "version", "value": self.name.map_or_else(|| index.to_string(), str::to_owned) });
            version["matches"] = json!([{ "headers": [header] }]);
        }
        version
    }
}

impl Spec {
    /// As the API server stores it.
    pub fn stored(&self) -> ReleaseSpec {
        let canary = self.strategy == "canary";
        let versions: Vec<Value> = self
            .versions
            .iter()
            .enumerate()
            .map(|(index, one)| one.json(index, canary))
            .collect();
        let mut spec = json!({
            "environment": self.environment,
            "drainSeconds": self.drain,
            "suspend": self.suspend,
            "application": { "strategy": self.strategy, "versions": versions },
        });
        if self.gateway {
            spec["gateway"] = "edge".into();
        }
        serde_json::from_value(spec).unwrap()
    }

    /// The spec after an edit; `before` is what [`Edit::Revert`] goes back to.
    pub fn edited(&self, edit: &Edit, before: &Self) -> Self {
        let mut spec = self.clone();
        let versions = &mut spec.versions;
        let at = |index: usize| index % self.versions.len();
        match edit {
            Edit::Promote(index) if versions.len() > 1 => {
                let source = versions.remove(1 + index % (versions.len() - 1));
                versions[0].image = source.image;
                versions[0].env = source.env;
            }
            Edit::Drop(index) if versions.len() > 1 => drop(versions.remove(at(*index))),
            Edit::Push(version) if versions.len() < 4 => versions.push(version.clone()),
            Edit::Promote(_) | Edit::Drop(_) | Edit::Push(_) => {}
            Edit::Replace(index, version) => versions[at(*index)] = version.clone(),
            Edit::Rename(index, name) => versions[at(*index)].name = *name,
            Edit::Swap(index) => versions.swap(0, at(*index)),
            Edit::Strategy(strategy) => spec.strategy = strategy,
            Edit::Environment(environment) => spec.environment = environment,
            Edit::Gateway => spec.gateway = !spec.gateway,
            Edit::Drain(seconds) => spec.drain = *seconds,
            Edit::Suspend => spec.suspend = !spec.suspend,
            Edit::Revert => spec = before.clone(),
        }
        spec
    }
}

/// Any version; one in eight never becomes available.
fn version() -> impl Strategy<Value = Version> {
    let name = prop_oneof![3 => Just(None), 1 => prop::sample::select(vec![Some("a"), Some("b"), Some("c")])];
    let image = prop_oneof![7 => prop::sample::select(vec!["web:1", "web:2", "web:3"]), 1 => Just(BROKEN_IMAGE)];
    let env = prop_oneof![3 => Just(None), 1 => prop::sample::select(vec![Some(1), Some(2)])];
    let replicas = prop_oneof![3 => Just(None), 1 => prop::sample::select(vec![Some(0), Some(1), Some(3)])];
    let weight = prop_oneof![2 => Just(None), 1 => prop::sample::select(vec![Some(0), Some(10), Some(90), Some(100)])];
    let port = prop_oneof![4 => Just(None), 1 => Just(Some(8080))];
    (name, image, env, replicas, weight, port).prop_map(|(name, image, env, replicas, weight, port)| Version {
        name,
        image,
        env,
        replicas,
        weight,
        port,
    })
}

fn strategy() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("blue-green"), 3 => Just("canary"), 2 => Just("mirror"), 1 => Just("none")]
}

fn environment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["deployment-istio", "deployment-gtw"])
}

/// Any spec.
pub fn spec() -> impl Strategy<Value = Spec> {
    let drain = prop_oneof![3 => Just(10), 1 => Just(0)];
    (
        environment(),
        any::<bool>(),
        strategy(),
        prop::collection::vec(version(), 1..4),
        drain,
    )
        .prop_map(|(environment, gateway, strategy, versions, drain)| Spec {
            environment,
            gateway,
            strategy,
            versions,
            drain,
            suspend: false,
        })
}

/// Any edit.
pub fn edit() -> impl Strategy<Value = Edit> {
    let index = 0..4_usize;
    prop_oneof![
        6 => index.clone().prop_map(Edit::Promote),
        4 => index.clone().prop_map(Edit::Drop),
        4 => version().prop_map(Edit::Push),
        4 => (index.clone(), version()).prop_map(|(index, version)| Edit::Replace(index, version)),
        2 => (index.clone(), prop::sample::select(vec![None, Some("a"), Some("b"), Some("d")]))
            .prop_map(|(index, name)| Edit::Rename(index, name)),
        1 => index.prop_map(Edit::Swap),
        1 => strategy().prop_map(Edit::Strategy),
        1 => environment().prop_map(Edit::Environment),
        1 => Just(Edit::Gateway),
        1 => prop::sample::select(vec![0, 10, 30]).prop_map(Edit::Drain),
        1 => Just(Edit::Suspend),
        3 => Just(Edit::Revert),
    ]
}
