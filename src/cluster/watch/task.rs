//! The task of one kind: follows it, and says in the store whether it can be followed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::core::ApiResource;
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use super::crds::Crd;
use super::follow::{Event, Failure, Follow};
use super::patience::Patience;
use crate::cluster::error::cut;
use crate::cluster::resource::Resource;
use crate::cluster::store::{KindState, Seen, Store};
use crate::cluster::view::{self, Head};
use crate::model::kind::{Gvk, Kind, KindRef};

/// A CRD is served a little after it appears: how long to look for the kind then.
const BECOMES_SERVED: Duration = Duration::from_secs(30);
/// How often to look for it meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A kind whose objects were known is missing, forbidden or cannot be listed when the server said so this often in a row:
/// one that starts says so of everything for a moment.
const BELIEVED_AFTER: u32 = 4;

pub(super) struct Task {
    pub(super) client: Client,
    pub(super) store: Arc<Store>,
    pub(super) kind: KindRef,
    pub(super) session: u64,
    pub(super) namespace: Option<String>,
    pub(super) crds: broadcast::Receiver<Crd>,
    /// Until when to look for the kind though it was missing: its CRD has come.
    pub(super) look_until: Instant,
    /// Whether the kind has a status, that a controller writes: known of a kind that is none of ours.
    pub(super) reports: bool,
    /// Whether its objects were known when it was last asked for in vain.
    pub(super) known: bool,
    /// Answers in a row that were none of the kind's objects.
    pub(super) refusals: u32,
    /// Whether it was asked for in both forms since it was listed.
    pub(super) asked_otherwise: bool,
    /// How long it is waited for when it is to be listed again.
    pub(super) patience: Patience,
    /// Told when any kind has been listed.
    pub(super) listed: Arc<Notify>,
}

impl Task {
    /// Follows the kind for good.
    pub(super) async fn run(mut self) {
        let mut pause = Pause::default();
        let mut follow = None;
        loop {
            let stepped = self.follow_on(&mut follow).await;
            pause.begin(follow.as_ref());
            let failure = match stepped {
                Ok(()) => {
                    if self.store.synced(&self.kind) == KindState::Synced {
                        self.refusals = 0;
                    }
                    pause.after_success().await;
                    continue;
                }
                Err(failure) => failure,
            };
            let unlisted = self.unlisted(follow.as_ref());
            let believed = self.note(&failure);
            match failure.code() {
                Some(404) => {
                    follow = None;
                    // One API server of several may know a CRD later than the others: a kind that was there is looked
                    // for again before its objects are given up.
                    if self.known {
                        self.look_until = Instant::now() + BECOMES_SERVED;
                        if !believed {
                            tokio::time::sleep(LOOK_EVERY).await;
                            continue;
                        }
                    }
                    self.set_state(KindState::Missing);
                    if Instant::now() < self.look_until {
                        tokio::time::sleep(LOOK_EVERY).await;
                    } else {
                        self.wait_for_crd().await;
                    }
                }
                Some(403) if !believed => {
                    follow = None;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Some(403) => {
                    follow = None;
                    let rule = format!("allow list, watch on {}", self.resource_name());
                    self.set_state(KindState::Forbidden(rule.into()));
                    pause.after_failure(&failure).await;
                }
                // That is usual after a while. Of a kind that was never listed it is not, each time.
                Some(410) if self.known || self.refusals < BELIEVED_AFTER => pause.after_failure(&failure).await,
                // Storage of a new CRD is not ready at once.
                Some(429) if Instant::now() < self.look_until => {
                    tokio::time::sleep(failure.retry_after().unwrap_or(LOOK_EVERY)).await;
                }
                _ => {
                    tracing::warn!(kind = %self.kind, %failure, "watch broke off");
                    if unlisted && believed {
                        self.give_up_listing(&failure, follow.as_mut());
                    }
                    self.pause(&mut pause, &failure).await;
                }
            }
        }
    }

    /// Whether a failure says anything of the kind: a server that fails at one form of list is asked for the other first.
    fn unlisted(&mut self, follow: Option<&Follow>) -> bool {
        let other_form = follow.is_some_and(Follow::asks_otherwise);
        let before = self.asked_otherwise;
        self.asked_otherwise |= other_form;
        before || !other_form
    }

    /// Waits after a failure. A server that was not reached, and answers others, is there again.
    async fn pause(&self, pause: &mut Pause, failure: &Failure) {
        tokio::select! {
            () = pause.after_failure(failure) => {}
            () = self.listed.notified(), if matches!(failure, Failure::Unreached(_)) => {}
        }
    }

    /// Takes in that the kind was asked for in vain; whether what the server says of it is believed.
    ///
    /// When the connection is lost the kind's objects are not known until they are listed again: nothing is written from
    /// what another server, or the same one before it was restored, said.
    fn note(&mut self, failure: &Failure) -> bool {
        let state = self.store.synced(&self.kind);
        self.known = state == KindState::Synced || (self.known && state == KindState::Syncing);
        if self.known && failure.is_loss() {
            self.set_state(KindState::Syncing);
            self.patience.begin(&self.store, &self.kind, self.session);
        }
        if matches!(failure, Failure::Unreached(_)) {
            return !self.known;
        }
        self.refusals = self.refusals.saturating_add(1);
        !self.known || self.refusals >= BELIEVED_AFTER
    }

    /// What is known of the kind is not so any more, or was never: it is listed anew, also where the watch could go on.
    fn give_up_listing(&self, failure: &Failure, follow: Option<&mut Follow>) {
        let state = self.store.synced(&self.kind);
        if matches!(state, KindState::Syncing | KindState::Synced) {
            self.set_state(KindState::Unlisted(cut(&failure.to_string()).into()));
            follow.into_iter().for_each(Follow::start_over);
        }
    }

    /// One step, or until the kind's CRD goes.
    async fn follow_on(&mut self, follow: &mut Option<Follow>) -> Result<(), Failure> {
        if follow.is_none() {
            let (resource, reports) = self.resource().await?;
            self.reports = reports;
            let requests = resource.requests(self.namespace.as_deref());
            let metadata_only = self.kind == KindRef::Known(Kind::ConfigMap);
            *follow = Some(Follow::new(self.client.clone(), requests, metadata_only));
        }
        let Some(follow) = follow else { return Ok(()) };
        let (store, kind, session) = (Arc::clone(&self.store), self.kind.clone(), self.session);
        let reports = self.reports;
        let mut listed = false;
        let others = Arc::clone(&self.listed);
        let mut sink = |event: Event<'_>| {
            let done = matches!(event, Event::Done(_));
            take_in(&store, &kind, session, reports, event);
            if done {
                listed = true;
                others.notify_waiters();
            }
        };
        let stepped = tokio::select! {
            stepped = follow.step(&mut sink) => stepped,
            () = self.crd_gone() => {
                follow.start_over();
                Ok(())
            }
        };
        if listed {
            self.refusals = 0;
            self.asked_otherwise = false;
            self.patience.end();
        }
        stepped
    }

