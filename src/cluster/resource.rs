//! Where a kind is served.

use kube::core::Request;

use crate::model::kind::Kind;

/// A kind's place in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; the core group is empty.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural, as in URLs.
    pub plural: String,
}

impl Resource {
    /// `<plural>.<group>`, as in RBAC rules and the names of CRDs; the plural alone for the core group.
    pub fn name(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Requests for the kind's objects in a namespace, or in all.
    pub fn requests(&self, namespace: Option<&str>) -> Request {
        let Self { group, version, plural } = self;
        let base = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        Request::new(match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{plural}"),
            None => format!("{base}/{plural}"),
        })
    }
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        Self {
            group: kind.group().to_owned(),
            version: kind.version().to_owned(),
            plural: kind.plural().to_owned(),
        }
    }
}
