//! The query that a Metric asks for a version.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::experiment::NamedValue;
use crate::api::metric::{AuthType, Method, MetricSpec, PROMETHEUS};
use crate::api::rules::metric::{BODY, NO_EXPRESSION, NO_QUERY, NO_SECRET, NO_URL};
use crate::model::placeholders::{self, Unfilled};
use crate::model::query::{Query, Reader};

#[cfg(test)]
mod tests;

/// What a query is made from besides the Metric.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Name of the version.
    pub version: &'a str,
    /// The version's variables.
    pub variables: &'a [NamedValue],
    /// For how long the experiment has measured.
    pub elapsed_seconds: i64,
}

/// Keys and values of a Secret.
type Secret = BTreeMap<String, String>;

const AUTHORIZATION: &str = "Authorization";
const CONTENT_TYPE: &str = "Content-Type";

/// Headers that say where a request goes or where it ends: those are the client's own.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a value in a URL may hold as it is (RFC 3986, unreserved).
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The query that a Metric asks for a version.
///
/// `prometheus` is the operator's default: a base URL, as in `http://prometheus.monitoring:9090`. `secret` is for Metrics
/// with `authType`.
///
/// Errors: what is wrong with the Metric, or missing of the version, in a sentence that does not name the Metric.
pub fn query(
    metric: &MetricSpec,
    asked: &Asked<'_>,
    prometheus: Option<&str>,
    secret: Option<&Secret>,
) -> Result<Query, String> {
    let values = Values::new(asked);
    let method = metric.method.unwrap_or_default();
    if metric.body.is_some() && method != Method::Post {
        return Err(BODY.to_owned());
    }
    let body = metric
        .body
        .as_ref()
        .map(|body| filled_body(body, &values))
        .transpose()?;
    Ok(Query {
        method,
        url: with_params(&address(metric, asked, prometheus, secret)?, &metric.params, &values)?,
        headers: headers(metric, secret)?,
        body,
        reader: reader(metric)?,
    })
}

/// The values of placeholders in parameters and body.
struct Values<'a> {
    version: String,
    variables: Vec<(&'a str, String)>,
    interval: String,
    elapsed_time: String,
}

impl<'a> Values<'a> {
    fn new(asked: &'a Asked<'a>) -> Self {
        // No window of a query may be empty.
        let seconds = asked.elapsed_seconds.max(1);
        let variables = asked.variables.iter();
        Self {
            version: asked.version.to_owned(),
            variables: variables
                .map(|variable| (variable.name.as_str(), variable.value.clone()))
                .collect(),
            interval: format!("{seconds}s"),
            elapsed_time: seconds.to_string(),
        }
    }

    /// The same with values as they stand within strings of JSON.
    fn escaped(&self) -> Self {
        let escape = |text: &str| {
            let quoted = serde_json::Value::from(text).to_string();
            let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            inner.unwrap_or_default().to_owned()
        };
        let variables = self.variables.iter();
        Self {
            version: escape(&self.version),
            variables: variables.map(|(name, value)| (*name, escape(value))).collect(),
            interval: self.interval.clone(),
            elapsed_time: self.elapsed_time.clone(),
        }
    }

    /// Variables can stand for the version's name, but not for the time.
    fn get(&self, name: &str) -> Option<&str> {
        let variable = || self.variables.iter().find(|(variable, _)| *variable == name);
        match name {
            "interval" => Some(&self.interval),
            "elapsedTime" => Some(&self.elapsed_time),
            _ => variable()
                .map(|(_, value)| value.as_str())
                .or_else(|| (name == "name").then_some(self.version.as_str())),
        }
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let unknown = |name: String| {
            format!(
                "${name} is no variable of version {}: add it to the version's variables, or write $${name} for the text \
                 itself",
                self.version
            )
        };
        placeholders::fill(text, |name| self.get(name)).map_err(|unfilled| unfilled.words(unknown))
    }
}

/// Values are escaped: they are part of a string, or a number, and never more.
fn filled_body(body: &str, values: &Values<'_>) -> Result<String, String> {
    let body = values.escaped().fill(body)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(format!("body is not JSON when placeholders are filled in: {error}")),
    }
}

