//! The floor: watches Deployments, and sends one server-side apply of a VirtualService for each change.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use iter8::cluster::Calm;
use iter8::cluster::client;
use iter8::controller::driver::WORKERS;
use iter8::controller::queue::{Priority, Queue};
use kube::Client;
use kube::api::{Patch, PatchParams};
use kube::client::Body;
use kube::core::Request;
use serde_json::Value;

use super::apps;
use super::observer::{DEPLOYMENTS, ROUTES, follow};

/// Runs until it is killed. `templates`: the operator's route of the first application as JSON, with and without the
/// candidate.
pub fn run(namespace: &str, templates: &Path) {
    let templates: [Value; 2] = serde_json::from_str(&fs::read_to_string(templates).unwrap()).unwrap();
    let templates: [String; 2] = templates.map(|template| template.to_string().replace(apps::FIRST, "APP"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = client::connect().await.unwrap().writes;
        let queue: Queue<String> = Queue::new(WORKERS, Calm::default());
        let available: Arc<Mutex<HashMap<String, i32>>> = Arc::default();
        let requests = Request::new(format!("/{ROUTES}/namespaces/{namespace}/virtualservices"));
        let (requests, templates) = (Arc::new(requests), Arc::new(templates));
        for _ in 0..WORKERS {
            let (client, queue, available) = (client.clone(), queue.clone(), Arc::clone(&available));
            let (requests, templates) = (Arc::clone(&requests), Arc::clone(&templates));
            tokio::spawn(async move {
                while let Some((app, _)) = queue.next().await {
                    let number = available.lock().unwrap()[&app];
                    let template = &templates[usize::from(number == 0)];
                    write(&client, &requests, &app, template).await;
                    queue.done(&app);
                }
            });
        }
        let path = format!("/{DEPLOYMENTS}/namespaces/{namespace}/deployments");
        follow(&client, &path, |view| {
            let Some(app) = view.metadata.name.strip_suffix("-1") else {
                return;
            };
            let number = view.number();
            if available.lock().unwrap().insert(app.to_owned(), number) != Some(number) {
                queue.add(app.to_owned(), Priority::High);
            }
        })
        .await;
    });
}

async fn write(client: &Client, requests: &Request, app: &str, template: &str) {
    let body: Value = serde_json::from_str(&template.replace("APP", app)).unwrap();
    let params = PatchParams::apply("probe").force();
    let request = requests.patch(app, &params, &Patch::Apply(&body)).unwrap();
    let response = client.send(request.map(Body::from)).await.unwrap();
    let status = response.status();
    let answer = response.into_body().collect_bytes().await.unwrap();
    assert!(status.is_success(), "{}", String::from_utf8_lossy(&answer));
}
