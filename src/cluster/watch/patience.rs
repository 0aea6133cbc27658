//! How long a kind is waited for whose objects are to be listed again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cluster::store::{KindState, Store};
use crate::model::kind::KindRef;

/// How long others may be listed while a kind is not listed again after the connection was lost.
const LISTED_WITHIN: Duration = Duration::from_secs(10);
/// How often to look whether others are listed: a server that is away is nothing that a kind could be blamed for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Minds how long one kind is waited for. Ends when it is dropped.
#[derive(Default)]
pub(super) struct Patience(JoinSet<()>);

impl Patience {
    /// The kind's objects are not known any more. Nothing happens when it is waited for already.
    pub(super) fn begin(&mut self, store: &Arc<Store>, kind: &KindRef, session: u64) {
        while self.0.try_join_next().is_some() {}
        if self.0.is_empty() {
            self.0.spawn(wait(Arc::clone(store), kind.clone(), session));
        }
    }

    /// They are known.
    pub(super) fn end(&mut self) {
        self.0 = JoinSet::new();
    }
}

async fn wait(store: Arc<Store>, kind: KindRef, session: u64) {
    let mut waited = Duration::ZERO;
    while waited < LISTED_WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
        if store.synced(&kind) != KindState::Syncing {
            return;
        }
        waited = if store.any_synced() {
            waited + LOOK_EVERY
        } else {
            Duration::ZERO
        };
    }
    let why = "it is not listed again since the connection was lost";
    store.set_state(&kind, session, KindState::Unlisted(why.into()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kind::Kind;

    const LOST: KindRef = KindRef::Known(Kind::Release);
    const OTHER: KindRef = KindRef::Known(Kind::Deployment);

    struct Kinds {
        store: Arc<Store>,
        sessions: [u64; 2],
        patience: Patience,
    }

    impl Kinds {
        fn new() -> Self {
            let store = Arc::new(Store::new(Arc::new(|_| ()), Arc::new(|_| ())));
            let sessions = [store.open(&LOST), store.open(&OTHER)];
            let kinds = Self {
                store,
                sessions,
                patience: Patience::default(),
            };
            kinds.set(&OTHER, KindState::Synced);
            kinds
        }

        fn set(&self, kind: &KindRef, state: KindState) {
            let session = self.sessions[usize::from(*kind == OTHER)];
            self.store.set_state(kind, session, state);
        }

        fn loses(&mut self) {
            self.set(&LOST, KindState::Syncing);
            self.patience.begin(&self.store, &LOST, self.sessions[0]);
        }

        fn is_listed(&mut self) {
            self.set(&LOST, KindState::Synced);
            self.patience.end();
        }

        async fn is_waited_for_after(&self, seconds: u64) -> bool {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            self.store.synced(&LOST) == KindState::Syncing
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_waited_for_ten_seconds() {
        let mut kinds = Kinds::new();
        kinds.loses();
        assert!(kinds.is_waited_for_after(9).await);
        assert!(!kinds.is_waited_for_after(2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_lost_again_is_waited_for_anew() {
        let mut kinds = Kinds::new();
        kinds.loses();
        tokio::time::sleep(Duration::from_secs(1)).await;
        kinds.is_listed();
        tokio::time::sleep(Duration::from_secs(6)).await;
        kinds.loses();
        assert!(kinds.is_waited_for_after(9).await);
        assert!(!kinds.is_waited_for_after(2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_loss_after_the_other_does_not_make_it_longer() {
        let mut kinds = Kinds::new();
        kinds.loses();
        tokio::time::sleep(Duration::from_secs(6)).await;
        kinds.loses();
        assert!(!kinds.is_waited_for_after(5).await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_kind_is_blamed_for_a_server_that_is_away() {
        let mut kinds = Kinds::new();
        kinds.set(&OTHER, KindState::Syncing);
        kinds.loses();
        assert!(kinds.is_waited_for_after(60).await);
        kinds.set(&OTHER, KindState::Synced);
        assert!(kinds.is_waited_for_after(9).await);
        assert!(!kinds.is_waited_for_after(2).await);
    }
}
