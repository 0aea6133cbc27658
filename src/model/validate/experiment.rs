//! The rules of an `Experiment` and of a `Metric`.

use super::{ObjectInfo, repeated, schema};
use crate::api::annotations;
use crate::api::experiment::{
    DeploymentPattern, ExperimentSpec, Limit, Objective, Reward, TestingPattern, VersionDetail, WeightObjRef,
};
use crate::api::metric::{AuthType, Method, MetricSpec, PROMETHEUS};
use crate::api::rules::experiment::{
    A_CANDIDATE, ACTION, BAD_LIMIT, CONFORMANCE_CANDIDATES, DUPLICATE_NAME, KNATIVE_TARGET, NO_LIMIT, NO_PLACE,
    NO_REWARD, NOTHING_MOVES, ONE_CANDIDATE, ONE_PLACE, ONE_REWARD, OTHER_NAMESPACE, OTHER_TARGET, POINTER, TASK,
    TWO_PLACES,
};
use crate::api::rules::metric::{BODY, NO_AUTH, NO_EXPRESSION, NO_QUERY, NO_SECRET, NO_URL};
use crate::model::experiment as valid;
use crate::model::{FieldError, names, quantity};

/// Defaults of what the spec leaves open, as in Iter8's v2alpha1.
mod defaults {
    pub const MAX_WEIGHT: i32 = 100;
    pub const MAX_INCREMENT: i32 = 10;
    pub const INTERVAL: i32 = 20;
    pub const ITERATIONS_PER_LOOP: i32 = 15;
    pub const LOOPS: i32 = 1;
    pub const MAX_WITHOUT_DATA: i32 = 5;
}

/// The only task that there is.
const INIT: (&str, &str, &str) = ("start", "knative", "init-experiment");

/// The Experiment with all defaults in place, or everything that is wrong with it.
pub fn experiment(info: &ObjectInfo, spec: &ExperimentSpec) -> Result<valid::Experiment, Vec<FieldError>> {
    let mut errors = schema::bounds(&schema::EXPERIMENT, spec);
    let mut error = |path: &str, message: &str| errors.push(FieldError::invalid(path, message));
    check_pattern(spec, &mut error);
    check_actions(info, spec, &mut error);
    check_versions(info, spec, &mut error);
    let objectives = objectives(spec, &mut error);
    if errors.is_empty() {
        Ok(build(info, spec, objectives))
    } else {
        Err(errors)
    }
}

/// Everything that is wrong with a Metric.
pub fn metric(spec: &MetricSpec) -> Vec<FieldError> {
    let mut errors = schema::bounds(&schema::METRIC, spec);
    let prometheus = spec.provider == PROMETHEUS;
    let queries = spec.params.iter().filter(|param| param.name == "query").count();
    let rules = [
        (prometheus || spec.url_template.is_some(), NO_URL),
        (prometheus || spec.jq_expression.is_some(), NO_EXPRESSION),
        (!prometheus || spec.jq_expression.is_some() || queries == 1, NO_QUERY),
        (spec.body.is_none() || spec.method == Some(Method::Post), BODY),
        (
            spec.secret.is_some() || !matches!(spec.auth_type, Some(AuthType::Basic | AuthType::Bearer)),
            NO_SECRET,
        ),
        (spec.secret.is_none() || spec.auth_type.is_some(), NO_AUTH),
    ];
    let broken = rules.into_iter().filter(|(holds, _)| !holds);
    errors.extend(broken.map(|(_, message)| FieldError::invalid("spec", message)));
    errors
}

fn rewards(spec: &ExperimentSpec) -> Vec<&Reward> {
    let criteria = spec.criteria.iter();
    criteria
        .flat_map(|criteria| criteria.reward.iter().chain(&criteria.rewards))
        .collect()
}

