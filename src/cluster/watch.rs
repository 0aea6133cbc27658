//! One watch per kind, that fills the store for as long as the kind is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::store::Store;
use crate::model::kind::{Kind, KindRef};

mod crds;
mod follow;
mod patience;
mod task;

use crds::Crd;
use patience::Patience;

/// CRD changes that a kind's task may lag behind.
const CRD_CHANGES: usize = 1024;

/// The watches. Dropping it ends them.
pub struct Watches {
    client: Client,
    store: Arc<Store>,
    namespace: Option<String>,
    crds: broadcast::Sender<Crd>,
    tasks: Mutex<HashMap<KindRef, JoinHandle<()>>>,
    crd_task: JoinHandle<()>,
    listed: Arc<Notify>,
}

impl Watches {
    /// Starts the watch that tells of CRDs, and no other yet. Watches one namespace, or all. To be called within a tokio
    /// runtime.
    pub fn new(client: Client, store: Arc<Store>, namespace: Option<String>) -> Self {
        let (crds, _) = broadcast::channel(CRD_CHANGES);
        let crd_task = tokio::spawn(crds::run(client.clone(), crds.clone()));
        Self {
            client,
            store,
            namespace,
            crds,
            tasks: Mutex::default(),
            crd_task,
            listed: Arc::default(),
        }
    }

    /// Watches all of our own kinds.
    pub fn open_known(&self) {
        for kind in Kind::ALL {
            self.open(&KindRef::Known(kind));
        }
    }

    /// Watches a kind until it is closed; nothing happens when it is open already.
    pub fn open(&self, kind: &KindRef) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.contains_key(kind) {
            return;
        }
        let task = task::Task {
            client: self.client.clone(),
            store: Arc::clone(&self.store),
            kind: kind.clone(),
            session: self.store.open(kind),
            namespace: self.namespace.clone(),
            crds: self.crds.subscribe(),
            look_until: Instant::now(),
            reports: false,
            known: false,
            refusals: 0,
            asked_otherwise: false,
            patience: Patience::default(),
            listed: Arc::clone(&self.listed),
        };
        tasks.insert(kind.clone(), tokio::spawn(task.run()));
    }

    /// Ends a kind's watch and forgets its objects.
    pub fn close(&self, kind: &KindRef) {
        let task = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
        if let Some(task) = task {
            task.abort();
        }
        self.store.close(kind);
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.crd_task.abort();
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.values() {
            task.abort();
        }
    }
}
