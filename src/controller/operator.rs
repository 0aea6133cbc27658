//! The whole operator: client, store, watches, queues and workers, wired up.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use chrono::Utc;
use tokio::task::JoinHandle;

use super::experiment::{self, Experiments, WeightTarget};
use super::measuring::Laboratory;
use super::probe::Probe;
use super::queue::Queue;
use super::rejections::Rejections;
use super::wakeups::Wakeups;
use super::{Context, driver, release, route_policy};
use crate::cluster::client::Clients;
use crate::cluster::store::{OnChange, OnKindChanged};
use crate::cluster::{Calm, Events, Fields, KindState, Metrics, Store, Watches, Writer, apply::Fence};
use crate::model::kind::{Kind, KindRef};
use crate::model::reason;

/// Longest time that what was begun may take to end: the kubelet kills a Pod 30 s after SIGTERM
/// (`terminationGracePeriodSeconds`), and two requests may time out before.
const DRAIN: Duration = Duration::from_secs(22);

/// What an operator is started with.
pub struct Setup {
    /// The connections.
    pub clients: Clients,
    /// The namespace to watch; `None`: all.
    pub namespace: Option<String>,
    /// The Pod's name, for Events.
    pub instance: Option<String>,
    /// Until when it may write.
    pub fence: Fence,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Measures.
    pub laboratory: Laboratory,
    /// The kinds of objects whose weights experiments may move.
    pub weight_targets: Vec<WeightTarget>,
}

/// How long the next one waits for what only tells of what was done.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// A running operator.
pub struct Operator {
    wakeups: Arc<Wakeups>,
    workers: JoinHandle<()>,
    experiments: JoinHandle<()>,
    events: JoinHandle<()>,
    context: Arc<Context>,
}

impl Operator {
    /// Starts watching one namespace, or all, and reconciles what it sees. To be called within a tokio runtime.
    pub fn start(setup: Setup) -> Self {
        let Setup {
            clients,
            namespace,
            instance,
            fence,
            metrics,
            laboratory,
            weight_targets,
        } = setup;
        let calm = Calm::default();
        let wakeups = Arc::new(Wakeups::new(
            Queue::new(driver::WORKERS, calm.clone()),
            Queue::new(driver::WORKERS, calm.clone()),
        ));
        let store = store(&wakeups);
        let writer = Writer::new(clients.writes.clone(), Arc::clone(&store), Arc::clone(&fence));
        let fields = Fields::new(clients.writes.clone(), Arc::clone(&fence));
        let watches = Arc::new(Watches::new(clients.watches, Arc::clone(&store), namespace));
        let (events, sender) = Events::new(clients.writes, instance, calm.clone(), Arc::clone(&fence));
        for kind in Kind::ALL {
            watches.open(&KindRef::Known(kind));
        }
        let context = Arc::new(Context {
            store,
            writer,
            events,
            calm,
            wakeups: Arc::clone(&wakeups),
            watches,
            rejections: Rejections::default(),
            naming: Mutex::new(()),
            metrics: Arc::clone(&metrics),
            experiments: Experiments::new(fields, laboratory, weight_targets),
            fence,
            clock: Utc::now,
        });
        let shared = Arc::clone(&context);
        let workers = driver::run(
            wakeups.queue.clone(),
            Arc::clone(&metrics),
            move |(kind, key), priority| {
                let context = Arc::clone(&shared);
                async move {
                    match kind {
                        Kind::RoutePolicy => route_policy::reconcile(context, key, priority).await,
                        _ => release::reconcile(context, key, priority).await,
                    }
                }
            },
        );
        let workers = tokio::spawn(workers);
        let experiments = tokio::spawn(experiments(&context));
        Self {
            wakeups,
            workers,
            experiments,
            events: sender,
            context,
        }
    }

    /// What to do when this replica begins to lead: everything is looked at.
    pub fn begin(&self) -> impl Fn() + Send + use<> {
        let context = Arc::downgrade(&self.context);
        move || {
            if let Some(context) = context.upgrade() {
                context.wakeups.targets.reset();
                context.wakeups.wake_all(&context.store);
            }
        }
    }

    /// To be asked how it is.
    pub fn probe(&self) -> Probe {
        Probe::new(Arc::downgrade(&self.context))
    }

    /// Takes no more work, and ends what was begun: gives up after 22 s. Then sends what is left of the Events, for a second.
    /// Whether all that was begun has ended: else another replica is not to be let in before this process has ended.
    pub async fn stop(self) -> bool {
        self.wakeups.queue.close();
        self.wakeups.experiments.close();
        let ended = tokio::time::timeout(DRAIN, async { tokio::join!(self.workers, self.experiments) }).await;
        let ended = matches!(ended, Ok((Ok(()), Ok(()))));
        if !ended {
            tracing::warn!("the last writes may not have been answered");
        }
        drop(self.context);
        if tokio::time::timeout(LAST_EVENTS, self.events).await.is_err() {
            tracing::warn!("not all Events have been sent");
        }
        ended
    }
}

