use super::*;
use crate::api::status::Tristate;
use crate::model::observed::{ParentReport, ReplicasOwner, StoredBackend, StoredRule};
use serde_json::json;

const UID: &str = "0b7cf00e-1f2a-4c3d-9e8f-00112233aabb";

fn seen(kind: &KindRef, mut object: Value) -> Seen {
    object["metadata"]["name"] = "web".into();
    object["metadata"]["namespace"] = "shop".into();
    object["metadata"]["uid"] = UID.into();
    object["metadata"]["resourceVersion"] = "42".into();
    read(kind, &object.to_string()).unwrap()
}

fn known(kind: Kind, object: Value) -> Object<Body> {
    seen(&KindRef::Known(kind), object).object
}

fn backend(service: &str, port: i32, weight: i32) -> StoredBackend {
    StoredBackend {
        service: service.into(),
        port,
        weight,
    }
}

fn rules(kind: Kind, object: Value) -> Box<[StoredRule]> {
    match known(kind, object).body {
        Body::Route(route) => route.rules,
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_is_kept_with_the_controller_only() {
    let owner = "11111111-1f2a-4c3d-9e8f-00112233aabb";
    let object = json!({ "metadata": {
        "generation": 3,
        "creationTimestamp": "1970-01-01T00:01:00Z",
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": [{ "uid": UID }, { "uid": owner, "controller": true }],
        "labels": { "iter8.tools/release": "web" },
    } });
    let seen = seen(&KindRef::Known(Kind::Service), object);
    assert_eq!((&*seen.namespace, &*seen.name), ("shop", "web"));
    let want = Meta {
        uid: Uid::parse(UID).unwrap(),
        resource_version: 42,
        generation: 3,
        created: 60,
        deleting: true,
        controller: Uid::parse(owner),
        adoptable_by: None,
        digest: 0,
    };
    assert_eq!(seen.object.meta, want);
}

#[test]
fn an_object_without_controller_that_we_applied_can_be_adopted() {
    let entry = json!({ "manager": "iter8-release", "operation": "Apply", "fieldsV1": { "f:spec": {} } });
    let labels = json!({ "iter8.tools/release": "web" });
    let ours = json!({ "metadata": { "labels": labels, "managedFields": [entry] } });
    assert_eq!(known(Kind::Service, ours).meta.adoptable_by.as_deref(), Some("web"));
    let theirs = json!({ "metadata": { "labels": labels } });
    assert_eq!(known(Kind::Service, theirs).meta.adoptable_by, None);
}

#[test]
fn a_deployment_is_read() {
    let object = json!({
        "metadata": { "annotations": { "iter8.tools/template": "abc" } },
        "spec": { "replicas": 3, "template": {
            "metadata": { "creationTimestamp": null },
            "spec": { "containers": [{ "name": "a", "image": "one" }, { "name": "b", "image": "two" }] },
        } },
        "status": { "observedGeneration": 2, "replicas": 4, "updatedReplicas": 2, "availableReplicas": 1, "conditions": [
            { "type": "Available", "status": "False" },
            { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" },
        ] },
    });
    let Body::Deployment(read) = known(Kind::Deployment, object).body else {
        panic!()
    };
    assert_eq!((read.replicas, read.observed_generation), (3, 2));
    assert_eq!((read.total, read.updated, read.available), (4, 2, 1));
    assert_eq!((read.available_condition, read.deadline_exceeded), (Some(false), true));
    assert_eq!(
        (&*read.template, &*read.images),
        ("abc", &["one".into(), "two".into()][..])
    );
}

#[test]
fn a_number_of_replicas_that_nobody_set_was_set_by_scale() {
    // What `kubectl scale` leaves of an object whose replicas nobody applied: no entry in managedFields (1.36).
    for (replicas, owner) in [
        (0, ReplicasOwner::Scale),
        (1, ReplicasOwner::Nobody),
        (2, ReplicasOwner::Scale),
    ] {
        let object = json!({ "spec": { "replicas": replicas } });
        let Body::Deployment(read) = known(Kind::Deployment, object).body else {
            panic!()
        };
        assert_eq!(read.replicas_owner, owner, "{replicas}");
    }
}

#[test]
fn of_several_owners_of_replicas_scale_comes_before_others_before_ours() {
    let entry = |manager: &str, operation: &str, subresource: &str| {
        let fields = json!({ "f:spec": { "f:replicas": {} } });
        json!({ "manager": manager, "operation": operation, "subresource": subresource, "fieldsV1": fields })
    };
    let promotion = entry("iter8-release-scale", "Apply", "");
    let release = entry("iter8-release", "Apply", "");
    let other = entry("kubectl", "Update", "");
    let scale = entry("hpa", "Update", "scale");
    let table = [
        (vec![], ReplicasOwner::Nobody),
        (vec![&promotion], ReplicasOwner::Promotion),
        (vec![&promotion, &release], ReplicasOwner::Release),
        (vec![&other, &release], ReplicasOwner::Other),
        (vec![&scale, &other, &promotion], ReplicasOwner::Scale),
    ];
    for (entries, owner) in table {
        let object = json!({ "metadata": { "managedFields": entries } });
        let Body::Deployment(read) = known(Kind::Deployment, object).body else {
            panic!()
        };
        assert_eq!(read.replicas_owner, owner, "{entries:?}");
    }
}

#[test]
fn a_config_map_is_its_weights() {
    let fields = json!({ "f:metadata": { "f:annotations": { "f:iter8.tools/weight": {} } } });
    let object = json!({ "metadata": {
        "annotations": { "iter8.tools/weight": "30", "iter8.tools/spec-weight": "50" },
        "managedFields": [{ "manager": "iter8-release", "operation": "Apply", "fieldsV1": fields }],
    } });
    let want = WeightConfig {
        weight: Some("30".into()),
        spec_weight: Some("50".into()),
        weight_ours: true,
    };
    assert_eq!(known(Kind::ConfigMap, object).body, Body::ConfigMap(want));
}

#[test]
fn the_rules_of_a_virtual_service_are_read() {
    let to = |host: &str| json!({ "host": host, "port": { "number": 80 } });
    let object = json!({ "spec": { "http": [
        { "match": [{ "headers": {} }], "route": [{ "destination": to("web-1.shop.svc.cluster.local") }] },
        { "route": [{ "destination": to("web-0"), "weight": 30 }, { "destination": { "host": "web-1" }, "weight": 70 }],
          "mirror": to("web-2.shop"), "mirrorPercentage": { "value": 12.6 },
          "mirrors": [{ "destination": to("web-3") }, { "destination": to("web-4"), "percentage": { "value": 50 } }] },
        { "redirect": {} },
    ] } });
    let want = [
        StoredRule {
            matched: true,
            backends: [backend("web-1", 80, 100)].into(),
            mirrors: [].into(),
        },
        StoredRule {
            matched: false,
            backends: [backend("web-0", 80, 30), backend("web-1", 0, 70)].into(),
            mirrors: [
                backend("web-3", 80, 100),
                backend("web-4", 80, 50),
                backend("web-2", 80, 13),
            ]
            .into(),
        },
        StoredRule::default(),
    ];
    assert_eq!(*rules(Kind::VirtualService, object), want);
}

#[test]
fn the_rules_of_an_http_route_are_read() {
    let mirror = |percent: Value| json!({ "type": "RequestMirror", "requestMirror": percent });
    let object = json!({ "spec": { "rules": [{
        "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
        "filters": [
            { "type": "ResponseHeaderModifier", "responseHeaderModifier": {} },
            mirror(json!({ "backendRef": { "name": "web-2", "port": 80 } })),
            mirror(json!({ "backendRef": { "name": "web-3" }, "percent": 20 })),
            mirror(json!({ "backendRef": { "name": "web-4" }, "fraction": { "numerator": 1, "denominator": 4 } })),
        ],
        "backendRefs": [{ "name": "web-0", "port": 80, "weight": 30 }, { "name": "web-1", "port": 80 }],
    }] } });
    let want = StoredRule {
        matched: false,
        backends: [backend("web-0", 80, 30), backend("web-1", 80, 1)].into(),
        mirrors: [
            backend("web-2", 80, 100),
            backend("web-3", 0, 20),
            backend("web-4", 0, 25),
        ]
        .into(),
    };
    assert_eq!(*rules(Kind::HttpRoute, object), [want]);
}

#[test]
fn the_catch_all_of_an_http_route_takes_every_path() {
    let root = json!({ "type": "PathPrefix", "value": "/" });
    let table = [
        (json!([]), false),
        (json!([{ "path": root }]), false),
        (json!([{ "path": { "value": "/foo" } }, { "path": root }]), false),
        (json!([{ "path": { "type": "Exact", "value": "/" } }]), true),
        (
            json!([{ "path": root, "headers": [{ "name": "a", "value": "b" }] }]),
            true,
        ),
        (
            json!([{ "path": root, "queryParams": [{ "name": "a", "value": "b" }] }]),
            true,
        ),
        (json!([{ "path": root, "method": "GET" }]), true),
    ];
    for (matches, matched) in table {
        let object = json!({ "spec": { "rules": [{ "matches": matches }] } });
        assert_eq!(rules(Kind::HttpRoute, object)[0].matched, matched, "{matches}");
    }
}

#[test]
fn a_canary_that_takes_every_path_is_no_catch_all() {
    let all = json!({ "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }] });
    let object = json!({ "spec": { "rules": [all, all] } });
    let matched: Vec<bool> = rules(Kind::HttpRoute, object).iter().map(|rule| rule.matched).collect();
    assert_eq!(matched, [true, false]);
}

#[test]
fn a_parent_of_an_http_route_accepts_it_when_both_conditions_are_true() {
    let accepted = |generation| json!({ "type": "Accepted", "status": "True", "observedGeneration": generation });
    let resolved = |status: &str| json!({ "type": "ResolvedRefs", "status": status, "observedGeneration": 5, "reason": "BackendNotFound", "message": "web-1" });
    let table = [
        (vec![accepted(4), resolved("True")], 4, true, ""),
        (vec![accepted(5), resolved("False")], 5, false, "BackendNotFound"),
        (vec![accepted(5)], 0, false, ""),
        (vec![], 0, false, ""),
    ];
    for (conditions, generation, accepted, reason) in table {
        let parent = json!({ "parentRef": { "name": "gateway", "sectionName": "https" }, "conditions": conditions });
        let object = json!({ "status": { "parents": [parent] } });
        let Body::Route(route) = known(Kind::HttpRoute, object).body else {
            panic!()
        };
        let want = ParentReport {
            parent: "Gateway/shop/gateway/https".into(),
            observed_generation: generation,
            accepted,
            reason: reason.into(),
            message: if reason.is_empty() { "".into() } else { "web-1".into() },
        };
        assert_eq!(*route.parents, [want], "{conditions:?}");
    }
}

#[test]
fn other_kinds_are_read_by_replicas_or_by_condition_ready() {
    let set = KindRef::new("apps/v1", "StatefulSet");
    let object = json!({ "spec": { "replicas": 2 }, "status": { "observedGeneration": 7, "readyReplicas": 1 } });
    let Body::Workload(read) = seen(&set, object).object.body else {
        panic!()
    };
    assert_eq!((read.replicas, read.observed_generation, read.ready), (Some(2), 7, 1));

    let service = KindRef::new("serving.knative.dev/v1", "Service");
    let conditions = json!([{ "type": "Ready", "status": "False", "observedGeneration": 3 }]);
    let object = json!({ "status": { "observedGeneration": 7, "conditions": conditions } });
    let Body::Other(read) = seen(&service, object).object.body else {
        panic!()
    };
    assert_eq!((read.ready, read.observed_generation), (Some(Tristate::False), Some(3)));

    let odd = json!({ "spec": "text", "status": { "conditions": { "Ready": true } } });
    let Body::Other(read) = seen(&service, odd).object.body else {
        panic!()
    };
    assert_eq!(
        (read.ready, read.observed_generation, read.replicas),
        (None, None, None)
    );
}

#[test]
fn an_object_whose_status_is_still_to_come_is_not_ready_for_sure() {
    let service = KindRef::new("serving.knative.dev/v1", "Service");
    let table = [
        (json!({}), Some(Tristate::Unknown)),
        (json!({ "status": {} }), Some(Tristate::Unknown)),
        (json!({ "status": { "observedGeneration": 1 } }), None),
        (
            json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }),
            Some(Tristate::True),
        ),
    ];
    for (object, want) in table {
        let mut body = seen(&service, object).object.body;
        await_report(&mut body);
        let Body::Other(read) = body else { panic!("{body:?}") };
        assert_eq!(read.ready, want);
    }
}

#[test]
fn a_body_of_an_unexpected_form_keeps_its_metadata() {
    let read = known(Kind::VirtualService, json!({ "spec": { "http": "none" } }));
    assert_eq!(read.meta.resource_version, 42);
    assert!(matches!(read.body, Body::Malformed(_)), "{read:?}");
}

#[test]
fn nesting_too_deep_for_a_parser_hides_nothing_else() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    let metadata = format!(r#"{{"name":"web","uid":"{UID}","resourceVersion":"42"}}"#);
    let text = format!(r#"{{"metadata":{metadata},"spec":{{"replicas":3,"template":{deep}}}}}"#);
    let read = read(&KindRef::Known(Kind::Deployment), &text).unwrap();
    assert_eq!(read.object.meta.resource_version, 42);
    let Body::Deployment(read) = read.object.body else {
        panic!("{:?}", read.object.body)
    };
    assert_eq!(read.replicas, 3);
}

#[test]
fn a_release_that_is_nested_too_deep_keeps_its_status() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    let status = r#"{"observedGeneration":7}"#;
    let text = format!(r#"{{"metadata":{{"name":"web","uid":"{UID}"}},"spec":{deep},"status":{status}}}"#);
    let read = read(&KindRef::Known(Kind::Release), &text).unwrap();
    let Body::Release(raw) = read.object.body else {
        panic!("{:?}", read.object.body)
    };
    assert!(raw.spec::<crate::api::ReleaseSpec>().is_err());
    assert_eq!(
        raw.status::<crate::api::ReleaseStatus>().unwrap().observed_generation,
        7
    );
}

#[test]
fn what_has_no_metadata_is_no_object() {
    assert_eq!(read(&KindRef::Known(Kind::Release), r#"{"spec":{}}"#), None);
    assert_eq!(read(&KindRef::Known(Kind::Release), "nonsense"), None);
}
