//! A Release and a RoutePolicy: whether they are as they should be, what each version gets, and what is wrong.

use std::collections::BTreeMap;

use super::table::Table;
use super::text::{fields, one_line, section, time, word};
use crate::api::release::{Promotion, PromotionStep, ReleaseSpec, Strategy};
use crate::api::route_policy::{RouteTarget, RoutingStrategy};
use crate::api::status::{Condition, Role, RouteStatus, Tristate, VersionStatus, WeightSource};
use crate::api::{Release, ReleaseStatus, RoutePolicy, RoutePolicyStatus, annotations};
use crate::model::names;
use crate::plan::conditions;

/// All that there is to say of a Release.
pub fn release(release: &Release) -> String {
    let (metadata, spec) = (&release.metadata, &release.spec);
    let unseen = ReleaseStatus::default();
    let status = release.status.as_ref().unwrap_or(&unseen);
    let name = metadata.name.clone().unwrap_or_default();
    let wanted = routing(spec).map_or("none", |_| NOT_WRITTEN);
    let application = spec.application.metadata.as_ref().and_then(|own| own.name.clone());
    let mut overview = vec![
        ("Release name", name.clone()),
        ("Release namespace", metadata.namespace.clone().unwrap_or_default()),
        ("Environment", word(&spec.environment)),
        ("Strategy", word(&spec.application.strategy)),
        ("Application", application.unwrap_or(name)),
        ("Route", route(status.route.as_ref(), wanted)),
    ];
    if spec.suspend {
        overview.push(("Suspended", "nothing is written but status (spec.suspend)".to_owned()));
    }
    let configs = status.versions.iter();
    let shown = Shown {
        behind: behind(metadata.generation, status.observed_generation),
        conditions: &status.conditions,
        promotion: status.promotion.as_ref(),
        versions: &status.versions,
        strategy: routing(spec).filter(|_| status.route.is_some()),
        stand_in: status.promotion.as_ref().map(|promotion| promotion.source.as_str()),
        weight_configs: configs
            .map(|version| (version.name.as_str(), names::weight_config(&version.name)))
            .collect(),
    };
    shown.below(section("Overview", &fields(overview)))
}

/// All that there is to say of a RoutePolicy.
pub fn policy(policy: &RoutePolicy) -> String {
    let (metadata, spec) = (&policy.metadata, &policy.spec);
    let unseen = RoutePolicyStatus::default();
    let status = policy.status.as_ref().unwrap_or(&unseen);
    let name = metadata.name.clone().unwrap_or_default();
    let wanted = format!("{}, {NOT_WRITTEN}", target(&spec.route, &name));
    let mut overview = vec![
        ("RoutePolicy name", name),
        ("RoutePolicy namespace", metadata.namespace.clone().unwrap_or_default()),
        ("Strategy", word(&spec.strategy)),
        ("Route", route(status.route.as_ref(), &wanted)),
    ];
    if spec.suspend {
        overview.push(("Suspended", "no route is written (spec.suspend)".to_owned()));
    }
    let primary = spec.versions.first().map(|version| &version.name);
    let stand_in = spec
        .versions
        .iter()
        .find(|version| version.serves_for.is_some() && version.serves_for.as_ref() == primary);
    let configs = spec.versions.iter();
    let shown = Shown {
        behind: behind(metadata.generation, status.observed_generation),
        conditions: &status.conditions,
        promotion: None,
        versions: &status.versions,
        strategy: Some(spec.strategy).filter(|_| status.route.is_some()),
        stand_in: stand_in.map(|version| version.name.as_str()),
        weight_configs: configs
            .filter_map(|version| Some((version.name.as_str(), version.weight_config_map.clone()?)))
            .collect(),
    };
    shown.below(section("Overview", &fields(overview)))
}

fn routing(spec: &ReleaseSpec) -> Option<RoutingStrategy> {
    match spec.application.strategy {
        Strategy::None => None,
        Strategy::BlueGreen => Some(RoutingStrategy::BlueGreen),
        Strategy::Canary => Some(RoutingStrategy::Canary),
        Strategy::Mirror => Some(RoutingStrategy::Mirror),
    }
}

