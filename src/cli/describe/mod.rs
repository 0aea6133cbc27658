//! `iter8 describe`: what an object says of itself, for people.

mod experiment;
mod number;
mod release;
mod table;
mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, CustomResourceExt};
use serde_json::{Map, Value};

use crate::api::experiment::Experiment;
use crate::api::{GROUP, Release, RoutePolicy};
use crate::cluster::Metrics;
use crate::cluster::client;
use crate::cluster::error::{self, Sent};
use crate::model::names;

/// Print what an object says of itself, for people: of an Experiment what was measured, what came of each objective and
/// which version won; of a Release or a RoutePolicy what each version gets, and why it gets no more.
///
/// As in iter8 describe experiment mirroring, of the current context of the kubeconfig (KUBECONFIG, else ~/.kube/config);
/// or without a cluster: kubectl get experiment mirroring -o yaml | iter8 describe -f -
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its kind: experiment (exp), release (rel) or routepolicy (rp); KIND/NAME is understood too.
    #[arg(
        value_name = "KIND",
        required_unless_present = "filename",
        conflicts_with = "filename"
    )]
    kind: Option<String>,
    /// Its name.
    #[arg(value_name = "NAME", conflicts_with = "filename")]
    name: Option<String>,
    /// Describe what is in this file instead, one or more YAML or JSON documents; - for stdin.
    #[arg(long, short, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Its namespace (default: that of the kubeconfig's context); of objects in a file that name none (default: default).
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
}

/// How long the API server may take to answer.
const LIMIT: Duration = Duration::from_secs(30);

/// Prints the descriptions.
///
/// Errors: no such kind, object or file; no answer from the cluster; something that is not valid.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let namespace = args.namespace.as_deref();
    let text = match &args.filename {
        Some(file) => of_file(file, namespace.unwrap_or("default"))?,
        None => of_cluster(args, namespace)?,
    };
    super::print(&text::harmless(&text))
}

/// A kind that can be described.
struct Kind {
    resource: ApiResource,
    short_names: &'static [&'static str],
    /// The text for an object of it.
    text: fn(Value) -> serde_json::Result<String>,
}

impl Kind {
    fn new<K: CustomResourceExt>(text: fn(Value) -> serde_json::Result<String>) -> Self {
        Self {
            resource: K::api_resource(),
            short_names: K::shortnames(),
            text,
        }
    }

    fn all() -> [Self; 3] {
        [
            Self::new::<Experiment>(|object| Ok(experiment::experiment(&serde_json::from_value(object)?))),
            Self::new::<Release>(|object| Ok(release::release(&serde_json::from_value(object)?))),
            Self::new::<RoutePolicy>(|object| Ok(release::policy(&serde_json::from_value(object)?))),
        ]
    }

    /// The kind that is called so, as `kubectl` understands it.
    fn called(word: &str) -> anyhow::Result<Self> {
        let lower = word.to_lowercase();
        let bare = lower.strip_suffix(GROUP).and_then(|word| word.strip_suffix('.'));
        let bare = bare.unwrap_or(&lower);
        let is_it = |kind: &Self| {
            let ApiResource { kind: name, plural, .. } = &kind.resource;
            name.to_lowercase() == bare || plural == bare || kind.short_names.contains(&bare)
        };
        Self::all().into_iter().find(is_it).ok_or_else(|| {
            let names = Self::all().map(|kind| kind.resource.kind.to_lowercase());
            anyhow!("{word}: no kind that can be described, as are {}", names.join(", "))
        })
    }

    /// The text for an object of it that is called so.
    fn describe(&self, name: &str, object: Value) -> Result<String, String> {
        let kind = &self.resource.kind;
        (self.text)(object).map_err(|error| format!("{kind} {name}: not valid: {error}"))
    }
}

