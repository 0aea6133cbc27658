//! Measuring: from the metrics that an experiment names to their values.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::Value;

use super::Context;
use crate::api::MetricSpec;
use crate::api::metric::MetricRef;
use crate::cluster::Resource;
use crate::model::experiment::{Experiment, Version};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::Body;
use crate::model::query::Sample;
use crate::model::{reason, validate};
use crate::plan::Failure;
use crate::plan::experiment::queries::{self, Asked};
use crate::plan::experiment::report::Measured;
use crate::plan::experiment::verdicts::Samples;
use crate::provider::Provider;

/// Measures.
pub struct Laboratory {
    /// Asks.
    pub provider: Provider,
    /// The operator's own namespace: its Metrics are for everybody.
    pub namespace: Option<String>,
}

/// A Metric that was found.
struct Metric {
    /// As the experiment, or a Metric, names it.
    name: String,
    namespace: String,
    spec: MetricSpec,
}

impl Laboratory {
    /// All metrics that an experiment asks for, in the order in which people read them: first those that count requests.
    ///
    /// Errors: one that does not exist, or that breaks a rule.
    pub fn metrics(&self, context: &Context, experiment: &Experiment) -> Result<Vec<Measured>, Failure> {
        let found = self.found(context, experiment);
        found
            .into_iter()
            .map(|one| one.map(|metric| metric.measured()))
            .collect()
    }

    fn found(&self, context: &Context, experiment: &Experiment) -> Vec<Result<Metric, Failure>> {
        let named = experiment.metrics().into_iter();
        let named: Vec<_> = named.map(|name| self.find(context, experiment, name)).collect();
        let known = |name: &str| experiment.metrics().contains(&name);
        let mut counts: Vec<Metric> = Vec::new();
        for metric in named.iter().flatten() {
            let Some(count) = &metric.spec.sample_size else {
                continue;
            };
            if !known(&count.name) && counts.iter().all(|one| one.name != count.name) {
                counts.extend(self.sample_size(context, metric, count));
            }
        }
        let mut all: Vec<_> = counts.into_iter().map(Ok).collect();
        all.extend(named);
        if experiment.request_count.is_some() && all.len() > 1 {
            let first = all.iter().position(|one| {
                one.as_ref()
                    .is_ok_and(|metric| Some(&metric.name) == experiment.request_count.as_ref())
            });
            if let Some(first) = first {
                all.get_mut(..=first).unwrap_or_default().rotate_right(1);
            }
        }
        all
    }

    fn find(&self, context: &Context, experiment: &Experiment, name: &str) -> Result<Metric, Failure> {
        let own = experiment.namespace.as_str();
        let shared = self.namespace.as_deref();
        let (places, bare) = match name.split_once('/') {
            // A Metric can have a Secret: those of other namespaces are for nobody else.
            Some((namespace, bare)) => (vec![namespace], bare),
            None => (std::iter::once(own).chain(shared).collect(), name),
        };
        let mut allowed = places
            .into_iter()
            .filter(|place| *place == own || Some(*place) == shared);
        let unavailable = |message: String| Failure::passing(reason::METRIC_UNAVAILABLE, message);
        let found = allowed.find_map(|namespace| Some((namespace, read(context, namespace, bare)?)));
        let Some((namespace, spec)) = found else {
            let mut message = format!("Unable to find metric {name}");
            if name == bare {
                message = format!("Unable to find metric {own}/{name}");
            }
            return Err(unavailable(message));
        };
        let spec = spec.map_err(|why| unavailable(format!("Unable to load metric {namespace}/{bare}: {why}")))?;
        Ok(Metric {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            spec,
        })
    }

    /// It is reported only: one that is not there is left out.
    fn sample_size(&self, context: &Context, metric: &Metric, count: &MetricRef) -> Option<Metric> {
        let namespace = count.namespace.as_deref().unwrap_or(&metric.namespace);
        if namespace != metric.namespace && Some(namespace) != self.namespace.as_deref() {
            return None;
        }
        Some(Metric {
            name: count.name.clone(),
            namespace: namespace.to_owned(),
            spec: read(context, namespace, &count.name)?.ok()?,
        })
    }