const NOT_WRITTEN: &str = "not written yet";

/// The route that is stored, or what is to be said of the `wanted` one.
fn route(stored: Option<&RouteStatus>, wanted: &str) -> String {
    stored.map_or_else(|| wanted.to_owned(), |route| format!("{} {}", route.kind, route.name))
}

/// The route that a policy asks for.
fn target(target: &RouteTarget, policy: &str) -> String {
    let named = |kind: &str, name: &Option<String>| format!("{kind} {}", name.as_deref().unwrap_or(policy));
    let http_route = target.http_route.as_ref().map(|route| named("HTTPRoute", &route.name));
    let service = target.virtual_service.as_ref();
    http_route
        .or_else(|| service.map(|service| named("VirtualService", &service.name)))
        .unwrap_or_default()
}

/// That the status is about an earlier generation than the object.
fn behind(generation: Option<i64>, observed: i64) -> Option<String> {
    let generation = generation.filter(|generation| *generation > observed && observed > 0)?;
    Some(format!(
        "The operator has not reported on generation {generation} yet; what follows is about generation {observed}.\n"
    ))
}

/// What the status of either kind says.
struct Shown<'a> {
    behind: Option<String>,
    conditions: &'a [Condition],
    promotion: Option<&'a Promotion>,
    versions: &'a [VersionStatus],
    /// `None`: nothing is routed.
    strategy: Option<RoutingStrategy>,
    /// The version that may answer in the primary's place.
    stand_in: Option<&'a str>,
    /// The weight `ConfigMap` of each version.
    weight_configs: BTreeMap<&'a str, String>,
}