/// Describes what is in a file.
fn of_file(file: &Path, namespace: &str) -> anyhow::Result<String> {
    let objects: Vec<Value> = super::documents(file)?.into_iter().flat_map(items).collect();
    let (mut texts, mut mistakes, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for object in objects {
        match described(object, namespace) {
            Ok(text) => texts.push(text),
            Err(Refusal::Mistake(sentence)) => mistakes.push(sentence),
            Err(Refusal::OtherKind(sentence)) => others.push(sentence),
        }
    }
    // A file may hold what an Experiment is about, too.
    if texts.is_empty() && mistakes.is_empty() {
        mistakes = others;
    }
    match mistakes.as_slice() {
        [] if texts.is_empty() => bail!("{}: no object in it", file.display()),
        [] => Ok(texts.join("\n\n")),
        [mistake] => bail!("{}: {mistake}", file.display()),
        _ => bail!("{}:\n  {}", file.display(), mistakes.join("\n  ")),
    }
}

/// The items of a list; of any other object itself.
fn items(mut object: Value) -> Vec<Value> {
    let kind = object.get("kind").and_then(Value::as_str);
    let is_list = kind.is_some_and(|kind| kind.ends_with("List"));
    match object.get_mut("items") {
        Some(Value::Array(items)) if is_list => std::mem::take(items).into_iter().flat_map(self::items).collect(),
        _ => vec![object],
    }
}

/// Why there is no description of an object, as a sentence.
enum Refusal {
    /// It is of a kind that is not described.
    OtherKind(String),
    /// It is not as its kind has to be.
    Mistake(String),
}

/// Describes an object out of a file.
fn described(mut object: Value, namespace: &str) -> Result<String, Refusal> {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let mut known = Kind::all().into_iter();
    let Some(known) = known.find(|known| known.resource.group == group && known.resource.kind == kind) else {
        let kinds = Kind::all().map(|kind| kind.resource.kind).join(", ");
        let words = [version, kind, name].join(" ");
        let what = Some(words.trim()).filter(|words| !words.is_empty());
        let what = what.unwrap_or("something without a kind");
        return Err(Refusal::OtherKind(format!("{what}: none of {kinds}")));
    };
    let wanted = &known.resource.api_version;
    if *wanted != version {
        return Err(Refusal::Mistake(format!(
            "{kind} {name}: apiVersion must be {wanted}, not {version}"
        )));
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        add_namespace(metadata, namespace);
    }
    known.describe(&name, object).map_err(Refusal::Mistake)
}

fn add_namespace(metadata: &mut Map<String, Value>, namespace: &str) {
    if metadata.get("namespace").is_none_or(Value::is_null) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
}

/// Describes an object out of the cluster.
fn of_cluster(args: &Args, namespace: Option<&str>) -> anyhow::Result<String> {
    let given = args.kind.as_deref().unwrap_or_default();
    let (kind, name) = match (given.split_once('/'), args.name.as_deref()) {
        (Some((kind, name)), None) => (kind, name),
        (None, Some(name)) => (given, name),
        (None, None) => bail!("{given}: the name of one is missing, as in iter8 describe {given} NAME"),
        (Some(_), Some(name)) => bail!("{given} {name}: that is two names"),
    };
    let kind = Kind::called(kind)?;
    if !names::subdomain(name) {
        bail!("{name:?} is no name that an object can have");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let object = runtime.block_on(read(&kind.resource, name, namespace))?;
    kind.describe(name, object).map_err(|sentence| anyhow!(sentence))
}

/// Reads an object.
async fn read(kind: &ApiResource, name: &str, namespace: Option<&str>) -> anyhow::Result<Value> {
    let client = client::connect(&Metrics::new()?, None).await?.watches;
    let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, kind);
    let what = format!("{} {name} in namespace {namespace}", kind.kind);
    let answer = tokio::time::timeout(LIMIT, api.get(name)).await;
    let answer = answer.map_err(|_| anyhow!("{what}: no answer within {} s", LIMIT.as_secs()))?;
    let object = answer.map_err(|error| anyhow!(complaint(kind, &what, &error)))?;
    serde_json::to_value(object).context(what)
}

/// What is to be said of a failed read.
fn complaint(kind: &ApiResource, what: &str, failure: &kube::Error) -> String {
    let resource = format!("{}.{}", kind.plural, kind.group);
    let sent = Sent {
        verb: "get",
        resource: &resource,
    };
    let failure = match failure {
        kube::Error::Api(status) => error::classify(sent, status, None),
        other => error::broken(other),
    };
    match failure {
        error::Error::Gone(_) => format!("there is no {what}"),
        error::Error::KindMissing(_) => {
            format!("{what}: the cluster does not know {resource}: is iter8 installed in it?")
        }
        other => format!("{what}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_have_the_names_that_kubectl_knows() {
        for (kind, words) in [
            (
                "Experiment",
                vec![
                    "experiment",
                    "experiments",
                    "exp",
                    "Experiment",
                    "experiments.iter8.tools",
                ],
            ),
            ("Release", vec!["release", "releases", "rel", "release.iter8.tools"]),
            ("RoutePolicy", vec!["routepolicy", "routepolicies", "rp", "RoutePolicy"]),
        ] {
            for word in words {
                assert_eq!(Kind::called(word).unwrap().resource.kind, kind, "{word}");
            }
        }
    }

    #[test]
    fn another_kind_is_refused_with_those_that_there_are() {
        for word in ["pod", "", "iter8.tools", "metrics", "releases.apps"] {
            let said = Kind::called(word).err().unwrap().to_string();
            assert!(said.ends_with("as are experiment, release, routepolicy"), "{said}");
        }
    }

    #[test]
    fn what_the_cluster_lacks_is_told() {
        let kind = Release::api_resource();
        let said = |status: Status| complaint(&kind, "Release web", &kube::Error::Api(Box::new(status)));
        let missing = json!({ "status": "Failure", "code": 404, "message": "not found" });
        let named = json!({ "status": "Failure", "code": 404, "message": "not found", "details": { "name": "web" } });
        let [missing, named] = [missing, named].map(|status| said(serde_json::from_value(status).unwrap()));
        assert_eq!(named, "there is no Release web");
        let want = "Release web: the cluster does not know releases.iter8.tools: is iter8 installed in it?";
        assert_eq!(missing, want);
        let refused = "User \"eve\" cannot get resource \"releases\"";
        let want = format!("Release web: {refused}; needed: allow get on releases.iter8.tools");
        assert_eq!(said(Status::failure(refused, "Forbidden").with_code(403)), want);
    }

    #[test]
    fn lists_are_taken_apart_and_other_objects_are_not() {
        let pod = json!({ "kind": "Pod", "items": [1] });
        let list =
            json!({ "kind": "List", "items": [pod, { "kind": "ReleaseList", "items": [{ "kind": "Release" }] }] });
        assert_eq!(items(list), [pod, json!({ "kind": "Release" })]);
        assert_eq!(items(json!({ "kind": "List", "items": [] })), Vec::<Value>::new());
        assert_eq!(items(json!("text")), [json!("text")]);
    }

    #[test]
    fn an_object_that_names_no_namespace_is_in_the_given_one() {
        for (given, want) in [(json!(null), "shop"), (json!("web"), "web")] {
            let versions = json!([{ "image": "a" }]);
            let object = json!({
                "apiVersion": "iter8.tools/v1alpha1", "kind": "Release", "metadata": { "name": "a", "namespace": given },
                "spec": { "environment": "deployment", "application": { "versions": versions } },
            });
            let text = described(object, "shop").unwrap_or_default();
            assert!(text.contains(&format!("\nRelease namespace: {want}\n")), "{text}");
        }
    }
}
