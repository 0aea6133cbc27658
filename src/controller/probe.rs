//! What the operator says of itself when it is asked: metrics, whether it is alive, whether it is ready.

use std::fmt::Write;
use std::hash::Hash;
use std::sync::Weak;
use std::time::Duration;

use super::queue::{Priority, Queue};
use super::{Context, driver};
use crate::cluster::{KindState, Metrics};
use crate::model::kind::{Kind, KindRef};

/// Looks at an operator without keeping it running.
#[derive(Clone)]
pub struct Probe {
    context: Weak<Context>,
}

/// An answer: whether all is well, and what there is to say.
pub type Said = (bool, String);

/// The kinds without which nothing can be done.
const NEEDED: [Kind; 5] = [
    Kind::Release,
    Kind::RoutePolicy,
    Kind::Deployment,
    Kind::Service,
    Kind::ConfigMap,
];

/// How much longer than a reconcile may take it may seem to run before something must be wrong.
const SLACK: Duration = Duration::from_secs(30);

impl Probe {
    pub(super) fn new(context: Weak<Context>) -> Self {
        Self { context }
    }

    /// All metrics, as Prometheus reads them.
    pub fn metrics(&self) -> Said {
        let Some(context) = self.context.upgrade() else {
            return stopped();
        };
        let text = context
            .metrics
            .text(&context.store, |metrics| look_at(&context, metrics));
        text.map_or_else(|error| (false, error.to_string()), |text| (true, text))
    }

    /// Whether its work goes on: a reconcile ends in time, and what waits is taken.
    pub fn alive(&self) -> Said {
        let Some(context) = self.context.upgrade() else {
            return (true, "stopping\n".to_owned());
        };
        let said = alive(&context.wakeups.queue);
        if said.0 {
            alive(&context.wakeups.experiments)
        } else {
            said
        }
    }

    /// Whether the first lists of all kinds have been answered, with a line for each. A kind of route that is not
    /// installed, or that may not be watched, is an answer: it stalls only what uses it. Without the others there is nothing
    /// that can be done: a replica of before, which can, is not to make room for this one.
    pub fn ready(&self) -> Said {
        let Some(context) = self.context.upgrade() else {
            return stopped();
        };
        let mut ready = true;
        let mut text = String::new();
        for kind in Kind::ALL {
            let state = context.store.synced(&KindRef::Known(kind));
            ready &= match state {
                KindState::Syncing | KindState::Unlisted(_) => false,
                KindState::Missing | KindState::Forbidden(_) => !NEEDED.contains(&kind),
                KindState::Synced => true,
            };
            let words = match &state {
                KindState::Syncing => "its list is not in yet".to_owned(),
                KindState::Unlisted(why) => format!("the first list failed: {why}"),
                KindState::Synced => "synced".to_owned(),
                KindState::Missing => "not installed".to_owned(),
                KindState::Forbidden(rule) => format!("forbidden: {rule}"),
            };
            let _ = writeln!(text, "{kind}: {words}"); // a String takes everything
        }
        (ready, text)
    }
}

fn alive<K: Clone + Eq + Hash>(queue: &Queue<K>) -> Said {
    let longest = driver::RECONCILE_TIMEOUT + SLACK;
    if let Some(run) = queue.longest_run().filter(|run| *run > longest) {
        return (false, format!("a reconcile has run for {} s\n", run.as_secs()));
    }
    match queue.oldest().filter(|waited| *waited > longest) {
        Some(waited) if queue.running() == 0 => {
            let waited = waited.as_secs();
            (
                false,
                format!("nothing is reconciled, and an object has waited for {waited} s\n"),
            )
        }
        _ => (true, "ok\n".to_owned()),
    }
}

fn stopped() -> Said {
    (false, "stopping\n".to_owned())
}

fn look_at(context: &Context, metrics: &Metrics) {
    let queue = &context.wakeups.queue;
    for (priority, depth) in queue.depths() {
        let label = match priority {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        };
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        metrics.queue_depth.with_label_values(&[label]).set(depth);
    }
    let oldest = queue.oldest().unwrap_or_default();
    metrics.queue_oldest.set(oldest.as_secs_f64());
    metrics.leader.set(i64::from(context.leads()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Calm;

    #[tokio::test(start_paused = true)]
    async fn an_operator_is_alive_while_what_waits_is_taken_and_what_runs_ends_in_time() {
        let queue = Queue::new(1, Calm::default());
        assert!(alive(&queue).0);
        queue.add("waits", Priority::High);
        assert!(alive(&queue).0);
        tokio::time::advance(driver::RECONCILE_TIMEOUT + SLACK * 2).await;
        assert!(!alive(&queue).0, "nobody takes it");

        assert_eq!(queue.next().await.unwrap().0, "waits");
        assert!(alive(&queue).0);
        tokio::time::advance(driver::RECONCILE_TIMEOUT).await;
        assert!(alive(&queue).0, "it may take so long");
        tokio::time::advance(SLACK * 2).await;
        assert!(!alive(&queue).0, "it does not end");
        queue.done(&"waits");
        assert!(alive(&queue).0);
    }
}
