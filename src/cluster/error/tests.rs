use super::*;
use kube::core::response::{StatusCause, StatusDetails};

const SENT: Sent<'_> = Sent {
    verb: "patch",
    resource: "deployments.apps",
};

fn details(name: &str, kind: &str, cause: &str) -> StatusDetails {
    StatusDetails {
        name: name.to_owned(),
        group: String::new(),
        kind: kind.to_owned(),
        uid: String::new(),
        causes: vec![StatusCause {
            reason: cause.to_owned(),
            message: String::new(),
            field: String::new(),
        }],
        retry_after_seconds: 0,
    }
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn every_refusal_has_its_category() {
    let rbac = r#"deployments.apps "a" is forbidden: User "u" cannot patch resource "deployments" in API group "apps""#;
    let table = [
        (400, "bad", None, "InvalidSpecification"),
        (403, rbac, None, "Forbidden"),
        (
            403,
            "denied the request: a Deployment cannot run without a resource limit",
            None,
            "InvalidSpecification",
        ),
        (
            403,
            "denied the request: image from an unknown registry",
            None,
            "InvalidSpecification",
        ),
        (
            403,
            r#"deployments.apps "a" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: 1, limited: 1"#,
            None,
            "QuotaExceeded",
        ),
        (
            403,
            r#"deployments.apps "a" is forbidden: status unknown for quota: q, resources: count/deployments.apps"#,
            None,
            "Transient",
        ),
        (
            403,
            r#"deployments.apps "a" is forbidden: failed quota: q: must specify limits.cpu"#,
            None,
            "InvalidSpecification",
        ),
        (
            403,
            r#"virtualservices "a" is forbidden: create not allowed while custom resource definition is terminating"#,
            None,
            "KindNotFound",
        ),
        (
            403,
            "being terminated",
            Some(details("a", "deployments", "NamespaceTerminating")),
            "NamespaceTerminating",
        ),
        (
            404,
            "the server could not find the requested resource",
            None,
            "KindNotFound",
        ),
        (
            404,
            r#"namespaces "x" not found"#,
            Some(details("x", "namespaces", "")),
            "NamespaceTerminating",
        ),
        (
            404,
            r#"deployments "a" not found"#,
            Some(details("a", "deployments", "")),
            "Gone",
        ),
        (409, "conflict", None, "Conflict"),
        (
            422,
            "spec.selector: Invalid value: field is immutable",
            None,
            "ImmutableField",
        ),
        (
            422,
            "spec.replicas: must be greater than or equal to 0",
            None,
            "InvalidSpecification",
        ),
        (429, "too many requests", None, "Transient"),
        (
            500,
            "failed to create typed patch object (ns/a; apps/v1, Kind=Deployment): .spec.x: field not declared in schema",
            None,
            "InvalidSpecification",
        ),
        (
            500,
            "failed to create typed live object (ns/a; iter8.tools/v1alpha1, Kind=Release): .spec.x: expected list, got &{7}",
            None,
            "InvalidSpecification",
        ),
        (
            500,
            "failed to convert new object: strconv.ParseInt",
            None,
            "InvalidSpecification",
        ),
        (500, "etcdserver: leader changed", None, "Transient"),
        (503, "apiserver not ready", None, "Transient"),
        (504, "timeout", None, "Transient"),
    ];
    for (code, message, details, category) in table {
        let mut status = Status::failure(message, "").with_code(code);
        status.details = details;
        assert_eq!(classify(SENT, &status, None).category(), category, "{code} {message}");
    }
}

#[test]
fn another_uid_is_a_conflict_and_no_fault_of_the_specification() {
    let message = r#"Service "a" is invalid: metadata.uid: Invalid value: "7": field is immutable"#;
    let mut status = Status::failure(message, "Invalid").with_code(422);
    let mut cause = details("a", "Service", "FieldValueInvalid");
    for one in &mut cause.causes {
        one.field = "metadata.uid".to_owned();
    }
    status.details = Some(cause);
    assert_eq!(classify(SENT, &status, None).category(), "Conflict");
}

#[test]
fn a_forbidden_request_names_the_rule_to_add() {
    let status = Status::failure(r#"User "u" cannot patch resource "deployments""#, "Forbidden").with_code(403);
    let error = classify(SENT, &status, None);
    assert!(
        error.to_string().ends_with("allow patch on deployments.apps"),
        "{error}"
    );
}

#[test]
fn the_wait_that_the_server_asks_for_is_kept() {
    let status = Status::failure("slow down", "TooManyRequests").with_code(429);
    let wait = Some(Duration::from_secs(3));
    assert_eq!(
        classify(SENT, &status, wait),
        Error::Transient {
            retry_after: wait,
            message: "slow down".to_owned()
        }
    );
}

#[test]
fn no_server_is_waited_for_for_longer_than_a_minute() {
    let status = Status::failure("slow down", "TooManyRequests").with_code(429);
    let error = classify(SENT, &status, Some(Duration::from_secs(u64::MAX)));
    assert_eq!(error.retry_after(), Some(LONGEST_WAIT));
}

#[test]
fn a_long_sentence_is_cut_between_characters() {
    let long = "ä".repeat(2000);
    assert_eq!(cut(&long).len(), 1024);
    assert_eq!(cut(&format!("x{long}")).len(), 1023);
}