/// Carries out experiments, beside everything else: they wait for the answers of others.
fn experiments(context: &Arc<Context>) -> impl Future<Output = ()> + use<> {
    let (queue, metrics) = (context.wakeups.experiments.clone(), Arc::clone(&context.metrics));
    let shared = Arc::clone(context);
    driver::run(queue, metrics, move |(_, key), _| {
        experiment::reconcile(Arc::clone(&shared), key)
    })
}

/// A store that wakes what depends on its changes.
fn store(wakeups: &Arc<Wakeups>) -> Arc<Store> {
    let cell: Arc<OnceLock<Weak<Store>>> = Arc::default();
    let of = |cell: &Arc<OnceLock<Weak<Store>>>| cell.get().and_then(Weak::upgrade);
    let (wake, place) = (Arc::clone(wakeups), Arc::clone(&cell));
    let on_change: OnChange = Arc::new(move |change| {
        if let Some(store) = of(&place) {
            wake.on_change(&store, change);
        }
    });
    let (wake, place) = (Arc::clone(wakeups), Arc::clone(&cell));
    let on_kind: OnKindChanged = Arc::new(move |change| {
        let kind = &change.kind;
        match &change.state {
            KindState::Syncing => tracing::info!(%kind, "nothing is known until it is listed again"),
            KindState::Synced => tracing::info!(%kind, "all objects are known"),
            KindState::Missing => tracing::warn!(%kind, reason = reason::KIND_NOT_FOUND, "not installed"),
            KindState::Unlisted(why) => {
                tracing::warn!(%kind, reason = reason::NOT_LISTED, "cannot be listed yet: {why}");
            }
            KindState::Forbidden(rule) => {
                tracing::warn!(%kind, reason = reason::FORBIDDEN, "may not be watched: {rule}");
            }
        }
        if let Some(store) = of(&place) {
            wake.wake_all(&store);
        }
    });
    let store = Arc::new(Store::new(on_change, on_kind));
    // The cell was made here and is empty.
    let _ = cell.set(Arc::downgrade(&store));
    store
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::store::Seen;
    use crate::controller::index::References;
    use crate::controller::targets::Standing;
    use crate::controller::{Key, Task};
    use crate::model::observed::{Body, Meta, Object, Uid};

    /// Lists all kinds: of them there is an experiment `first`, and a policy of that name, or nothing.
    fn list(store: &Store, sessions: &[(Kind, u64)], there: bool, version: u64) {
        for (kind, session) in sessions {
            let kind_ref = KindRef::Known(*kind);
            store.list_begins(&kind_ref, *session);
            if there && matches!(kind, Kind::Experiment | Kind::RoutePolicy) {
                let meta = Meta {
                    uid: Uid(*kind as u128 + 1),
                    resource_version: 1,
                    ..Meta::default()
                };
                let seen = Seen {
                    namespace: "shop".into(),
                    name: "first".into(),
                    object: Object {
                        meta,
                        body: Body::Malformed("of no matter here".into()),
                    },
                };
                store.put(&kind_ref, *session, seen);
            }
            store.list_done(&kind_ref, *session, version);
        }
    }

    async fn drain(queue: &Queue<Task>) -> Vec<Kind> {
        let mut kinds = Vec::new();
        while !queue.is_empty() {
            let Some((task, _)) = queue.next().await else { break };
            assert_eq!(*task.1.1, *"first");
            queue.done(&task);
            kinds.push(task.0);
        }
        kinds
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_while_the_connection_was_lost_is_looked_at_when_all_is_known_again() {
        let queue = || Queue::new(driver::WORKERS, Calm::default());
        let wakeups = Arc::new(Wakeups::new(queue(), queue()));
        let store = store(&wakeups);
        let sessions = Kind::ALL.map(|kind| (kind, store.open(&KindRef::Known(kind))));
        list(&store, &sessions, true, 10);
        let key: Key = ("shop".into(), "first".into());
        let (before, _) = wakeups.targets.claim(&Standing {
            key: key.clone(),
            target: "shop/web".into(),
            created: 1,
            acquired: true,
        });
        assert_eq!(before, None);
        let references = References {
            route: Some((Kind::VirtualService, "web".into())),
            ..References::default()
        };
        wakeups.refer(&key, &references);
        assert_eq!(drain(&wakeups.experiments).await, [Kind::Experiment]);
        assert_eq!(drain(&wakeups.queue).await, [Kind::RoutePolicy]);

        for (kind, session) in &sessions {
            store.set_state(&KindRef::Known(*kind), *session, KindState::Syncing);
        }
        list(&store, &sessions, false, 20);
        assert_eq!(drain(&wakeups.experiments).await, [Kind::Experiment]);
        assert_eq!(drain(&wakeups.queue).await, [Kind::RoutePolicy]);
    }
}
