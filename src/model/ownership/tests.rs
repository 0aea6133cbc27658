use super::*;
use serde_json::json;

const US: &str = "iter8-release";

/// A live object on which we own `fields`, and somebody else everything in `other`.
fn live(mut object: Value, fields: &Value, other: &Value) -> Value {
    object["metadata"]["name"] = "web".into();
    object["metadata"]["uid"] = "0b7cf00e-1f2a-4c3d-9e8f-00112233aabb".into();
    object["metadata"]["managedFields"] = json!([
        { "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": other },
        { "manager": US, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields },
        { "manager": US, "operation": "Apply", "subresource": "status", "fieldsV1": { "f:status": {} } },
    ]);
    object
}

fn managed(object: &Value) -> Option<Box<RawValue>> {
    let entries = object.pointer("/metadata/managedFields")?;
    Some(RawValue::from_string(entries.to_string()).unwrap())
}

/// 0: we own nothing of it.
fn digest(object: &Value) -> u64 {
    let entries = managed(object);
    let managers = Manager::all(entries.as_deref());
    let ours = managers.iter().find(|who| who.applied_as(US)).and_then(Manager::fields);
    ours.map_or(0, |fields| digest_of_live(&object.to_string(), &fields))
}

fn same(desired: &Value, object: Value, fields: &Value) -> bool {
    digest_of_desired(desired) == digest(&live(object, fields, &json!({})))
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn what_we_applied_and_nobody_changed_has_the_digest_of_the_desired_object() {
    let table = [
        (
            "fields, with the server's defaults and foreign fields beside them",
            json!({ "spec": { "replicas": 2 } }),
            json!({ "spec": { "replicas": 2, "paused": false, "strategy": { "type": "RollingUpdate" } } }),
            json!({ "f:spec": { "f:replicas": {} } }),
        ),
        (
            "labels among others' labels",
            json!({ "metadata": { "labels": { "a": "1" } } }),
            json!({ "metadata": { "labels": { "a": "1", "theirs": "2" } } }),
            json!({ "f:metadata": { "f:labels": { ".": {}, "f:a": {} } } }),
        ),
        (
            "an ownerReference, by its uid",
            json!({ "metadata": { "ownerReferences": [{ "uid": "u1", "name": "r" }] } }),
            json!({ "metadata": { "ownerReferences": [{ "uid": "u0", "name": "q" }, { "uid": "u1", "name": "r" }] } }),
            json!({ "f:metadata": { "f:ownerReferences": { r#"k:{"uid":"u1"}"#: {} } } }),
        ),
        (
            "a port without the protocol that its key has",
            json!({ "spec": { "ports": [{ "port": 80 }] } }),
            json!({ "spec": { "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 80 }] } }),
            json!({ "f:spec": { "f:ports": { r#"k:{"port":80,"protocol":"TCP"}"#: { ".": {}, "f:port": {} } } } }),
        ),
        (
            "an item of a set",
            json!({ "spec": { "set": ["b"] } }),
            json!({ "spec": { "set": ["a", "b"] } }),
            json!({ "f:spec": { "f:set": { r#"v:"b""#: {} } } }),
        ),
        (
            "an atomic list",
            json!({ "spec": { "http": [{ "route": [] }, { "name": "x" }] } }),
            json!({ "spec": { "http": [{ "route": [] }, { "name": "x" }] } }),
            json!({ "f:spec": { "f:http": {} } }),
        ),
        (
            "nulls and empties, which nobody owns",
            json!({ "spec": { "a": 1, "b": null, "c": {}, "d": [], "e": { "f": [null] } } }),
            json!({ "spec": { "a": 1 } }),
            json!({ "f:spec": { "f:a": {} } }),
        ),
        (
            "an owned empty map",
            json!({ "spec": { "a": 1, "emptyDir": {} } }),
            json!({ "spec": { "a": 1, "emptyDir": {} } }),
            json!({ "f:spec": { "f:a": {}, "f:emptyDir": {} } }),
        ),
        (
            "quantities in the server's form",
            json!({ "resources": { "limits": { "cpu": "0.5", "memory": "1024Mi" }, "requests": { "cpu": 2 } } }),
            json!({ "resources": { "limits": { "cpu": "500m", "memory": "1Gi" }, "requests": { "cpu": "2" } } }),
            json!({ "f:resources": { "f:limits": { "f:cpu": {}, "f:memory": {} }, "f:requests": { "f:cpu": {} } } }),
        ),
        (
            "integral doubles",
            json!({ "spec": { "percentage": { "value": 50.0 } } }),
            json!({ "spec": { "percentage": { "value": 50 } } }),
            json!({ "f:spec": { "f:percentage": { "f:value": {} } } }),
        ),
        (
            "whatever names the object",
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "d" }, "a": 1 }),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "d" }, "a": 1 }),
            json!({ "f:a": {} }),
        ),
    ];
    for (what, desired, object, fields) in table {
        assert!(same(&desired, object, &fields), "{what}");
    }
}

#[test]
fn what_is_not_as_we_applied_it_differs() {
    let desired = json!({ "spec": { "a": "1", "b": ["x", "y"], "limits": "0.5" } });
    let fields = json!({ "f:spec": { "f:a": {}, "f:b": {}, "f:limits": {} } });
    assert!(same(&desired, desired.clone(), &fields));
    let table = [
        (
            "a value that another manager took",
            json!({ "spec": { "a": "2", "b": ["x", "y"], "limits": "0.5" } }),
            json!({ "f:spec": { "f:b": {}, "f:limits": {} } }),
        ),
        (
            "a value that another manager put back",
            desired.clone(),
            json!({ "f:spec": { "f:b": {}, "f:limits": {} } }),
        ),
        (
            "a list in another order",
            json!({ "spec": { "a": "1", "b": ["y", "x"], "limits": "0.5" } }),
            fields.clone(),
        ),
        (
            "a field that is no longer desired",
            json!({ "spec": { "a": "1", "b": ["x", "y"], "limits": "0.5", "c": 1 } }),
            json!({ "f:spec": { "f:a": {}, "f:b": {}, "f:c": {}, "f:limits": {} } }),
        ),
        (
            "a number for a string",
            json!({ "spec": { "a": 1, "b": ["x", "y"], "limits": "0.5" } }),
            fields.clone(),
        ),
        (
            "a field that is merely named like a map of quantities",
            json!({ "spec": { "a": "1", "b": ["x", "y"], "limits": "500m" } }),
            fields.clone(),
        ),
    ];
    for (what, object, fields) in table {
        assert!(!same(&desired, object, &fields), "{what}");
    }
}

#[test]
fn an_object_that_we_never_applied_has_no_digest() {
    let object = json!({ "metadata": { "managedFields": [
        { "manager": US, "operation": "Update", "fieldsV1": { "f:spec": {} } },
        { "manager": US, "operation": "Apply", "subresource": "status", "fieldsV1": { "f:status": {} } },
    ] } });
    assert_eq!(digest(&object), 0);
    for entries in [json!([{}]), json!(null), json!("none")] {
        assert_eq!(digest(&json!({ "metadata": { "managedFields": entries } })), 0);
    }
}

#[test]
fn a_time_that_go_writes_as_null_hides_nobody() {
    let mut object = live(
        json!({ "spec": { "a": 1 } }),
        &json!({ "f:spec": { "f:a": {} } }),
        &json!({}),
    );
    let known = digest(&object);
    object["metadata"]["managedFields"][0]["time"] = Value::Null;
    assert_ne!(known, 0);
    assert_eq!(digest(&object), known);
}

#[test]
fn text_that_go_has_escaped_is_what_it_says() {
    let fields: Fields<'_> = serde_json::from_str(r#"{"f:spec":{"f:a<b":{},"f:c":{}}}"#).unwrap();
    let live = digest_of_live(r#"{"spec":{"a\u003cb":"\u0026","c":["\u003e"]}}"#, &fields);
    assert_eq!(live, digest_of_desired(&json!({ "spec": { "a<b": "&", "c": [">"] } })));
}

#[test]
fn what_is_nested_too_deep_for_a_parser_matters_only_if_we_own_it() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    let text = format!(r#"{{"spec":{{"ours":1,"theirs":{deep}}}}}"#);
    let fields = |text| serde_json::from_str::<Fields<'_>>(text).unwrap();
    let ours = digest_of_live(&text, &fields(r#"{"f:spec":{"f:ours":{}}}"#));
    assert_eq!(ours, digest_of_desired(&json!({ "spec": { "ours": 1 } })));
    assert_eq!(digest_of_live(&text, &fields(r#"{"f:spec":{"f:theirs":{}}}"#)), 0);
}

#[test]
fn an_object_with_nothing_in_it_has_a_digest() {
    assert_ne!(digest_of_desired(&json!({ "metadata": { "name": "x" } })), 0);
    assert!(same(&json!({}), json!({}), &json!({ ".": {} })));
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap();
    let other: Value = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap();
    assert_eq!(digest_of_desired(&one), digest_of_desired(&other));
}

#[test]
fn text_cannot_move_between_a_key_and_its_value() {
    assert_ne!(
        digest_of_desired(&json!({ "a": { "b": "c" } })),
        digest_of_desired(&json!({ "a": { "bc": "" } }))
    );
    assert_ne!(
        digest_of_desired(&json!({ "a": ["b", "c"] })),
        digest_of_desired(&json!({ "a": [["b", "c"]] }))
    );
}

#[test]
fn every_owner_of_a_field_is_listed() {
    let object = json!({ "metadata": { "managedFields": [
        { "manager": US, "operation": "Apply", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        { "manager": "hpa", "operation": "Update", "subresource": "scale", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        { "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:spec": { "f:paused": {} } } },
        { "manager": "old", "operation": "Apply", "fieldsV1": { "f:spec": {} } },
    ] } });
    let entries = managed(&object);
    let managers = Manager::all(entries.as_deref());
    let owners = |path: &[&str]| -> Vec<_> {
        let owners = managers.iter().filter(|who| who.fields().unwrap().contains(path));
        owners
            .map(|who| (&*who.name, who.applied(), &*who.subresource))
            .collect()
    };
    let replicas = owners(&["spec", "replicas"]);
    assert_eq!(replicas, [(US, true, ""), ("hpa", false, "scale"), ("old", true, "")]);
    assert_eq!(owners(&["spec", "paused"]), [("kubectl", false, ""), ("old", true, "")]);
    assert_eq!(owners(&["spec"]).len(), 4);
    assert_eq!(owners(&["status"]), []);
}

#[test]
fn a_status_that_says_the_same_at_another_time_is_the_same() {
    let status = |time: &str, reason: &str| {
        let condition = json!({ "type": "Ready", "reason": reason, "lastTransitionTime": time });
        json!({ "conditions": [condition], "versions": [{ "since": time }], "route": { "acceptedSince": time } })
    };
    let first = digest_of_status(&status("2026-01-01T00:00:00Z", "Ready"));
    assert_eq!(first, digest_of_status(&status("2026-01-01T00:00:01Z", "Ready")));
    assert_ne!(first, digest_of_status(&status("2026-01-01T00:00:00Z", "Pending")));
}
