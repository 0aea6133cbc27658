//! Forms of single strings: a pattern for the CRD and the same form as a function.

/// What a string at some fields must look like.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The fields, as in `spec.application.versions[].metadata.name`; `{}` stands for the values of a map.
    pub at: &'static [&'static str],
    /// The longest it may be, in characters.
    pub longest: usize,
    /// The form as RE2.
    pub pattern: &'static str,
    /// The same form as a function.
    pub holds: fn(&str) -> bool,
    /// What to write instead.
    pub message: &'static str,
}

impl Text {
    /// The CEL expression for it.
    pub fn cel(&self) -> String {
        format!("size(self) <= {} && self.matches('{}')", self.longest, self.pattern)
    }

    /// Whether `text` has the form.
    pub fn accepts(&self, text: &str) -> bool {
        text.chars().count() <= self.longest && (self.holds)(text)
    }
}

/// Keys of labels and annotations (`IsQualifiedName` of apimachinery).
pub const KEY: &str = "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

const DNS_1035: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const HOST: &str = "^[*]$|^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const GATEWAY: &str =
    "^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The forms of a Release's strings.
pub const RELEASE: &[Text] = &[
    Text {
        at: &["spec.application.metadata.name"],
        longest: 63,
        pattern: DNS_1035,
        holds: dns_1035,
        message: "the application's name becomes the name of a Service: write at most 63 lower case letters, digits \
                  and -, starting with a letter",
    },
    Text {
        at: &["spec.application.versions[].metadata.name"],
        longest: 49,
        pattern: DNS_1035,
        holds: dns_1035,
        message: "a version's name becomes the name of a Service, and with -weight-config added (at most 63 in all) \
                  of a ConfigMap: write at most 49 lower case letters, digits and -, starting with a letter",
    },
    Text {
        at: &["spec.gateway"],
        longest: 317,
        pattern: GATEWAY,
        holds: gateway,
        message: "gateway is the name of a Gateway, or <namespace>/<name>: write it as in my-gateway or infra/my-gateway",
    },
    Text {
        at: &["spec.application.versions[].image"],
        longest: 1024,
        pattern: "^[^ \\\\t\\\\r\\\\n]+$",
        holds: |image| !image.is_empty() && !image.contains([' ', '\t', '\r', '\n']),
        message: "an image is <repository>:<tag> without blanks: write it as in kennethreitz/httpbin:1",
    },
    Text {
        at: &[
            "spec.application.metadata.labels{}",
            "spec.application.versions[].metadata.labels{}",
            "spec.application.versions[].deploymentSpecification.metadata.labels{}",
            "spec.application.versions[].serviceSpecification.metadata.labels{}",
        ],
        longest: 63,
        pattern: "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        holds: label_value,
        message: "a label's value has at most 63 letters, digits, -, _ and ., starting and ending with a letter or a \
                  digit: change it, or use an annotation",
    },
    Text {
        at: &["spec.application.versions[].matches[].headers[].name"],
        ..HEADER
    },
];

/// The forms of a `RoutePolicy`'s strings.
pub const ROUTE_POLICY: &[Text] = &[
    Text {
        at: &["spec.versions[].name"],
        longest: 63,
        pattern: DNS_1035,
        holds: dns_1035,
        message: "a version's name has at most 63 lower case letters, digits and -, starting with a letter: rename it",
    },
    Text {
        at: &[
            "spec.versions[].backend.name",
            "spec.route.httpRoute.parentRefs[].namespace",
        ],
        longest: 63,
        pattern: DNS_LABEL,
        holds: dns_label,
        message: "this is the name of an object: write at most 63 lower case letters, digits and -",
    },
    Text {
        at: &[
            "spec.versions[].weightConfigMap",
            "spec.versions[].resources[].name",
            "spec.route.httpRoute.name",
            "spec.route.virtualService.name",
            "spec.route.httpRoute.parentRefs[].name",
        ],
        longest: 253,
        pattern: SUBDOMAIN,
        holds: subdomain,
        message: "this is the name of an object: write at most 253 lower case letters, digits, - and .",
    },
    Text {
        at: &["spec.versions[].resources[].apiVersion"],
        ..API_VERSION
    },
    Text {
        at: &["spec.versions[].resources[].kind"],
        ..KIND
    },
    Text {
        at: &["spec.route.httpRoute.hostnames[]", "spec.route.virtualService.hosts[]"],
        longest: 253,
        pattern: HOST,
        holds: host,
        message: "a host is a DNS name in lower case without port or final dot: write it as in httpbin.default or shop.example.com",
    },
    Text {
        at: &["spec.route.virtualService.gateways[]"],
        longest: 317,
        pattern: GATEWAY,
        holds: gateway,
        message: "a gateway is mesh, the name of a Gateway, or <namespace>/<name>: write it as in infra/my-gateway",
    },
    Text {
        at: &["spec.versions[].matches[].headers[].name"],
        ..HEADER
    },
];

