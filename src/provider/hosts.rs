//! Who may be asked.

use std::net::Ipv6Addr;

use anyhow::{anyhow, bail};
use http::Uri;
use http::uri::Authority;

use super::Settings;

/// Where Prometheus answers instant queries.
const QUERY: &str = "/api/v1/query";

/// The hosts that may be asked.
pub struct Hosts(Vec<Allowed>);

/// A host in lower case, IPv6 addresses in brackets; at any port if none is given.
#[derive(Debug, PartialEq, Eq)]
struct Allowed {
    host: String,
    port: Option<u16>,
    /// The only path, if there is one: Prometheus can be told to do more than to answer.
    path: Option<String>,
}

impl Hosts {
    /// Those of the settings.
    ///
    /// Errors: a setting that is no URL, or no host.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut hosts = Vec::with_capacity(settings.allowed_hosts.len() + 1);
        if let Some(base) = &settings.prometheus {
            let wrong = |reason: String| {
                anyhow!("{base:?} is no address of Prometheus as in http://prometheus.monitoring:9090: {reason}")
            };
            let (host, port) = target(base).map_err(wrong)?;
            if base.contains(['?', '#']) {
                return Err(wrong("remove what begins with ? or #".to_owned()));
            }
            let path = base.parse::<Uri>()?.path().trim_end_matches('/').to_owned() + QUERY;
            hosts.push(Allowed {
                host,
                port: Some(port),
                path: Some(path),
            });
        }
        for entry in &settings.allowed_hosts {
            hosts.push(allowed(entry)?);
        }
        Ok(Self(hosts))
    }

    /// The host and port of a URL that may be asked.
    ///
    /// Errors: it may not, and why, in a sentence.
    pub fn check(&self, url: &str) -> Result<String, String> {
        let (host, port) = target(url)?;
        let is_it = |allowed: &&Allowed| allowed.host == host && allowed.port.is_none_or(|allowed| allowed == port);
        let path = url.parse::<Uri>().map_err(|error| format!("it is no URL: {error}"))?;
        let is_path = |allowed: &Allowed| allowed.path.as_ref().is_none_or(|allowed| *allowed == path.path());
        let known: Vec<&Allowed> = self.0.iter().filter(is_it).collect();
        if known.iter().any(|allowed| is_path(allowed)) {
            return Ok(format!("{host}:{port}"));
        }
        if let Some(path) = known.iter().find_map(|allowed| allowed.path.as_ref()) {
            return Err(format!(
                "of the operator's Prometheus {path} alone may be asked: whoever runs the operator can add {host}:{port} to its \
                 chart's experiments.allowedHosts"
            ));
        }
        Err(format!(
            "host {host}:{port} is not among the hosts that this operator may ask ({}): whoever runs the operator can add it to \
             its chart's experiments.allowedHosts",
            self.list()
        ))
    }

    fn list(&self) -> String {
        if self.0.is_empty() {
            return "none".to_owned();
        }
        let entry = |allowed: &Allowed| match allowed.port {
            Some(port) => format!("{}:{port}", allowed.host),
            None => allowed.host.clone(),
        };
        self.0.iter().map(entry).collect::<Vec<_>>().join(", ")
    }
}

/// Whom a URL asks: the host in lower case, and the port.
fn target(url: &str) -> Result<(String, u16), String> {
    let uri = url.parse::<Uri>().map_err(|error| format!("it is no URL: {error}"))?;
    let default = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err("the URL does not begin with http:// or https://".to_owned()),
    };
    let authority = uri.authority().ok_or("the URL names no host")?;
    if authority.as_str().contains('@') {
        return Err("a URL must not hold a user or a password: use authType Basic".to_owned());
    }
    let (host, port) = split(authority).ok_or("the URL names no host, or a port that is none")?;
    Ok((host, port.unwrap_or(default)))
}

/// An entry of the allowed hosts.
fn allowed(entry: &str) -> anyhow::Result<Allowed> {
    let written = match entry.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{entry}]"),
        Err(_) => entry.to_owned(),
    };
    let known = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let authority = written.parse().ok().filter(|_| written.chars().all(known));
    match authority.as_ref().and_then(split) {
        Some((host, port)) => Ok(Allowed { host, port, path: None }),
        None => bail!("{entry:?} is no host that can be allowed: write host, or host:port, as in api.example.com:443"),
    }
}