fn check_pattern(spec: &ExperimentSpec, error: &mut impl FnMut(&str, &str)) {
    let candidates = spec.version_info.candidates.len();
    let pattern = spec.strategy.testing_pattern;
    let rewards = rewards(spec).len();
    match pattern {
        TestingPattern::Conformance if candidates > 0 => error("spec", CONFORMANCE_CANDIDATES),
        TestingPattern::Canary | TestingPattern::AB if candidates != 1 => error("spec", ONE_CANDIDATE),
        TestingPattern::ABN if candidates == 0 => error("spec", A_CANDIDATE),
        _ => {}
    }
    if pattern.has_reward() && rewards != 1 {
        error("spec", ONE_REWARD);
    }
    if !pattern.has_reward() && rewards > 0 {
        error("spec", NO_REWARD);
    }
    if pattern == TestingPattern::Conformance && spec.version_info.release_ref.is_some() {
        error("spec", NOTHING_MOVES);
    }
}

fn check_actions(info: &ObjectInfo, spec: &ExperimentSpec, error: &mut impl FnMut(&str, &str)) {
    for (action, tasks) in &spec.strategy.actions {
        if action != INIT.0 {
            error("spec.strategy", &format!("{action} {ACTION}"));
        }
        for (index, task) in tasks.iter().enumerate() {
            if (task.library.as_str(), task.task.as_str()) != (INIT.1, INIT.2) {
                let at = format!("spec.strategy.actions.{action}[{index}]");
                error(&at, &format!("{}/{} {TASK}", task.library, task.task));
            }
        }
    }
    if awaits(spec) {
        match spec.target.split_once('/') {
            Some((namespace, name)) if names::dns_label(namespace) && names::dns_label(name) => {
                if namespace != info.namespace {
                    error("spec.target", OTHER_TARGET);
                }
            }
            _ => error("spec", KNATIVE_TARGET),
        }
    }
}

/// Whether it waits for a Knative Service.
fn awaits(spec: &ExperimentSpec) -> bool {
    let start = spec.strategy.actions.get(INIT.0);
    start.is_some_and(|tasks| !tasks.is_empty())
}

fn versions(spec: &ExperimentSpec) -> impl Iterator<Item = (String, &VersionDetail)> {
    let info = &spec.version_info;
    let baseline = ("spec.versionInfo.baseline".to_owned(), &info.baseline);
    let candidates = info.candidates.iter().enumerate();
    std::iter::once(baseline)
        .chain(candidates.map(|(index, version)| (format!("spec.versionInfo.candidates[{index}]"), version)))
}

fn check_versions(info: &ObjectInfo, spec: &ExperimentSpec, error: &mut impl FnMut(&str, &str)) {
    let names = versions(spec).map(|(_, version)| Some(version.name.as_str()));
    if !repeated(names).is_empty() {
        error("spec.versionInfo", DUPLICATE_NAME);
    }
    let release = spec.version_info.release_ref.is_some();
    let without = versions(spec).filter(|(_, version)| version.weight_obj_ref.is_none());
    let without = without.count();
    let moves = spec.strategy.testing_pattern != TestingPattern::Conformance
        && spec.strategy.deployment_pattern != Some(DeploymentPattern::FixedSplit);
    if moves && !release && without > 1 {
        error("spec", NO_PLACE);
    }
    if release && without < spec.version_info.candidates.len() + 1 {
        error("spec.versionInfo", TWO_PLACES);
    }
    let places: Vec<_> = versions(spec)
        .filter_map(|(_, version)| version.weight_obj_ref.as_ref())
        .collect();
    if places
        .iter()
        .enumerate()
        .any(|(index, place)| places.iter().take(index).any(|other| other == place))
    {
        error("spec.versionInfo", ONE_PLACE);
    }
    for (at, version) in versions(spec) {
        let Some(place) = &version.weight_obj_ref else {
            continue;
        };
        if !place.field_path.starts_with('/') {
            error(&at, POINTER);
        }
        if place
            .namespace
            .as_ref()
            .is_some_and(|namespace| *namespace != info.namespace)
        {
            error(&format!("{at}.weightObjRef.namespace"), OTHER_NAMESPACE);
        }
    }
}

