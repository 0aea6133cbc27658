//! The floor: watches Deployments and weight ConfigMaps, and sends one server-side apply of a VirtualService for each
//! change. It has nothing of the operator's but its client, so that only what comes between watch and write is compared.

use std::collections::HashMap;
use std::fs;
use std::panic;
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex};

use iter8::cluster::client::{self, Clients};
use kube::api::{Patch, PatchParams};
use kube::client::Body;
use kube::core::Request;
use serde_json::Value;

use super::apps::{self, App};
use super::observer::{Looked, follow};
use super::queue::Queue;

/// Requests in flight: more gain nothing against one API server.
const WORKERS: usize = 16;

struct Probe {
    clients: Clients,
    requests: Request,
    queue: Queue,
    apps: Mutex<HashMap<String, App>>,
    /// The first application's route, as JSON, by the candidate's share.
    templates: HashMap<i32, String>,
}

/// Runs until it is killed. `templates`: a file with the operator's route of the first application by the candidate's share.
pub fn run(namespace: &str, templates: &Path) {
    let templates: HashMap<i32, Value> = serde_json::from_str(&fs::read_to_string(templates).unwrap()).unwrap();
    let text = |(share, route): (i32, Value)| (share, route.to_string().replace(apps::FIRST, "APP"));
    let templates = templates.into_iter().map(text).collect();
    // A probe with fewer workers would be no floor.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        hook(info);
        process::exit(1);
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let probe = Arc::new(Probe {
            clients: client::connect(&iter8::cluster::Metrics::new().unwrap(), None)
                .await
                .unwrap(),
            requests: Request::new(Looked::Routes.path(namespace)),
            queue: Queue::new(),
            apps: Mutex::default(),
            templates,
        });
        for _ in 0..WORKERS {
            tokio::spawn(Arc::clone(&probe).work());
        }
        let deployments = probe.look(Looked::Deployments, namespace, "-1", |app, available| {
            app.available = available != 0;
        });
        let weights = probe.look(Looked::ConfigMaps, namespace, apps::WEIGHT_CONFIG, |app, weight| {
            app.weight = weight;
        });
        tokio::join!(deployments, weights);
    });
}

impl Probe {
    /// Takes in what is seen of the candidates' objects, whose names end so.
    async fn look(&self, what: Looked, namespace: &str, suffix: &str, take_in: impl Fn(&mut App, i32)) {
        follow(&self.clients.watches, what, namespace, |view| {
            let Some(name) = view.metadata.name.strip_suffix(suffix) else {
                return;
            };
            let mut apps = self.apps.lock().unwrap();
            let before = apps.get(name).copied();
            let mut app = before.unwrap_or(App::NEW);
            take_in(&mut app, view.number(what));
            if before != Some(app) {
                apps.insert(name.to_owned(), app);
                self.queue.add(name);
            }
        })
        .await;
    }

    async fn work(self: Arc<Self>) {
        loop {
            let app = self.queue.next().await;
            let share = self.apps.lock().unwrap()[&app].share();
            self.write(&app, &self.templates[&share]).await;
            self.queue.done(&app);
        }
    }

    async fn write(&self, app: &str, template: &str) {
        let body: Value = serde_json::from_str(&template.replace("APP", app)).unwrap();
        let params = PatchParams::apply("probe").force();
        let request = self.requests.patch(app, &params, &Patch::Apply(&body)).unwrap();
        let response = self.clients.writes.send(request.map(Body::from)).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect_bytes().await.unwrap();
        assert!(status.is_success(), "{}", String::from_utf8_lossy(&answer));
    }
}