    /// Asks for the value of every metric for every version. `elapsed`: seconds since it began.
    pub async fn measure(&self, context: &Context, experiment: &Experiment, elapsed: i64) -> (Vec<Measured>, Samples) {
        let mut measured = Vec::new();
        let mut asked = Vec::new();
        let mut samples = Samples::new();
        let names = experiment.metrics();
        let failed = |failure: &Failure| Sample::Error(failure.message.clone());
        for metric in self.found(context, experiment) {
            match metric {
                Ok(metric) => {
                    measured.push(metric.measured());
                    asked.push(metric);
                }
                Err(failure) => {
                    let name = names.iter().find(|name| failure.message.contains(**name));
                    for version in name.iter().flat_map(|_| &experiment.versions) {
                        let key = (name.map_or("", |name| name).to_owned(), version.name.clone());
                        samples.insert(key, failed(&failure));
                    }
                }
            }
        }
        let max_age = Duration::from_secs(u64::try_from(experiment.interval).unwrap_or_default()) / 2;
        let asking = asked.iter().flat_map(|metric| {
            let versions = experiment.versions.iter();
            versions.map(move |version| async move {
                let sample = self.ask(context, metric, version, elapsed, max_age).await;
                ((metric.name.clone(), version.name.clone()), sample)
            })
        });
        samples.extend(join_all(asking).await);
        (measured, samples)
    }

    async fn ask(
        &self,
        context: &Context,
        metric: &Metric,
        version: &Version,
        elapsed: i64,
        max_age: Duration,
    ) -> Sample {
        let failed = |why: String| Sample::Error(format!("metric {}: {why}", metric.name));
        let secret = match &metric.spec.secret {
            Some(name) => match secret(context, &metric.namespace, name).await {
                Ok(secret) => Some(secret),
                Err(why) => return failed(why),
            },
            None => None,
        };
        let asked = Asked {
            version: &version.name,
            variables: &version.variables,
            elapsed_seconds: elapsed,
        };
        match queries::query(&metric.spec, &asked, self.provider.prometheus(), secret.as_ref()) {
            Ok(query) => self.provider.ask(&query, max_age).await,
            Err(why) => failed(why),
        }
    }
}

impl Metric {
    fn measured(&self) -> Measured {
        Measured {
            name: self.name.clone(),
            units: self.spec.units.clone().unwrap_or_default(),
        }
    }
}

/// A Metric as it is stored; `None`: there is none. `Err`: what is wrong with it.
fn read(context: &Context, namespace: &str, name: &str) -> Option<Result<MetricSpec, String>> {
    let object = context.store.get(&KindRef::Known(Kind::Metric), namespace, name)?;
    let raw = match &object.body {
        Body::Metric(raw) => raw,
        Body::Malformed(why) => return Some(Err(why.to_string())),
        _ => return None,
    };
    let spec: MetricSpec = match raw.spec() {
        Ok(spec) => spec,
        Err(error) => return Some(Err(error.to_string())),
    };
    let error = validate::metric(&spec).first().map(ToString::to_string);
    Some(error.map_or(Ok(spec), Err))
}

/// Keys and values of a Secret.
async fn secret(context: &Context, namespace: &str, name: &str) -> Result<BTreeMap<String, String>, String> {
    let resource = Resource {
        group: String::new(),
        version: "v1".to_owned(),
        plural: "secrets".to_owned(),
    };
    let got = context.experiments.fields.get(&resource, namespace, name).await;
    let object = got.map_err(|error| format!("Secret {namespace}/{name}: {error}"))?;
    let object = object.ok_or_else(|| format!("Secret {namespace}/{name} does not exist"))?;
    let data = object.get("data").and_then(Value::as_object).into_iter().flatten();
    let decoded = data.map(|(key, value)| {
        let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        (key.clone(), String::from_utf8_lossy(&bytes).into_owned())
    });
    Ok(decoded.collect())
}
