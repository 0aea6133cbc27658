//! Single objects that experiments look at, and the fields of theirs that they move. Nothing of it is watched.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use kube::Client;
use kube::api::GetParams;
use serde_json::Value;

use super::apply::Fence;
use super::error::{Error, Sent};
use super::resource::Resource;
use super::send::send;
use crate::api::managers;
use crate::model::names;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads and patches single objects.
#[derive(Clone)]
pub struct Fields {
    client: Client,
    fence: Fence,
}

impl Fields {
    /// `fence` is asked before each send.
    pub fn new(client: Client, fence: Fence) -> Self {
        Self { client, fence }
    }

    /// An object as it is stored; `None`: there is none.
    pub async fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Value>, Error> {
        Self::check(resource, name)?;
        let requests = resource.requests(Some(namespace));
        let request = requests.get(name, &GetParams::default());
        let request = request.map_err(|error| Error::Invalid(error.to_string()))?;
        match self.send(resource, "get", request).await {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| Error::Transient {
                retry_after: None,
                message: format!("{} {name} cannot be read: {error}", resource.name()),
            }),
            Err(Error::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Carries out a JSON patch (RFC 6902).
    ///
    /// Error `Conflict`: the patch sets a resourceVersion that the object does not have any more.
    pub async fn patch(&self, resource: &Resource, namespace: &str, name: &str, patch: &Value) -> Result<(), Error> {
        Self::check(resource, name)?;
        let place = resource.requests(Some(namespace)).url_path;
        let request = http::Request::patch(format!("{place}/{name}?fieldManager={}", managers::EXPERIMENT))
            .header(CONTENT_TYPE, "application/json-patch+json")
            .body(patch.to_string().into_bytes());
        let request = request.map_err(|error| Error::Invalid(error.to_string()))?;
        self.send(resource, "patch", request).await.map(drop)
    }

    /// Names come from users, and go into a path: nothing of them may lead out of it.
    fn check(resource: &Resource, name: &str) -> Result<(), Error> {
        let version = &resource.version;
        let good = names::subdomain(name) && !version.is_empty() && version.bytes().all(|c| c.is_ascii_alphanumeric());
        if good {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{name:?} of {version:?} can be the name of no object"
        )))
    }

    async fn send(&self, resource: &Resource, verb: &str, request: http::Request<Vec<u8>>) -> Result<String, Error> {
        let limit = (self.fence)().ok_or(Error::NotLeader)?.min(REQUEST_TIMEOUT);
        let resource = resource.name();
        let sent = Sent {
            verb,
            resource: &resource,
        };
        let answer = send(&self.client, sent, request, limit).await?;
        Ok(answer.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_to_another_place() {
        let resource = |version: &str| Resource {
            group: "serving.knative.dev".to_owned(),
            version: version.to_owned(),
            plural: "services".to_owned(),
        };
        assert_eq!(Fields::check(&resource("v1"), "web.shop-1"), Ok(()));
        for (version, name) in [
            ("v1%2Fnamespaces%2Fother%2Fservices%2Fweb?x=", "web"),
            ("v1/namespaces/other/services/web?", "web"),
            ("..", "web"),
            ("", "web"),
            ("v1", "web?watch=true"),
            ("v1", "../../other/services/web"),
            ("v1", "web%2Fstatus"),
            ("v1", "Web"),
            ("v1", ""),
        ] {
            assert!(Fields::check(&resource(version), name).is_err(), "{version} {name}");
        }
    }
}
