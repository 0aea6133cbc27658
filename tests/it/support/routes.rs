//! What a route says, whichever mesh it is for.

use serde_json::Value;

/// One rule of a `VirtualService` or an `HTTPRoute`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Its conditions as they are written; empty: it takes every request that the rules before it left.
    pub matches: Vec<Value>,
    /// Services with their weights. The only one of a rule that gives no weight has 100.
    pub backends: Vec<(String, i64)>,
    /// Services that get copies, with the percentage.
    pub mirrors: Vec<(String, i64)>,
    /// What the response header `app-version` says for each backend, in their order.
    pub app_versions: Vec<String>,
}

impl Rule {
    /// Whether it names the Service at all.
    pub fn names(&self) -> impl Iterator<Item = (&str, i64)> {
        self.backends
            .iter()
            .chain(&self.mirrors)
            .map(|(name, weight)| (name.as_str(), *weight))
    }
}

/// The rules of a route of either kind, with the Services of its own namespace.
#[track_caller]
pub fn rules(route: &Value) -> Vec<Rule> {
    let namespace = route["metadata"]["namespace"].as_str().unwrap_or_default();
    match route["kind"].as_str() {
        Some("VirtualService") => list(&route["spec"]["http"])
            .iter()
            .map(|rule| istio(rule, namespace))
            .collect(),
        Some("HTTPRoute") => list(&route["spec"]["rules"])
            .iter()
            .map(|rule| gateway(rule, namespace))
            .collect(),
        kind => panic!("not a route: {kind:?}"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn istio(rule: &Value, namespace: &str) -> Rule {
    let mut read = Rule {
        matches: list(&rule["match"]).to_vec(),
        ..Rule::default()
    };
    let default_weight = if list(&rule["route"]).len() == 1 { 100 } else { 0 };
    for destination in list(&rule["route"]) {
        if let Some(service) = service_of_host(&destination["destination"]["host"], namespace) {
            let weight = destination["weight"].as_i64().unwrap_or(default_weight);
            read.backends.push((service, weight));
            let header = &destination["headers"]["response"]["add"]["app-version"];
            read.app_versions.push(header.as_str().unwrap_or_default().to_owned());
        }
    }
    for mirror in list(&rule["mirrors"]) {
        let percentage = &mirror["percentage"]["value"];
        let percentage = percentage
            .as_i64()
            .or_else(|| percentage.as_str()?.parse().ok())
            .unwrap_or(100);
        let service = service_of_host(&mirror["destination"]["host"], namespace);
        read.mirrors.extend(service.map(|service| (service, percentage)));
    }
    let service = service_of_host(&rule["mirror"]["host"], namespace);
    let percentage = rule["mirrorPercentage"]["value"].as_i64().unwrap_or(100);
    read.mirrors.extend(service.map(|service| (service, percentage)));
    read
}

/// `<service>`, `<service>.<namespace>`, with `.svc` or `.svc.cluster.local`.
fn service_of_host(host: &Value, namespace: &str) -> Option<String> {
    let host = host.as_str()?;
    let host = host
        .strip_suffix(".svc.cluster.local")
        .or_else(|| host.strip_suffix(".svc"))
        .unwrap_or(host);
    let (service, of) = host.split_once('.').unwrap_or((host, namespace));
    (of == namespace).then(|| service.to_owned())
}

fn gateway(rule: &Value, namespace: &str) -> Rule {
    let everything = serde_json::json!([{ "path": { "type": "PathPrefix", "value": "/" } }]);
    let mut read = Rule::default();
    if rule["matches"] != everything {
        read.matches = list(&rule["matches"]).to_vec();
    }
    let backends = list(&rule["backendRefs"]);
    for backend in backends {
        let Some(service) = service_of_reference(backend, namespace) else {
            continue;
        };
        let weight = backend["weight"].as_i64().unwrap_or(1);
        read.backends.push((service, weight));
        let filters = list(&backend["filters"]).iter().chain(list(&rule["filters"]));
        read.app_versions.extend(filters.filter_map(app_version));
    }
    for filter in list(&rule["filters"])
        .iter()
        .chain(backends.iter().flat_map(|backend| list(&backend["filters"])))
    {
        let mirror = &filter["requestMirror"];
        if let Some(service) = service_of_reference(&mirror["backendRef"], namespace) {
            read.mirrors.push((service, mirror["percent"].as_i64().unwrap_or(100)));
        }
    }
    read
}

fn app_version(filter: &Value) -> Option<String> {
    let added = list(&filter["responseHeaderModifier"]["add"]);
    let header = added.iter().find(|header| header["name"] == "app-version")?;
    header["value"].as_str().map(str::to_owned)
}

fn service_of_reference(reference: &Value, namespace: &str) -> Option<String> {
    let is = |key: &str, wanted: &str| reference[key].as_str().is_none_or(|value| value == wanted);
    let name = reference["name"].as_str()?;
    (is("group", "") && is("kind", "Service") && is("namespace", namespace)).then(|| name.to_owned())
}

/// Rules in words, with versions of the application by their place: `0:50 1:50`, `[1:100] 0:100`, `0:100 +1:50`.
pub fn words(rules: &[Rule], application: &str) -> String {
    let prefix = format!("{application}-");
    let short = |(name, weight): &(String, i64)| format!("{}:{weight}", name.strip_prefix(&prefix).unwrap_or(name));
    let rule = |rule: &Rule| {
        let copies = rule.mirrors.iter().map(|mirror| format!("+{}", short(mirror)));
        let answering = rule.backends.iter().filter(|(_, weight)| *weight > 0);
        let all: Vec<String> = answering.map(short).chain(copies).collect();
        if rule.matches.is_empty() {
            all.join(" ")
        } else {
            format!("[{}]", all.join(" "))
        }
    };
    rules.iter().map(rule).collect::<Vec<_>>().join(" ")
}