/// Host in lower case and port; `None` if the host is empty or the port no number that a port can have.
fn split(authority: &Authority) -> Option<(String, Option<u16>)> {
    let (host, port) = (authority.host(), authority.port_u16());
    let whole = port.is_some() || authority.as_str() == host;
    (whole && !host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(prometheus: Option<&str>, allowed: &[&str]) -> anyhow::Result<Hosts> {
        Hosts::new(&Settings {
            prometheus: prometheus.map(str::to_owned),
            allowed_hosts: allowed.iter().map(|&entry| entry.to_owned()).collect(),
        })
    }

    #[test]
    fn a_host_is_allowed_at_any_port_or_at_one() {
        let hosts = hosts(
            Some("http://Prometheus.monitoring:9090/base"),
            &["any.example", "ONE.example:8443", "[::1]:9090", "fe80::1", "10.0.0.1"],
        )
        .unwrap();
        let table = [
            (
                "http://prometheus.monitoring:9090/base/api/v1/query?query=up",
                Some("prometheus.monitoring:9090"),
            ),
            ("https://prometheus.monitoring:9090", None),
            (
                "http://prometheus.monitoring:9090/base/api/v1/query",
                Some("prometheus.monitoring:9090"),
            ),
            ("http://prometheus.monitoring:9090/base/../-/quit", None),
            ("http://prometheus.monitoring:9090/base/-/quit", None),
            ("http://prometheus.monitoring/", None),
            ("http://prometheus.monitoring:9091/", None),
            ("http://any.example", Some("any.example:80")),
            ("https://any.example", Some("any.example:443")),
            ("https://ANY.example:1/", Some("any.example:1")),
            ("https://one.example:8443/", Some("one.example:8443")),
            ("https://one.example/", None),
            ("http://[::1]:9090/", Some("[::1]:9090")),
            ("http://[::1]/", None),
            ("http://[fe80::1]:7/", Some("[fe80::1]:7")),
            ("http://10.0.0.1/", Some("10.0.0.1:80")),
            ("http://10.0.0.10/", None),
            ("http://sub.any.example/", None),
            ("http://any.example.evil/", None),
            ("http://notany.example/", None),
            ("http://any.example./", None),
            ("http://any.example:99999/", None),
        ];
        for (url, want) in table {
            assert_eq!(hosts.check(url).ok().as_deref(), want, "{url}");
        }
    }

    #[test]
    fn a_refusal_says_who_may_be_asked_and_how_that_changes() {
        let one = hosts(Some("http://prometheus"), &["any.example"]).unwrap();
        let refusal = one.check("http://other.example/").unwrap_err();
        assert!(
            refusal.starts_with(
                "host other.example:80 is not among the hosts that this operator may ask (prometheus:80, any.example):"
            ),
            "{refusal}"
        );
        assert!(refusal.contains("experiments.allowedHosts"), "{refusal}");
        let none = hosts(None, &[]).unwrap();
        assert!(none.check("http://other.example/").unwrap_err().contains("(none)"));
    }

    #[test]
    fn what_hides_its_host_is_refused() {
        let hosts = hosts(None, &["any.example"]).unwrap();
        for url in [
            "http://any.example@other.example/",
            "http://any.example:80@other.example/",
            "http://user:password@any.example/",
            "http://any.example\\@other.example/",
            "ftp://any.example/",
            "file:///any.example",
            "unix://any.example/",
            "//any.example/",
            "any.example",
            "http://",
            "",
        ] {
            assert!(hosts.check(url).is_err(), "{url}");
        }
        assert!(hosts.check("http://other.example/@any.example").is_err());
        assert!(hosts.check("http://other.example?any.example").is_err());
    }

    #[test]
    fn settings_that_are_no_hosts_are_refused() {
        for entry in [
            "", ":80", "a:b", "a:99999", "http://a", "a/b", "a b", "*", "a@b", "[::1", "a:",
        ] {
            assert!(hosts(None, &[entry]).is_err(), "{entry:?}");
        }
        for base in [
            "",
            "prometheus:9090",
            "ftp://prometheus",
            "http://",
            "http://a/?b",
            "http://a/#b",
            "http://u@a/",
        ] {
            assert!(hosts(Some(base), &[]).is_err(), "{base:?}");
        }
    }
}