fn objectives(spec: &ExperimentSpec, error: &mut impl FnMut(&str, &str)) -> Vec<valid::Objective> {
    let all = spec.criteria.iter().flat_map(|criteria| &criteria.objectives);
    let by_default = spec.strategy.deployment_pattern == Some(DeploymentPattern::BlueGreen);
    let mut valid = Vec::new();
    for (index, objective) in all.enumerate() {
        let at = format!("spec.criteria.objectives[{index}]");
        let Objective {
            metric,
            upper_limit,
            lower_limit,
            rollback_on_failure,
        } = objective;
        if upper_limit.is_none() && lower_limit.is_none() {
            error(&at, NO_LIMIT);
        }
        let mut limit = |name: &str, limit: &Option<Limit>| {
            let limit = limit.as_ref()?;
            let read = read_limit(limit);
            if read.is_none() {
                error(&format!("{at}.{name}"), BAD_LIMIT);
            }
            read
        };
        valid.push(valid::Objective {
            metric: metric.clone(),
            upper: limit("upperLimit", upper_limit),
            lower: limit("lowerLimit", lower_limit),
            rollback: rollback_on_failure.unwrap_or(by_default),
        });
    }
    valid
}

fn read_limit(limit: &Limit) -> Option<valid::Limit> {
    let (text, value) = match limit {
        Limit::Number(number) => (number.to_string(), number.as_f64()),
        Limit::Quantity(text) => (text.clone(), quantity::number(text)),
    };
    let value = value.filter(|value| value.is_finite())?;
    Some(valid::Limit { text, value })
}

fn build(info: &ObjectInfo, spec: &ExperimentSpec, objectives: Vec<valid::Objective>) -> valid::Experiment {
    let deployment = spec.strategy.deployment_pattern.unwrap_or_default();
    let weights = spec.strategy.weights.clone().unwrap_or_default();
    let max_weight = weights.max_candidate_weight.unwrap_or(defaults::MAX_WEIGHT);
    let max_increment = match deployment {
        DeploymentPattern::BlueGreen => max_weight,
        _ => weights
            .max_candidate_weight_increment
            .unwrap_or(defaults::MAX_INCREMENT),
    };
    let duration = &spec.duration;
    let iterations_per_loop = duration.iterations_per_loop.unwrap_or(defaults::ITERATIONS_PER_LOOP);
    let loops = duration.max_loops.unwrap_or(defaults::LOOPS);
    let criteria = spec.criteria.clone().unwrap_or_default();
    valid::Experiment {
        name: info.name.clone(),
        namespace: info.namespace.clone(),
        generation: info.generation,
        target: spec.target.clone(),
        pattern: spec.strategy.testing_pattern,
        deployment,
        awaited: awaits(spec).then(|| awaited(spec)),
        max_weight,
        max_increment,
        interval: duration.interval_seconds.unwrap_or(defaults::INTERVAL),
        iterations: iterations_per_loop.saturating_mul(loops),
        max_without_data: duration
            .max_iterations_without_data
            .unwrap_or(defaults::MAX_WITHOUT_DATA),
        versions: versions(spec)
            .map(|(_, version)| build_version(spec, version))
            .collect(),
        objectives,
        reward: rewards(spec).first().map(|reward| (*reward).clone()),
        request_count: criteria.request_count,
        indicators: criteria.indicators,
        suspend: spec.suspend,
    }
}

fn awaited(spec: &ExperimentSpec) -> valid::Awaited {
    let variables = versions(spec).flat_map(|(_, version)| &version.variables);
    let revisions = variables.filter(|variable| variable.name == "revision");
    let service = spec.target.rsplit('/').next().unwrap_or_default();
    valid::Awaited {
        service: service.to_owned(),
        revisions: revisions.map(|variable| variable.value.clone()).collect(),
    }
}

fn build_version(spec: &ExperimentSpec, version: &VersionDetail) -> valid::Version {
    let release = spec.version_info.release_ref.as_ref();
    let of_release = release.map(|release| valid::Place {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: names::weight_config(&version.name),
        pointer: format!("/metadata/annotations/{}", annotations::WEIGHT.replace('/', "~1")),
        release: Some(release.name.clone()),
    });
    valid::Version {
        name: version.name.clone(),
        variables: version.variables.clone(),
        place: of_release.or_else(|| version.weight_obj_ref.as_ref().map(place)),
    }
}

fn place(reference: &WeightObjRef) -> valid::Place {
    valid::Place {
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        name: reference.name.clone(),
        pointer: reference.field_path.clone(),
        release: None,
    }
}