    /// Waits until the kind's CRD goes. One that comes meanwhile is noted: the kind may turn out to be missing still.
    async fn crd_gone(&mut self) {
        while !matches!(self.crd().await, Crd::Gone(_)) {}
    }

    /// Waits until the kind's CRD comes, or until it cannot be told.
    async fn wait_for_crd(&mut self) {
        while matches!(self.crd().await, Crd::Gone(_)) {}
    }

    /// The next change of a CRD that may be the kind's.
    async fn crd(&mut self) -> Crd {
        loop {
            let crd = match self.crds.recv().await {
                Ok(crd) => crd,
                Err(RecvError::Lagged(_)) => Crd::Unknown,
                Err(RecvError::Closed) => std::future::pending().await,
            };
            if !crd.concerns(group(&self.kind), plural(&self.kind)) {
                continue;
            }
            if matches!(crd, Crd::Present(_)) {
                self.look_until = Instant::now() + BECOMES_SERVED;
            }
            return crd;
        }
    }

    fn set_state(&self, state: KindState) {
        self.store.set_state(&self.kind, self.session, state);
    }

    /// Where the kind is served: of a kind that is none of ours only the server knows its plural.
    async fn resource(&self) -> Result<(Resource, bool), Failure> {
        match &self.kind {
            KindRef::Known(kind) => Ok((Resource::from(*kind), false)),
            KindRef::Other(gvk) => discover(&self.client, gvk).await,
        }
    }

    fn resource_name(&self) -> String {
        match &self.kind {
            KindRef::Known(kind) => Resource::from(*kind).name(),
            KindRef::Other(gvk) => Resource {
                group: gvk.group.clone(),
                version: gvk.version.clone(),
                // Only for a sentence: right for all but irregular plurals.
                plural: ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(&gvk.group, &gvk.version, &gvk.kind))
                    .plural,
            }
            .name(),
        }
    }
}

