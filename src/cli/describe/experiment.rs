//! An Experiment, in the form of the original's `iter8ctl describe`, with what that left out: why there is no value, what
//! is waited for, and the weights.

use super::number::rounded;
use super::table::Table;
use super::text::{fields, one_line, section};
use crate::api::experiment::{
    Analysis, Experiment, ExperimentSpec, ExperimentStatus, Limit, Objective, ObjectiveStatus, ObjectiveVerdict,
    PreferredDirection, Reward, Verdict, VersionMetric, WeightValue,
};
use crate::plan::conditions;

/// All that there is to say.
pub fn experiment(experiment: &Experiment) -> String {
    let unseen = ExperimentStatus::default();
    let shown = Shown::new(&experiment.spec, experiment.status.as_ref().unwrap_or(&unseen));
    let mut sections = vec![overview(experiment), shown.progress(experiment.status.is_none())];
    if shown.status.completed_iterations > 0 {
        sections.push(shown.winner());
        sections.extend(shown.rewards());
        sections.extend(shown.objectives());
        sections.extend(shown.metrics());
    }
    sections.extend(shown.weights());
    sections.join("\n")
}

/// What an Experiment asks for, and what came of it.
struct Shown<'a> {
    spec: &'a ExperimentSpec,
    status: &'a ExperimentStatus,
    /// The names of the versions, the baseline first.
    versions: Vec<&'a str>,
}

fn overview(experiment: &Experiment) -> String {
    let (metadata, spec) = (&experiment.metadata, &experiment.spec);
    let strategy = &spec.strategy;
    let pattern = strategy.deployment_pattern.unwrap_or_default();
    let body = fields([
        ("Experiment name", metadata.name.clone().unwrap_or_default()),
        ("Experiment namespace", metadata.namespace.clone().unwrap_or_default()),
        ("Target", spec.target.clone()),
        ("Testing pattern", strategy.testing_pattern.as_str().to_owned()),
        ("Deployment pattern", pattern.as_str().to_owned()),
    ]);
    section("Overview", &body)
}

impl<'a> Shown<'a> {
    fn new(spec: &'a ExperimentSpec, status: &'a ExperimentStatus) -> Self {
        let info = &spec.version_info;
        let versions = [&info.baseline].into_iter().chain(&info.candidates);
        Self {
            spec,
            status,
            versions: versions.map(|version| version.name.as_str()).collect(),
        }
    }

    fn progress(&self, unseen: bool) -> String {
        let status = self.status;
        let mut lines = Vec::new();
        if let Some(stage) = status.stage {
            lines.push(("Experiment stage", stage.as_str().to_owned()));
        }
        lines.push((
            "Number of completed iterations",
            status.completed_iterations.to_string(),
        ));
        if matches!(status.verdict, Verdict::Failed | Verdict::Inconclusive | Verdict::Error) {
            lines.push(("Verdict", status.verdict.as_str().to_owned()));
        }
        if unseen {
            lines.push(("Message", "not yet seen by the operator".to_owned()));
        }
        lines.extend(self.message().map(|message| ("Message", message)));
        section("Progress Summary", &fields(lines))
    }

    /// What is waited for, what is in the way, or how it came to a bad end; nothing while it measures, and of one that is a
    /// success.
    fn message(&self) -> Option<String> {
        let verdict = self.status.verdict;
        let is_well = matches!(verdict, Verdict::Running | Verdict::Successful);
        let ready = conditions::find(&self.status.conditions, conditions::READY)?;
        if ready.reason != verdict.as_str() {
            return Some(format!("{}: {}", ready.reason, ready.message));
        }
        (!is_well).then(|| ready.message.clone())
    }