const API_VERSION: Text = Text {
    at: &[],
    longest: 253,
    pattern: "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?v[0-9][a-z0-9]*$",
    holds: api_version,
    message: "an API version is [<group>/]<version>: write it as in v1 or apps/v1",
};

const KIND: Text = Text {
    at: &[],
    longest: 63,
    pattern: "^[A-Z][A-Za-z0-9]*$",
    holds: kind,
    message: "a kind is written as in Deployment or Service",
};

const METRIC_NAME: Text = Text {
    at: &[],
    longest: 317,
    pattern: GATEWAY,
    holds: gateway,
    message: "a metric is the name of a Metric, or <namespace>/<name>: write it as in mean-latency or iter8-system/mean-latency",
};

/// The forms of an Experiment's strings.
pub const EXPERIMENT: &[Text] = &[
    Text {
        at: &[
            "spec.criteria.requestCount",
            "spec.criteria.reward.metric",
            "spec.criteria.rewards[].metric",
            "spec.criteria.indicators[]",
            "spec.criteria.objectives[].metric",
        ],
        ..METRIC_NAME
    },
    Text {
        at: &[
            "spec.versionInfo.baseline.weightObjRef.apiVersion",
            "spec.versionInfo.candidates[].weightObjRef.apiVersion",
        ],
        ..API_VERSION
    },
    Text {
        at: &[
            "spec.versionInfo.baseline.weightObjRef.kind",
            "spec.versionInfo.candidates[].weightObjRef.kind",
        ],
        ..KIND
    },
    Text {
        at: &[
            "spec.versionInfo.baseline.weightObjRef.name",
            "spec.versionInfo.candidates[].weightObjRef.name",
        ],
        longest: 253,
        pattern: SUBDOMAIN,
        holds: subdomain,
        message: "this is the name of an object in the Experiment's namespace: write at most 253 lower case letters, digits, - and .",
    },
    Text {
        at: &["spec.versionInfo.releaseRef.name"],
        longest: 253,
        pattern: SUBDOMAIN,
        holds: subdomain,
        message: "this is the name of a Release: write at most 253 lower case letters, digits, - and .",
    },
];

/// The forms of a Metric's strings.
pub const METRIC: &[Text] = &[
    Text {
        at: &["spec.sampleSize.name", "spec.secret"],
        longest: 253,
        pattern: SUBDOMAIN,
        holds: subdomain,
        message: "this is the name of an object of the Metric's namespace: write at most 253 lower case letters, digits, - and .",
    },
    Text {
        at: &["spec.urlTemplate"],
        longest: 2048,
        pattern: "^https?://[^ \\\\t\\\\r\\\\n]+$",
        holds: |url| {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', '\t', '\r', '\n']))
        },
        message: "a URL begins with http:// or https://: write it as in http://prometheus.monitoring:9090/api/v1/query",
    },
    Text {
        at: &["spec.headerTemplates[].name"],
        ..HEADER
    },
];

const HEADER: Text = Text {
    at: &[],
    longest: 256,
    // RFC 7230 token, without the backquote and the quote, which need escapes and nobody uses.
    pattern: "^[A-Za-z0-9!#$%&*+.^_|~-]+$",
    holds: |name| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$%&*+.^_|~-".contains(c))
    },
    message: "a header's name has letters, digits and -: write it as in traffic or x-user",
};

/// RFC 1035 label, as the name of a Service; any length.
pub fn dns_1035(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && dns_label(text)
}

/// RFC 1123 label; any length.
pub fn dns_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// RFC 1123 subdomain; any length.
pub fn subdomain(text: &str) -> bool {
    text.split('.').all(dns_label)
}

fn host(text: &str) -> bool {
    text == "*" || subdomain(text.strip_prefix("*.").unwrap_or(text))
}

fn gateway(text: &str) -> bool {
    match text.split_once('/') {
        Some((namespace, name)) => dns_label(namespace) && subdomain(name),
        None => subdomain(text),
    }
}

fn word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn label_value(text: &str) -> bool {
    text.is_empty() || word(text)
}

/// What `KEY` says.
pub fn key(text: &str) -> bool {
    let (domain, name) = text
        .split_once('/')
        .map_or((None, text), |(domain, name)| (Some(domain), name));
    domain.is_none_or(group) && word(name) && name.len() <= 63
}

fn group(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.chars().all(|c| plain(c) || c == '-' || c == '.') && text.starts_with(plain) && text.ends_with(plain)
}

fn api_version(text: &str) -> bool {
    let (domain, version) = text
        .rsplit_once('/')
        .map_or((None, text), |(domain, version)| (Some(domain), version));
    let digits = version.strip_prefix('v').unwrap_or_default();
    domain.is_none_or(group)
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

fn kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}
