//! Tells the kinds' tasks when a CRD comes or goes: a kind that is missing is not polled for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::broadcast;

use super::follow::{Event, Follow};
use super::task::Pause;
use crate::cluster::resource::Resource;
use crate::cluster::view::Head;

/// How often missing kinds are looked for where CRDs may not be watched, as with a Role only.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often they are, until it is tried again whether CRDs may be watched: rarely, as each try is refused.
const LOOKS: u32 = 60;

/// A change of a CRD, by its name `<plural>.<group>`.
#[derive(Clone, Debug)]
pub(super) enum Crd {
    /// It is there, or has changed: it may be served from now on.
    Present(Arc<str>),
    /// It is gone.
    Gone(Arc<str>),
    /// CRDs cannot be watched: any may have come.
    Unknown,
}

impl Crd {
    /// Whether it may be this kind's CRD; the plural may not be known yet.
    pub(super) fn concerns(&self, group: &str, plural: Option<&str>) -> bool {
        let (Self::Present(name) | Self::Gone(name)) = self else {
            return true;
        };
        let Some((name_plural, name_group)) = name.split_once('.') else {
            return false;
        };
        name_group == group && plural.is_none_or(|plural| plural == name_plural)
    }
}

/// Watches the metadata of CRDs for good.
pub(super) async fn run(client: Client, crds: broadcast::Sender<Crd>) {
    let resource = Resource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    let mut follow = Follow::new(client, resource.requests(None), true);
    let mut known = Known::default();
    let mut pause = Pause::default();
    let mut refused = false;
    loop {
        let stepped = follow
            .step(&mut |event| {
                for change in known.take_in(event) {
                    let _ = crds.send(change); // nobody listens: no kind is open
                }
            })
            .await;
        pause.begin(Some(&follow));
        match stepped {
            Ok(()) => {
                refused = false;
                pause.after_success().await;
            }
            Err(failure) if failure.code() == Some(403) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::info!(%failure, "CRDs may not be watched: missing kinds are looked for every 10 s");
                }
                for _ in 0..LOOKS {
                    tokio::time::sleep(LOOK_EVERY).await;
                    let _ = crds.send(Crd::Unknown);
                }
            }
            Err(failure) => {
                tracing::debug!(%failure, "watch of CRDs broke off");
                pause.after_failure(&failure).await;
                let _ = crds.send(Crd::Unknown);
            }
        }
    }
}

/// The CRDs there are; tells what a list no longer has.
#[derive(Default)]
struct Known {
    names: HashSet<Arc<str>>,
    listed: Option<HashSet<Arc<str>>>,
}

impl Known {
    fn present(&mut self, head: &Head<'_>) -> Vec<Crd> {
        let name = name(head);
        let names = self.listed.as_mut().unwrap_or(&mut self.names);
        names.insert(Arc::clone(&name));
        vec![Crd::Present(name)]
    }

    fn take_in(&mut self, event: Event<'_>) -> Vec<Crd> {
        match event {
            Event::Begin => {
                self.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::Listed(head) | Event::Apply(head) => self.present(&head),
            Event::Delete(head) => {
                let name = name(&head);
                self.names.remove(&name);
                vec![Crd::Gone(name)]
            }
            Event::Unreadable => Vec::new(),
            Event::Done(_) => {
                let listed = self.listed.take().unwrap_or_default();
                let gone = self.names.difference(&listed).cloned().map(Crd::Gone).collect();
                self.names = listed;
                gone
            }
        }
    }
}

fn name(head: &Head<'_>) -> Arc<str> {
    head.place().1.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_concerns_the_kinds_of_its_group_and_plural() {
        let crd = Crd::Present("virtualservices.networking.istio.io".into());
        assert!(crd.concerns("networking.istio.io", Some("virtualservices")));
        assert!(crd.concerns("networking.istio.io", None));
        assert!(!crd.concerns("networking.istio.io", Some("gateways")));
        assert!(!crd.concerns("istio.io", None));
        assert!(Crd::Unknown.concerns("istio.io", Some("gateways")));
    }

    #[test]
    fn a_crd_that_a_later_list_lacks_is_gone() {
        let mut known = Known::default();
        let crd = |name: &str| format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
        let (a, b) = (crd("a.x"), crd("b.x"));
        let mut told = Vec::new();
        let events = [
            Event::Begin,
            Event::Listed(Head::of(&a).unwrap()),
            Event::Done(1),
            Event::Apply(Head::of(&b).unwrap()),
            Event::Begin,
            Event::Listed(Head::of(&b).unwrap()),
            Event::Done(2),
        ];
        for event in events {
            told.extend(known.take_in(event).iter().map(|crd| format!("{crd:?}")));
        }
        assert_eq!(
            told,
            [
                r#"Present("a.x")"#,
                r#"Present("b.x")"#,
                r#"Present("b.x")"#,
                r#"Gone("a.x")"#
            ]
        );
    }
}