    fn analysis(&self) -> Option<&'a Analysis> {
        self.status.analysis.as_ref()
    }

    fn winner(&self) -> String {
        let winner = self.analysis().map(|analysis| &analysis.winner_assessment.data);
        let winner = winner.filter(|data| data.winner_found);
        let winner = winner.and_then(|data| data.winner.as_deref());
        let recommended = Some(self.status.recommended_baseline.as_str()).filter(|name| !name.is_empty());
        let recommended = recommended.unwrap_or(&self.spec.version_info.baseline.name);
        let body = fields([
            ("Winning version", winner.unwrap_or("not found").to_owned()),
            ("Recommended baseline", recommended.to_owned()),
        ]);
        section("Winner Assessment", &body)
    }

    fn rewards(&self) -> Option<String> {
        let criteria = self.spec.criteria.as_ref()?;
        let mut table = self.table("reward");
        let mut absent = Vec::new();
        for reward in criteria.reward.iter().chain(&criteria.rewards) {
            let best = self.best(reward);
            let better = match reward.preferred_direction {
                PreferredDirection::High => "higher better",
                PreferredDirection::Low => "lower better",
            };
            let cells = self.values(&reward.metric, &mut absent).into_iter();
            let marked = cells.zip(&self.versions).map(
                |(cell, version)| {
                    if best.contains(version) { cell + " *" } else { cell }
                },
            );
            let label = format!("{} ({better})", reward.metric);
            table.row([label].into_iter().chain(marked));
        }
        drawn("Reward Assessment", &table, &absent)
    }

    /// The versions with the best value; several, if they are equal.
    fn best(&self, reward: &Reward) -> Vec<&'a str> {
        let number = |version: &&'a str| -> Option<f64> {
            let value = self.value(&reward.metric, version)?.value.as_ref()?;
            let number: f64 = value.parse().ok()?;
            Some(match reward.preferred_direction {
                PreferredDirection::High => number,
                PreferredDirection::Low => -number,
            })
        };
        let best = self.versions.iter().filter_map(number).max_by(f64::total_cmp);
        let is_best = |version: &&&'a str| best.is_some() && number(version) == best;
        self.versions.iter().filter(is_best).copied().collect()
    }

    fn objectives(&self) -> Option<String> {
        let criteria = self.spec.criteria.as_ref()?;
        let mut table = self.table("objective");
        let mut absent = Vec::new();
        for (index, objective) in criteria.objectives.iter().enumerate() {
            // The same metric may have several objectives: what came of them stands in their order.
            let earlier = criteria.objectives.iter().take(index);
            let nth = earlier.filter(|one| one.metric == objective.metric).count();
            let cells = self.versions.iter().map(|version| {
                let status = self.verdict(&objective.metric, version, nth);
                let word = match status.map(|status| status.verdict) {
                    Some(ObjectiveVerdict::Pass) => return "true".to_owned(),
                    Some(ObjectiveVerdict::Fail) => return "false".to_owned(),
                    Some(ObjectiveVerdict::Error) => ERROR,
                    Some(ObjectiveVerdict::NoData) | None => NO_DATA,
                };
                let message = status.map_or(NOT_MEASURED, |status| &status.message);
                absent.push(absence(word, &objective.metric, version, message));
                word.to_owned()
            });
            let cells: Vec<String> = [condition(objective)].into_iter().chain(cells).collect();
            table.row(cells);
        }
        drawn("Objective Assessment", &table, &absent)
    }

    fn verdict(&self, metric: &str, version: &str, nth: usize) -> Option<&'a ObjectiveStatus> {
        let all = self.status.objectives.iter();
        all.filter(|one| one.metric == metric && one.version == version)
            .nth(nth)
    }

    fn metrics(&self) -> Option<String> {
        let metrics = &self.analysis()?.aggregated_metrics;
        let mut table = self.table("metric");
        let mut absent = Vec::new();
        let unordered = metrics.data.keys().filter(|name| !metrics.order.contains(name));
        for name in metrics.order.iter().chain(unordered) {
            let units = metrics.data.get(name).map_or("", |metric| &metric.units);
            let label = if units.is_empty() {
                name.clone()
            } else {
                format!("{name} ({units})")
            };
            let cells = self.values(name, &mut absent);
            table.row([label].into_iter().chain(cells));
        }
        drawn("Metrics Assessment", &table, &absent)
    }

    /// A cell for each version with the metric's value, or why there is none.
    fn values(&self, metric: &str, absent: &mut Vec<String>) -> Vec<String> {
        let cells = self.versions.iter().map(|version| {
            let found = self.value(metric, version);
            if let Some(value) = found.and_then(|found| found.value.as_ref()) {
                return rounded(value);
            }
            let judged = self.verdict(metric, version, 0).map(|status| status.verdict);
            let word = if judged == Some(ObjectiveVerdict::Error) {
                ERROR
            } else {
                NO_DATA
            };
            let message = found.map_or(NOT_MEASURED, |found| &found.message);
            absent.push(absence(word, metric, version, message));
            word.to_owned()
        });
        cells.collect()
    }

    fn value(&self, metric: &str, version: &str) -> Option<&'a VersionMetric> {
        let metric = self.analysis()?.aggregated_metrics.data.get(metric)?;
        metric.data.get(version)
    }

    fn weights(&self) -> Option<String> {
        let (start, current) = (&self.status.start_weights, &self.status.current_weight_distribution);
        if current.is_empty() {
            return None;
        }
        let of = |weights: &[WeightValue], version: &str| {
            let weight = weights.iter().find(|weight| weight.name == version);
            weight.map_or_else(|| "-".to_owned(), |weight| weight.value.to_string())
        };
        let mut table = Table::new(["version", "start", "current"]);
        for version in &self.versions {
            table.row([(*version).to_owned(), of(start, version), of(current, version)]);
        }
        drawn("Weights", &table, &[])
    }

    /// A table with a column of labels, and one for each version.
    fn table(&self, label: &'a str) -> Table {
        Table::new([label].iter().chain(&self.versions))
    }
}

const NO_DATA: &str = "no data";
const ERROR: &str = "error";
const NOT_MEASURED: &str = "the last iteration says nothing of it";

/// Why there is no value.
fn absence(word: &str, metric: &str, version: &str, message: &str) -> String {
    let reason = one_line(message);
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("{word} of {metric} for {version}{colon}{reason}\n")
}

/// A section with a table, and what is to be said of its cells; none if there are no rows.
fn drawn(title: &str, table: &Table, absent: &[String]) -> Option<String> {
    let body = format!("{table}{}", absent.concat());
    (!table.is_empty()).then(|| section(title, &body))
}

/// What an objective demands, as in `0.500 <= mean-latency <= 50.000`.
fn condition(objective: &Objective) -> String {
    let number = |limit: &Limit| match limit {
        Limit::Number(number) => rounded(&number.to_string()),
        Limit::Quantity(quantity) => rounded(quantity),
    };
    let (lower, upper) = (&objective.lower_limit, &objective.upper_limit);
    let lower = lower.as_ref().map(|limit| number(limit) + " <= ");
    let upper = upper.as_ref().map(|limit| " <= ".to_owned() + &number(limit));
    format!(
        "{}{}{}",
        lower.unwrap_or_default(),
        objective.metric,
        upper.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