fn take_in(store: &Store, kind: &KindRef, session: u64, reports: bool, event: Event<'_>) {
    let put = |mut seen: Seen| {
        if reports {
            view::await_report(&mut seen.object.body);
        }
        store.put(kind, session, seen);
    };
    let known = |head: &Head<'_>| store.has(kind, session, head.place(), head.version());
    match event {
        Event::Begin => store.list_begins(kind, session),
        Event::Listed(head) | Event::Apply(head) if known(&head) => {}
        Event::Listed(head) | Event::Apply(head) => put(head.read(kind)),
        Event::Delete(head) => store.remove(kind, session, &head.read(kind)),
        Event::Unreadable => tracing::warn!(%kind, "an object without readable metadata is ignored"),
        Event::Done(version) => store.list_done(kind, session, version),
    }
}

/// Asks the server, also whether the kind has a status; a kind that it does not have, or that is not namespaced, is a
/// 404.
async fn discover(client: &Client, gvk: &Gvk) -> Result<(Resource, bool), Failure> {
    let Gvk { group, version, kind } = gvk;
    let asked = async {
        if group.is_empty() {
            client.list_core_api_resources(version).await
        } else {
            client.list_api_group_resources(&format!("{group}/{version}")).await
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await;
    let resources = answer.map_err(|_| Failure::Silence)??.resources;
    let found = resources
        .iter()
        .find(|resource| resource.kind == *kind && resource.namespaced && !resource.name.contains('/'));
    let Some(resource) = found else {
        let status = kube::core::Status::failure("the server does not have the kind", "NotFound");
        return Err(Failure::Status(status.with_code(404).boxed(), None));
    };
    let status = format!("{}/status", resource.name);
    let reports = resources.iter().any(|resource| resource.name == status);
    let (group, version, plural) = (group.clone(), version.clone(), resource.name.clone());
    Ok((Resource { group, version, plural }, reports))
}

fn group(kind: &KindRef) -> &str {
    match kind {
        KindRef::Known(kind) => kind.group(),
        KindRef::Other(gvk) => &gvk.group,
    }
}

fn plural(kind: &KindRef) -> Option<&'static str> {
    match kind {
        KindRef::Known(kind) => Some(kind.plural()),
        KindRef::Other(_) => None,
    }
}

/// How long to wait between attempts.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
    /// Whether the last attempt went well for a while: a list that fails may take long.
    went_well: bool,
}

impl Pause {
    /// Takes in how the last attempt went.
    pub(super) fn begin(&mut self, follow: Option<&Follow>) {
        let since = follow.and_then(Follow::watched_since);
        self.went_well = since.is_some_and(|since| since.elapsed() > Duration::from_secs(10));
        if self.went_well {
            self.failures = 0;
        }
    }

    /// After a watch that ended: 20 ms, more for a server that ends watches at once again and again.
    pub(super) async fn after_success(&mut self) {
        self.wait(Duration::from_millis(20)).await;
    }

    /// After an error: 500 ms, doubled with each, and as long as the server asks for. What broke off is taken up at once,
    /// the first time.
    pub(super) async fn after_failure(&mut self, failure: &Failure) {
        let begun = Instant::now();
        match failure {
            Failure::Broken(_) if self.went_well => self.after_success().await,
            _ => self.wait(Duration::from_millis(500)).await,
        }
        if let Some(asked) = failure.retry_after() {
            tokio::time::sleep_until(begun + asked).await;
        }
    }

    /// Doubles with each attempt whose watch lasted less than 10 s, to 30 s; half of it is random.
    async fn wait(&mut self, first: Duration) {
        let whole = Duration::from_secs(30).min(first * 2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(whole.mul_f64(0.5 + 0.5 * random())).await;
    }
}

/// Uniform in 0..1: every `RandomState` has keys of its own.
#[allow(clippy::cast_precision_loss)]
fn random() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_takes_long_and_fails_is_none_that_went_well() {
        let mut pause = Pause::default();
        let mut waits = Vec::new();
        for _ in 0..4 {
            tokio::time::advance(Duration::from_mins(1)).await;
            pause.begin(None);
            let begun = Instant::now();
            pause.after_failure(&Failure::Silence).await;
            waits.push(begun.elapsed());
        }
        assert!(waits[0] <= Duration::from_millis(510), "{waits:?}");
        assert!(waits[3] >= Duration::from_secs(2), "{waits:?}");
    }
}
