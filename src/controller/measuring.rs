//! Measuring: from the metrics that an experiment names to their values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

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

/// Queries of one experiment that are on their way at once.
const AT_ONCE: usize = 16;

/// How long one iteration may measure: what has not been answered by then has no value.
const LONGEST: Duration = Duration::from_mins(1);

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
        let found = self.found(context, experiment).into_iter();
        found.map(|(_, one)| one.map(|metric| metric.measured())).collect()
    }

    /// The same with the name of each, as the experiment, or a Metric, has it.
    fn found(&self, context: &Context, experiment: &Experiment) -> Vec<(String, Result<Metric, Failure>)> {
        let names = experiment.metrics();
        let find = |name: &&str| ((*name).to_owned(), self.find(context, experiment, name));
        let wanted: Vec<_> = names.iter().map(find).collect();
        let mut counts: Vec<Metric> = Vec::new();
        for metric in wanted.iter().filter_map(|(_, metric)| metric.as_ref().ok()) {
            let Some(count) = &metric.spec.sample_size else {
                continue;
            };
            if !names.contains(&count.name.as_str()) && counts.iter().all(|one| one.name != count.name) {
                counts.extend(self.sample_size(context, metric, count));
            }
        }
        let counts = counts.into_iter().map(|metric| (metric.name.clone(), Ok(metric)));
        let mut all: Vec<_> = counts.chain(wanted).collect();
        let first = all
            .iter()
            .position(|(name, _)| Some(name) == experiment.request_count.as_ref());
        if let Some(up_to_it) = first.and_then(|first| all.get_mut(..=first)) {
            up_to_it.rotate_right(1);
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
        for (name, metric) in self.found(context, experiment) {
            let unasked = match metric {
                Ok(metric) => {
                    measured.push(metric.measured());
                    asked.push(metric);
                    Sample::Error(
                        "it was not asked for in time: the operator, or those whom it asks, have too much to do"
                            .to_owned(),
                    )
                }
                Err(failure) => Sample::Error(failure.message),
            };
            let versions = experiment.versions.iter();
            samples.extend(versions.map(|version| ((name.clone(), version.name.clone()), unasked.clone())));
        }
        let secrets = secrets(context, &asked).await;
        let max_age = Duration::from_secs(u64::try_from(experiment.interval).unwrap_or_default()) / 2;
        let mut questions = Vec::new();
        for metric in &asked {
            let secret = secrets.get(&metric.secret());
            let versions = experiment.versions.iter();
            questions.extend(versions.map(|version| Question {
                metric,
                version,
                secret,
            }));
        }
        // A query is made when its turn comes: those of many metrics and versions together would take much room.
        let mut questions = questions.into_iter();
        let mut asking = FuturesUnordered::new();
        let deadline = Instant::now() + LONGEST;
        loop {
            while asking.len() < AT_ONCE
                && let Some(question) = questions.next()
            {
                asking.push(self.ask(question, elapsed, max_age));
            }
            match timeout_at(deadline, asking.next()).await {
                Ok(Some(answer)) => samples.extend([answer]),
                Ok(None) | Err(_) => break,
            }
        }
        (measured, samples)
    }

    async fn ask(&self, question: Question<'_>, elapsed: i64, max_age: Duration) -> ((String, String), Sample) {
        let Question {
            metric,
            version,
            secret,
        } = question;
        let asked = Asked {
            version: &version.name,
            variables: &version.variables,
            elapsed_seconds: elapsed,
        };
        let query = secret.map(Result::as_ref).transpose().map_err(Clone::clone);
        let query = query.and_then(|secret| queries::query(&metric.spec, &asked, self.provider.prometheus(), secret));
        let sample = match query {
            Ok(query) => self.provider.ask(&query, max_age).await,
            Err(why) => Sample::Error(format!("metric {}: {why}", metric.name)),
        };
        ((metric.name.clone(), version.name.clone()), sample)
    }
}

/// What is asked for: a metric of a version.
struct Question<'a> {
    metric: &'a Metric,
    version: &'a Version,
    secret: Option<&'a Result<Secret, String>>,
}

/// Keys and values of a Secret.
type Secret = BTreeMap<String, String>;

/// The Secrets of these metrics, each read once, by namespace and name.
async fn secrets(context: &Context, metrics: &[Metric]) -> BTreeMap<Option<(String, String)>, Result<Secret, String>> {
    let places: BTreeSet<(String, String)> = metrics.iter().filter_map(Metric::secret).collect();
    let mut secrets = BTreeMap::new();
    for (namespace, name) in places {
        let read = secret(context, &namespace, &name).await;
        secrets.insert(Some((namespace, name)), read);
    }
    secrets
}

impl Metric {
    /// Namespace and name of its Secret.
    fn secret(&self) -> Option<(String, String)> {
        Some((self.namespace.clone(), self.spec.secret.clone()?))
    }

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

async fn secret(context: &Context, namespace: &str, name: &str) -> Result<Secret, String> {
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
