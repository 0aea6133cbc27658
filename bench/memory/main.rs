//! Where memory goes: what is held of the cluster, by the kind of object that it is held of.
//!
//! For each N a process of its own fills a store with that many applications, kind by kind, and looks at its own resident
//! memory after each. The objects are those of one Release (two versions, blue-green on Istio) as an API server sent
//! them, `application.json`, under other names and uids. No cluster is needed.
//!
//! `N=1000,10000 cargo bench --bench memory`; the table goes to stdout.

// A bench is no product: what fails ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use serde_json::Value;

use iter8::cluster::{Store, view};
use iter8::controller::index::{Index, References};
use iter8::model::kind::{Kind, KindRef};

/// The objects of one application.
const APPLICATION: &str = include_str!("application.json");
/// Its name, and the part of its uids that tells applications apart.
const NAME: &str = "app-0000";
const UID: &str = "00000000-0000-4000";
/// How often every Deployment changes.
const CHANGES: u64 = 4;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [command, size] = arguments.as_slice()
        && command == "fill"
    {
        fill(size.parse().expect("a number"));
        return;
    }
    let sizes = env::var("N").unwrap_or_else(|_| "1000,10000".to_owned());
    for size in sizes.split(',').map(str::trim) {
        println!("## {size} applications\n\n| held of | MiB | bytes per application |\n| --- | --- | --- |");
        let itself = env::current_exe().unwrap();
        assert!(Command::new(itself).args(["fill", size]).status().unwrap().success());
        println!();
    }
}

/// Prints what each step adds to resident memory.
fn fill(size: usize) {
    let application: Vec<Value> = serde_json::from_str(APPLICATION).unwrap();
    let texts = |kind: Kind| -> Vec<String> {
        let objects = application.iter().filter(|object| object["kind"] == kind.kind());
        objects.map(Value::to_string).collect()
    };
    let store = Store::new(Arc::new(|_| ()), Arc::new(|_| ()));
    let start = memory("VmRSS:");
    let mut last = start;
    for kind in Kind::ALL {
        let texts = texts(kind);
        let watch = Watch::open(&store, kind);
        store.list_begins(&watch.kind, watch.session);
        (0..size).for_each(|index| watch.put(&texts, index, 0));
        store.list_done(&watch.kind, watch.session, 0);
        last = row(&format!("{kind}, {} of each", texts.len()), size, last);
    }
    let mut index = Index::default();
    for (namespace, name) in store.names(&KindRef::Known(Kind::RoutePolicy)) {
        let references = references(&name);
        index.set(&(namespace, name), &references);
    }
    last = row("what RoutePolicies refer to", size, last);
    let watch = Watch::open(&store, Kind::Deployment);
    let texts = texts(Kind::Deployment);
    for change in 1..=CHANGES {
        (0..size).for_each(|index| watch.put(&texts, index, change));
    }
    row(&format!("{CHANGES} changes of every Deployment"), size, last);
    let objects: usize = store.len_by_kind().iter().map(|(_, count)| count).sum();
    assert_eq!(objects, size * application.len());
    row(
        &format!("all, beside {:.1} MiB of a process that holds nothing", mib(start)),
        size,
        start,
    );
    println!("\nPeak {:.1} MiB.", mib(memory("VmHWM:")));
}

/// Prints what has been added to resident memory since it was `last`; returns what it is.
fn row(what: &str, size: usize, last: usize) -> usize {
    let now = memory("VmRSS:");
    let grown = now.saturating_sub(last);
    println!("| {what} | {:.1} | {} |", mib(grown), grown / size);
    now
}

/// A kind of the store that is being filled.
struct Watch<'a> {
    store: &'a Store,
    kind: KindRef,
    session: u64,
}

impl<'a> Watch<'a> {
    fn open(store: &'a Store, kind: Kind) -> Self {
        let kind = KindRef::Known(kind);
        let session = store.open(&kind);
        Self { store, kind, session }
    }

    /// The objects of the application with this index, changed this often.
    fn put(&self, texts: &[String], index: usize, change: u64) {
        for text in texts {
            let text = text
                .replace(NAME, &name(index))
                .replace(UID, &format!("{index:08x}-0000-4000"))
                .replace("\"resourceVersion\":\"", &format!("\"resourceVersion\":\"{change}"));
            self.store
                .put(&self.kind, self.session, view::read(&self.kind, &text).unwrap());
        }
    }
}

fn name(index: usize) -> String {
    format!("app-{index:05}")
}

/// As its RoutePolicy has them.
fn references(app: &str) -> References {
    let version = |tag: u32| {
        [
            (Kind::Deployment, format!("{app}-{tag}")),
            (Kind::Service, format!("{app}-{tag}")),
            (Kind::ConfigMap, format!("{app}-{tag}-weight-config")),
        ]
    };
    let objects = [version(0), version(1)].into_iter().flatten();
    let objects: BTreeSet<_> = objects.map(|(kind, name)| (KindRef::Known(kind), name)).collect();
    References {
        objects,
        route: Some((Kind::VirtualService, app.to_owned())),
    }
}

/// Bytes, by a line of `/proc/self/status`.
fn memory(line: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

#[allow(clippy::cast_precision_loss)]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
