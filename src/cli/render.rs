//! `iter8 render`: what would be made, without a cluster.

use std::path::PathBuf;

use anyhow::bail;
use chrono::DateTime;
use serde_json::Value;

use crate::api::annotations;
use crate::api::status::Tristate;
use crate::model::observed::Uid;
use crate::model::validate::{self, ObjectInfo};
use crate::model::{FieldError, yaml};
use crate::plan::readiness::Readiness;
use crate::plan::release::{Objects, Observed, plan};
use crate::plan::{policy, routes};

/// Print the objects that would be made for the Releases and RoutePolicies in a file, without a cluster: for a Release
/// its Deployments, Services, weight ConfigMaps and RoutePolicy, and the route as it is once every version is ready.
///
/// Owner references are left out, as nothing has a uid yet. Exit code 1, with a sentence for each mistake, on a file
/// that the API server would refuse.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file, with one or more YAML or JSON documents; - for stdin.
    #[arg(long, short, value_name = "FILE")]
    filename: PathBuf,
    /// Namespace of objects that name none.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// How to print the objects.
    #[arg(long, short, value_enum, default_value = "yaml")]
    output: Format,
}

/// How to print objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// YAML documents.
    Yaml,
    /// One JSON object of kind List.
    Json,
}

/// Prints the objects.
///
/// Errors: the file cannot be read, or something in it is not valid.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let documents = super::documents(&args.filename)?;
    let mut objects = Vec::new();
    let mut mistakes = Vec::new();
    for document in &documents {
        match render(document, &args.namespace) {
            Ok(rendered) => objects.extend(rendered),
            Err(errors) => mistakes.extend(errors),
        }
    }
    if !mistakes.is_empty() {
        bail!("{}:\n  {}", args.filename.display(), mistakes.join("\n  "));
    }
    match args.output {
        Format::Yaml => super::print(&yaml::write_all(&objects)?),
        Format::Json => {
            let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
            super::print(&(serde_json::to_string_pretty(&list)? + "\n"))
        }
    }
}

/// The objects for one document; `Err`: what is wrong with it, a sentence each.
pub fn render(document: &Value, namespace: &str) -> Result<Vec<Value>, Vec<String>> {
    let text = |path: &str| document.pointer(path).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or_default();
    let info = ObjectInfo {
        name: name.to_owned(),
        namespace: text("/metadata/namespace").unwrap_or(namespace).to_owned(),
        uid: Uid::default(),
        generation: 0,
    };
    let kind = text("/kind").unwrap_or_default();
    let sentences = |errors: Vec<FieldError>| -> Vec<String> {
        errors
            .into_iter()
            .map(|error| format!("{kind} {name}: {error}"))
            .collect()
    };
    match (text("/apiVersion").unwrap_or_default(), kind) {
        ("iter8.tools/v1alpha1", "Release") => release(&info, document).map_err(sentences),
        ("iter8.tools/v1alpha1", "RoutePolicy") => route(&info, document).map_err(sentences).map(|route| vec![route]),
        (version, kind) => Err(vec![format!(
            "{version} {kind} {name}: neither a Release nor a RoutePolicy of iter8.tools/v1alpha1"
        )]),
    }
}

fn release(info: &ObjectInfo, document: &Value) -> Result<Vec<Value>, Vec<FieldError>> {
    let release = validate::release(info, &validate::read_release(document)?)?;
    let plan = plan(&release, &Observed::default(), DateTime::UNIX_EPOCH);
    if let Some(failure) = plan.failures.first() {
        return Err(vec![FieldError::invalid("spec", failure.message.clone())]);
    }
    let Objects {
        deployments,
        services,
        weight_configs,
        policy,
    } = plan.objects;
    let all = deployments
        .into_iter()
        .chain(services)
        .chain(weight_configs)
        .chain(policy.clone());
    let mut objects: Vec<Value> = all.map(|desired| desired.object).collect();
    objects.iter_mut().for_each(leave_replicas_open);
    if let Some(policy) = policy {
        let info = ObjectInfo {
            name: policy.name,
            ..info.clone()
        };
        objects.push(route(&info, &policy.object)?);
    }
    Ok(objects)
}

/// The number that a Deployment begins with is not one to apply again: an autoscaler's would be lost.
fn leave_replicas_open(object: &mut Value) {
    let given = object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(annotations::REPLICAS));
    if given.is_none()
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("replicas");
    }
}

/// The route of a policy of which every version is ready.
fn route(info: &ObjectInfo, document: &Value) -> Result<Value, Vec<FieldError>> {
    let valid = validate::policy(info, &validate::read_policy(document)?)?;
    let ready = Readiness {
        ready: Tristate::True,
        reason: "Ready",
        message: String::new(),
    };
    let readiness = vec![ready; valid.versions.len()];
    let observed = policy::Observed {
        readiness,
        ..policy::Observed::default()
    };
    let plan = policy::plan(&valid, &observed, routes::render);
    plan.route.map(|route| route.object).ok_or_else(|| {
        vec![FieldError::invalid(
            "spec",
            "no route follows from it, although every version is ready".to_owned(),
        )]
    })
}