/// Where it is asked for, without the parameters.
fn address(
    metric: &MetricSpec,
    asked: &Asked<'_>,
    prometheus: Option<&str>,
    secret: Option<&Secret>,
) -> Result<String, String> {
    let Some(template) = &metric.url_template else {
        if metric.provider != PROMETHEUS {
            return Err(NO_URL.to_owned());
        }
        if !metric.params.iter().any(|param| param.name == "query") {
            return Err(NO_QUERY.to_owned());
        }
        return match prometheus {
            Some(base) => Ok(format!("{}/api/v1/query", base.trim_end_matches('/'))),
            None => Err(
                "there is no Prometheus to ask: give urlTemplate, or the operator its address (chart: \
                 experiments.prometheus)"
                    .to_owned(),
            ),
        };
    };
    let variables = asked.variables.iter().map(|variable| (&variable.name, &variable.value));
    // Later ones count: what a Secret holds cannot be taken from a version's variables.
    let encoded: BTreeMap<&str, String> = variables
        .chain(secret.into_iter().flatten())
        .map(|(name, value)| (name.as_str(), utf8_percent_encode(value, IN_URL).to_string()))
        .collect();
    let unknown = |name: String| {
        format!(
            "urlTemplate: ${name} is no variable of version {} and no key of the Secret: add it, or write $${name} for the \
             text itself",
            asked.version
        )
    };
    let url = placeholders::fill(template, |name| encoded.get(name).map(String::as_str));
    let url = url.map_err(|unfilled| unfilled.words(unknown))?;
    // It is not shown: a value of the Secret may be in it.
    match url.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() && uri.host().is_some() => Ok(url),
        Ok(_) => Err("urlTemplate names no host: begin it with http:// or https://".to_owned()),
        Err(error) => Err(format!(
            "urlTemplate is no URL when placeholders are filled in: {error}; spaces and the like belong into params, or are \
             written as in %20"
        )),
    }
}

fn with_params(address: &str, params: &[NamedValue], values: &Values<'_>) -> Result<String, String> {
    let address = address.split_once('#').map_or(address, |(address, _)| address);
    if params.is_empty() {
        return Ok(address.to_owned());
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for param in params {
        form.append_pair(&param.name, &values.fill(&param.value)?);
    }
    let joint = match address.split_once('?') {
        None => "?",
        Some((_, before)) if before.is_empty() || before.ends_with('&') => "",
        Some(_) => "&",
    };
    let url = format!("{address}{joint}{}", form.finish());
    // http's own limit is 64 KiB.
    if url.len() > placeholders::LONGEST {
        return Err(Unfilled::TooLong.words(|name| name));
    }
    Ok(url)
}

fn headers(metric: &MetricSpec, secret: Option<&Secret>) -> Result<Vec<(String, String)>, String> {
    let secret = secret.filter(|_| metric.auth_type.is_some());
    let mut headers = Vec::with_capacity(metric.header_templates.len() + 2);
    for template in &metric.header_templates {
        let name = &template.name;
        let value = match secret {
            Some(secret) => {
                let unknown = |key: String| {
                    format!("header {name}: the Secret has no key {key}: add it, or write $${key} for the text itself")
                };
                let value = placeholders::fill(&template.value, |key| secret.get(key).map(String::as_str));
                value.map_err(|unfilled| unfilled.words(unknown))?
            }
            None => template.value.clone(),
        };
        headers.push((name.clone(), value));
    }
    if let (Some(auth), false) = (metric.auth_type, has(&headers, AUTHORIZATION))
        && let Some(authorization) = authorization(auth, secret)?
    {
        headers.push((AUTHORIZATION.to_owned(), authorization));
    }
    if metric.body.is_some() && !has(&headers, CONTENT_TYPE) {
        headers.push((CONTENT_TYPE.to_owned(), "application/json".to_owned()));
    }
    headers.iter().try_for_each(check)?;
    Ok(headers)
}

fn has(headers: &[(String, String)], wanted: &str) -> bool {
    headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
}

/// What proves who the operator is, unless that is a header of the user's own.
fn authorization(auth: AuthType, secret: Option<&Secret>) -> Result<Option<String>, String> {
    let value = |key: &str| {
        let secret = secret.ok_or_else(|| NO_SECRET.to_owned())?;
        let missing = || format!("the Secret has no key {key}, which authType {} needs", word(auth));
        secret.get(key).ok_or_else(missing)
    };
    Ok(match auth {
        AuthType::Basic => {
            let pair = format!("{}:{}", value("username")?, value("password")?);
            Some(format!("Basic {}", STANDARD.encode(pair)))
        }
        AuthType::Bearer => Some(format!("Bearer {}", value("token")?)),
        AuthType::ApiKey => None,
    })
}

const fn word(auth: AuthType) -> &'static str {
    match auth {
        AuthType::Basic => "Basic",
        AuthType::Bearer => "Bearer",
        AuthType::ApiKey => "APIKey",
    }
}

/// Errors never hold the value: it may be secret.
fn check((name, value): &(String, String)) -> Result<(), String> {
    if name.parse::<HeaderName>().is_err() {
        return Err(format!(
            "header {name:?} is no name of a header: letters, digits and -_ make one"
        ));
    }
    if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("header {name} is the operator's own to set: remove it"));
    }
    if value.chars().any(char::is_control) {
        return Err(format!(
            "header {name} has a control character, as a line break at the end of a value in the Secret is: remove it"
        ));
    }
    Ok(())
}

fn reader(metric: &MetricSpec) -> Result<Reader, String> {
    match &metric.jq_expression {
        Some(expression) => Ok(Reader::Jq(expression.clone())),
        None if metric.provider == PROMETHEUS => Ok(Reader::Prometheus),
        None => Err(NO_EXPRESSION.to_owned()),
    }
}
