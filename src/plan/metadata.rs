//! `metadata` of the objects that are written, and the objects round it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};

use crate::model::kind::Kind;
use crate::model::observed::Uid;

/// Prefix of the labels and annotations that only the operator sets.
const OWN_PREFIX: &str = "iter8.tools/";

/// Whose object it is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// A kind of ours.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.namespace`: also of what it owns.
    pub namespace: &'a str,
    /// `metadata.uid`; nil while the owner is not in a cluster (`iter8 render`): then nothing refers to it.
    pub uid: Uid,
}

/// Metadata of an object called `name` that belongs to `owner`.
///
/// Of `labels` and `annotations`, both users', those under `iter8.tools/` are left out; `own_labels` and
/// `own_annotations` are the operator's.
pub fn metadata<'a>(
    owner: Owner<'_>,
    name: &str,
    users: Users<'a>,
    own_labels: &[(&'a str, &'a str)],
    own_annotations: &[(&'a str, &'a str)],
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(owner.namespace.to_owned()),
        labels: joined(users.labels, own_labels),
        annotations: joined(users.annotations, own_annotations),
        owner_references: owner_references(owner),
        ..ObjectMeta::default()
    }
}

/// Labels and annotations that users gave, the later over the earlier.
#[derive(Clone, Debug, Default)]
pub struct Users<'a> {
    /// Labels.
    pub labels: Vec<&'a BTreeMap<String, String>>,
    /// Annotations.
    pub annotations: Vec<&'a BTreeMap<String, String>>,
}

/// `None` when there are none: an empty map would be nobody's.
fn joined(users: Vec<&BTreeMap<String, String>>, own: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    let users = users
        .into_iter()
        .flatten()
        .filter(|(key, _)| !key.starts_with(OWN_PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()));
    let own = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let all: BTreeMap<_, _> = users.chain(own).collect();
    (!all.is_empty()).then_some(all)
}

fn owner_references(owner: Owner<'_>) -> Option<Vec<OwnerReference>> {
    (owner.uid != Uid::default()).then(|| {
        vec![OwnerReference {
            api_version: owner.kind.api_version().to_owned(),
            kind: owner.kind.kind().to_owned(),
            name: owner.name.to_owned(),
            uid: owner.uid.to_string(),
            controller: Some(true),
            // Blocking needs the right to update finalizers where owner references are enforced, and gains nothing here.
            block_owner_deletion: None,
        }]
    })
}

/// A whole object; one without `spec` (a `ConfigMap`) when that is `None`.
pub fn object(kind: Kind, metadata: &ObjectMeta, spec: Option<Value>) -> Value {
    let mut object = json!({ "apiVersion": kind.api_version(), "kind": kind.kind(), "metadata": metadata });
    if let (Some(spec), Some(fields)) = (spec, object.as_object_mut()) {
        fields.insert("spec".to_owned(), spec);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner {
        kind: Kind::Release,
        name: "shop",
        namespace: "default",
        uid: Uid(1),
    };

    #[test]
    fn users_cannot_set_the_operators_own_keys() {
        let labels = BTreeMap::from([("iter8.tools/watch", "false"), ("a", "1")].map(|(k, v)| (k.into(), v.into())));
        let users = Users {
            labels: vec![&labels],
            annotations: vec![],
        };
        let metadata = metadata(OWNER, "x", users, &[("iter8.tools/watch", "true")], &[]);
        let want = [("a", "1"), ("iter8.tools/watch", "true")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(metadata.labels, Some(BTreeMap::from(want)));
        assert_eq!(metadata.annotations, None);
    }

    #[test]
    fn an_owner_that_is_in_no_cluster_is_not_referred_to() {
        let rendered = Owner {
            uid: Uid::default(),
            ..OWNER
        };
        assert_eq!(
            metadata(rendered, "x", Users::default(), &[], &[]).owner_references,
            None
        );
    }
}
