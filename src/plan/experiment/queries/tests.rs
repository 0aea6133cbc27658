use super::*;

fn named(name: &str, value: &str) -> NamedValue {
    NamedValue {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn variables() -> Vec<NamedValue> {
    vec![named("revision", "app-v2"), named("namespace", "a b/c")]
}

fn secret() -> Secret {
    [
        ("username", "me"),
        ("password", "pass word"),
        ("token", "t0k3n"),
        ("key", "k&y"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// A metric of Prometheus that asks for this.
fn promql(query: &str) -> MetricSpec {
    MetricSpec {
        provider: PROMETHEUS.to_owned(),
        params: vec![named("query", query)],
        ..MetricSpec::default()
    }
}

/// A metric of another API.
fn other(url: &str) -> MetricSpec {
    MetricSpec {
        provider: "new-relic".to_owned(),
        url_template: Some(url.to_owned()),
        jq_expression: Some(".a".to_owned()),
        ..MetricSpec::default()
    }
}

fn made(metric: &MetricSpec, variables: &[NamedValue], secret: Option<&Secret>) -> Result<Query, String> {
    let asked = Asked {
        version: "v2",
        variables,
        elapsed_seconds: 285,
    };
    query(metric, &asked, Some("http://prometheus.monitoring:9090/"), secret)
}

fn refused(metric: &MetricSpec, secret: Option<&Secret>) -> String {
    made(metric, &variables(), secret).unwrap_err()
}

/// The decoded parameters of a URL.
fn params(url: &str) -> Vec<(String, String)> {
    let query = url.split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[test]
fn prometheus_is_asked_at_the_default_address() {
    let text = "sum(increase(requests{revision_name='$revision',name=~\"^$name|x$\"}[$interval])) / $elapsedTime";
    let query = made(&promql(text), &variables(), None).unwrap();
    let (address, _) = query.url.split_once('?').unwrap();
    assert_eq!(address, "http://prometheus.monitoring:9090/api/v1/query");
    assert_eq!(
        params(&query.url),
        [(
            "query".to_owned(),
            "sum(increase(requests{revision_name='app-v2',name=~\"^v2|x$\"}[285s])) / 285".to_owned()
        )]
    );
    assert_eq!(
        (query.method, query.headers, query.body, query.reader),
        (Method::Get, vec![], None, Reader::Prometheus)
    );
}

#[test]
fn the_url_is_form_encoded() {
    let query = made(&promql("a{b='c d'} + 1 & é"), &[], None).unwrap();
    assert!(
        query.url.ends_with("?query=a%7Bb%3D%27c+d%27%7D+%2B+1+%26+%C3%A9"),
        "{}",
        query.url
    );
}

#[test]
fn a_variable_can_stand_for_the_name_but_not_for_the_time() {
    let variables = ["name", "interval", "elapsedTime"].map(|name| named(name, "mine"));
    let query = made(&promql("$name $interval $elapsedTime"), &variables, None).unwrap();
    assert_eq!(params(&query.url)[0].1, "mine 285s 285");
}

#[test]
fn no_window_is_empty() {
    for seconds in [-5, 0, 1] {
        let asked = Asked {
            version: "v1",
            variables: &[],
            elapsed_seconds: seconds,
        };
        let query = query(&promql("x[$interval]"), &asked, Some("http://p"), None).unwrap();
        assert_eq!(params(&query.url)[0].1, "x[1s]", "{seconds}");
    }
}

#[test]
fn a_placeholder_without_a_value_is_named_and_so_is_the_version() {
    let body = MetricSpec {
        method: Some(Method::Post),
        body: Some("{\"a\": \"$foo\"}".to_owned()),
        ..other("http://h/")
    };
    for metric in [promql("x{a='$foo'}"), body, other("http://h/$foo")] {
        let error = refused(&metric, None);
        assert!(
            error.contains("$foo is no variable of version v2") && error.contains("$$foo"),
            "{error}"
        );
    }
}

#[test]
fn parameters_go_on_from_those_of_the_url() {
    let table = [
        ("http://h/q", "http://h/q?p=1"),
        ("http://h/q?", "http://h/q?p=1"),
        ("http://h/q?a=b", "http://h/q?a=b&p=1"),
        ("http://h/q?a=b&", "http://h/q?a=b&p=1"),
        ("http://h/q?a=b#part", "http://h/q?a=b&p=1"),
        ("http://h", "http://h?p=1"),
    ];
    for (url, want) in table {
        let metric = MetricSpec {
            params: vec![named("p", "1")],
            ..other(url)
        };
        assert_eq!(made(&metric, &[], None).unwrap().url, want, "{url}");
    }
    assert_eq!(made(&other("http://h/q#part"), &[], None).unwrap().url, "http://h/q");
}

#[test]
fn values_in_the_url_are_percent_encoded_and_a_secret_is_not_shadowed() {
    let url = "https://$revision.example/${namespace}?key=$key&cost=$$1";
    let variables = [variables(), vec![named("key", "shadow")]].concat();
    let query = made(&other(url), &variables, Some(&secret())).unwrap();
    assert_eq!(query.url, "https://app-v2.example/a%20b%2Fc?key=k%26y&cost=$1");
}

#[test]
fn what_is_no_url_is_refused_and_not_shown() {
    for url in ["/relative/$key", "host/$key", "http://h/a b/$key", "http:///$key", ""] {
        let error = refused(&other(url), Some(&secret()));
        assert!(
            error.starts_with("urlTemplate") && !error.contains("k%26y"),
            "{url}: {error}"
        );
    }
}

#[test]
fn a_body_is_json_and_says_so() {
    let metric = |body: &str| MetricSpec {
        method: Some(Method::Post),
        body: Some(body.to_owned()),
        ..other("http://h/")
    };
    let query = made(
        &metric("{\"last\": ${elapsedTime}, \"of\": \"$revision\"}"),
        &variables(),
        None,
    )
    .unwrap();
    assert_eq!(query.body.as_deref(), Some("{\"last\": 285, \"of\": \"app-v2\"}"));
    let sly = [named("revision", "x\", \"of\": \"all\n")];
    let query = made(&metric("{\"of\": \"$revision\"}"), &sly, None).unwrap();
    assert_eq!(
        query.body.as_deref(),
        Some("{\"of\": \"x\\\", \\\"of\\\": \\\"all\\n\"}"),
        "a value adds no field"
    );
    assert_eq!(query.method, Method::Post);
    assert_eq!(
        query.headers,
        [("Content-Type".to_owned(), "application/json".to_owned())]
    );

    let own = MetricSpec {
        header_templates: vec![named("content-type", "application/x-ndjson")],
        ..metric("1")
    };
    assert_eq!(made(&own, &[], None).unwrap().headers.len(), 1);
    assert!(refused(&metric("{\"last\": $revision}"), None).starts_with("body is not JSON"));
    let get = MetricSpec {
        method: None,
        ..metric("1")
    };
    assert_eq!(refused(&get, None), BODY);
}

#[test]
fn the_secret_proves_who_asks() {
    let metric = |auth: AuthType, headers: Vec<NamedValue>| MetricSpec {
        auth_type: Some(auth),
        header_templates: headers,
        ..other("http://h/")
    };
    let table = [
        (
            metric(AuthType::Basic, vec![]),
            ("Authorization", "Basic bWU6cGFzcyB3b3Jk"),
        ),
        (metric(AuthType::Bearer, vec![]), ("Authorization", "Bearer t0k3n")),
        (
            metric(AuthType::Bearer, vec![named("authorization", "Token ${token}")]),
            ("authorization", "Token t0k3n"),
        ),
        (
            metric(AuthType::ApiKey, vec![named("X-Key", "$key$$")]),
            ("X-Key", "k&y$"),
        ),
    ];
    for (metric, (name, value)) in table {
        let query = made(&metric, &[], Some(&secret())).unwrap();
        assert_eq!(
            query.headers,
            [(name.to_owned(), value.to_owned())],
            "{:?}",
            metric.auth_type
        );
    }
}

#[test]
fn the_secret_is_filled_in_only_for_an_auth_type() {
    let metric = MetricSpec {
        header_templates: vec![named("X-Price", "$key")],
        ..other("http://h/")
    };
    let query = made(&metric, &variables(), Some(&secret())).unwrap();
    assert_eq!(query.headers, [("X-Price".to_owned(), "$key".to_owned())]);
}

#[test]
fn what_is_missing_in_a_secret_is_named() {
    let metric = |auth: AuthType| MetricSpec {
        auth_type: Some(auth),
        ..other("http://h/")
    };
    let empty = Secret::new();
    assert!(refused(&metric(AuthType::Basic), Some(&empty)).contains("no key username, which authType Basic needs"));
    assert!(refused(&metric(AuthType::Bearer), Some(&empty)).contains("no key token"));
    assert_eq!(refused(&metric(AuthType::Bearer), None), NO_SECRET);
    let header = MetricSpec {
        header_templates: vec![named("X-Key", "$revision")],
        ..metric(AuthType::ApiKey)
    };
    assert!(refused(&header, Some(&empty)).contains("header X-Key: the Secret has no key revision"));
}

#[test]
fn headers_that_are_none_or_not_the_users_to_set_are_refused_without_their_value() {
    let table = [
        ("X-Key", "hidden\n", "control character"),
        ("X-Key", "hid\u{7f}den", "control character"),
        ("X Key", "hidden", "no name of a header"),
        ("", "hidden", "no name of a header"),
        ("hOST", "hidden", "operator's own"),
        ("Content-Length", "hidden", "operator's own"),
        ("transfer-encoding", "hidden", "operator's own"),
    ];
    for (name, value, want) in table {
        let metric = MetricSpec {
            header_templates: vec![named(name, value)],
            ..other("http://h/")
        };
        let error = refused(&metric, None);
        assert!(error.contains(want) && !error.contains("hidden"), "{name:?}: {error}");
    }
}

#[test]
fn what_a_provider_needs_is_asked_for() {
    let asked = Asked {
        version: "v1",
        variables: &[],
        elapsed_seconds: 1,
    };
    let error = query(&promql("x"), &asked, None, None).unwrap_err();
    assert!(error.starts_with("there is no Prometheus to ask"), "{error}");

    let without_query = MetricSpec {
        params: vec![named("time", "1")],
        ..promql("")
    };
    assert_eq!(refused(&without_query, None), NO_QUERY);
    let without_url = MetricSpec {
        url_template: None,
        ..other("")
    };
    assert_eq!(refused(&without_url, None), NO_URL);
    let without_expression = MetricSpec {
        jq_expression: None,
        ..other("http://h/")
    };
    assert_eq!(refused(&without_expression, None), NO_EXPRESSION);
}

#[test]
fn prometheus_elsewhere_is_read_as_prometheus_unless_an_expression_says_how() {
    let metric = MetricSpec {
        url_template: Some("http://elsewhere/api/v1/query".to_owned()),
        ..promql("up")
    };
    let query = made(&metric, &[], None).unwrap();
    assert_eq!(
        (query.url.as_str(), query.reader),
        ("http://elsewhere/api/v1/query?query=up", Reader::Prometheus)
    );
    let metric = MetricSpec {
        jq_expression: Some(".data".to_owned()),
        ..metric
    };
    assert_eq!(made(&metric, &[], None).unwrap().reader, Reader::Jq(".data".to_owned()));
}