impl Shown<'_> {
    /// The overview and all other sections.
    fn below(&self, overview: String) -> String {
        let mut sections = vec![overview, self.readiness()];
        if !self.versions.is_empty() {
            sections.push(self.table());
        }
        sections.extend(self.wrong());
        sections.join("\n")
    }

    fn readiness(&self) -> String {
        let ready = conditions::find(self.conditions, conditions::READY);
        let mut body = self.behind.clone().unwrap_or_default();
        body += &ready.map_or_else(
            || "Ready: Unknown: the operator has not reported on it yet\n".to_owned(),
            |ready| sentence(ready, &ready.message),
        );
        if let Some(promotion) = self.promotion {
            body += &self.step(promotion);
        }
        section("Readiness", &body)
    }

    /// What is being done to bring the primary where the source is.
    fn step(&self, promotion: &Promotion) -> String {
        let source = &promotion.source;
        let primary = self.primary().map_or("the primary", |primary| &primary.name);
        let (at, what) = match promotion.step {
            PromotionStep::Scale => (", step 1 of 4", format!("{source} gets as many pods as {primary} has")),
            PromotionStep::Switch => (", step 2 of 4", format!("{source} takes the requests of {primary}")),
            PromotionStep::Roll => (
                ", step 3 of 4",
                format!("{primary} rolls out its new template, and {source} serves for it"),
            ),
            PromotionStep::Return => (
                ", step 4 of 4",
                format!("{primary} takes its requests back from {source}"),
            ),
            PromotionStep::InPlace => (
                "",
                format!("{primary} rolls out its new template under its own share, as {source} cannot stand in for it"),
            ),
        };
        let since = time(promotion.since);
        format!("Promotion: {:?}{at} since {since}: {what}\n", promotion.step)
    }

    fn primary(&self) -> Option<&VersionStatus> {
        self.versions.iter().find(|version| version.role == Role::Primary)
    }

    fn table(&self) -> String {
        let mut table = Table::new(["version", "role", "ready", "weight", "gets", "since"]);
        let mut remarks = String::new();
        for version in self.versions {
            let weight = version
                .weight
                .map_or_else(|| "-".to_owned(), |weight| weight.to_string());
            let overridden = version.source == WeightSource::Override;
            table.row([
                version.name.clone(),
                word(&version.role),
                word(&version.ready).to_lowercase(),
                weight + if overridden { " (Override)" } else { "" },
                self.gets(version),
                time(version.since),
            ]);
            remarks += &self.why_not_ready(version).unwrap_or_default();
            if overridden {
                remarks += &self.overridden(version);
            }
        }
        section("Versions", &format!("{table}{remarks}"))
    }

    /// What a version gets of the requests, or of the copies.
    fn gets(&self, version: &VersionStatus) -> String {
        let percent = version.percent.unwrap_or(0);
        match self.strategy {
            None => "-".to_owned(),
            Some(RoutingStrategy::Canary) if version.percent.is_none() => "match".to_owned(),
            Some(RoutingStrategy::Mirror) if percent > 0 && !self.answers(version) => format!("copy {percent}%"),
            Some(_) => format!("{percent}%"),
        }
    }

    /// Whether, of the versions of a mirror, this one answers: the primary, or whoever does so in its place.
    fn answers(&self, version: &VersionStatus) -> bool {
        let primary_serves = self.primary().and_then(|primary| primary.percent) > Some(0);
        match self.stand_in {
            _ if version.role == Role::Primary => true,
            _ if primary_serves => false,
            Some(stand_in) => version.name == stand_in,
            // It was the primary, and nobody has taken its requests over.
            None => version.role == Role::Leaving,
        }
    }

    fn why_not_ready(&self, version: &VersionStatus) -> Option<String> {
        let VersionStatus {
            name, ready, reason, ..
        } = version;
        let start = match ready {
            Tristate::True => return None,
            Tristate::False => format!("{name} is not ready ({reason})"),
            Tristate::Unknown => format!("it is not known whether {name} is ready ({reason})"),
        };
        // The condition tells of the first version that is not ready which object is at fault.
        let told = conditions::find(self.conditions, conditions::VERSIONS_READY);
        let prefix = format!("version {name} is not ready: ");
        let detail = told.and_then(|condition| condition.message.strip_prefix(&prefix));
        let detail = detail.filter(|detail| detail != reason).map(one_line);
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        Some(format!("{start}{detail}\n"))
    }

    fn overridden(&self, version: &VersionStatus) -> String {
        let config = self.weight_configs.get(version.name.as_str());
        let whose = config.map_or_else(|| "its weight ConfigMap".to_owned(), |name| format!("ConfigMap {name}"));
        let annotation = annotations::WEIGHT;
        format!(
            "{} has the weight of annotation {annotation} of {whose}, not that of the spec\n",
            version.name
        )
    }

    /// The conditions that are not as they should be; `Ready` has been told of.
    fn wrong(&self) -> Option<String> {
        let ready = conditions::find(self.conditions, conditions::READY);
        let told = ready.map(|ready| ready.message.as_str());
        let wrong = self.conditions.iter().filter(|one| one.type_ != conditions::READY);
        let wrong = wrong.filter(|one| one.status != wanted(&one.type_));
        let lines = wrong.map(|one| {
            let message = Some(one.message.as_str()).filter(|message| Some(*message) != told);
            sentence(one, message.unwrap_or_default())
        });
        let body: String = lines.collect();
        (!body.is_empty()).then(|| section("Conditions", &body))
    }
}

/// What a condition is where all is well.
fn wanted(type_: &str) -> Tristate {
    if [conditions::RECONCILING, conditions::STALLED].contains(&type_) {
        Tristate::False
    } else {
        Tristate::True
    }
}

/// A condition as a line.
fn sentence(condition: &Condition, message: &str) -> String {
    let Condition {
        type_, status, reason, ..
    } = condition;
    let since = time(condition.last_transition_time);
    let message = one_line(message);
    let colon = if message.is_empty() { "" } else { ": " };
    format!("{type_}: {status:?} since {since} ({reason}){colon}{message}\n")
}

#[cfg(test)]
mod tests;
