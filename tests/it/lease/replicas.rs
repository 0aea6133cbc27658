//! Replicas of the operator, each with a ServiceAccount of its own: the audit log tells who did what.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::support::audit::{Mark, Request};
use crate::support::cluster::SERVICE_ACCOUNT;
use crate::support::manifest::{release, version};
use crate::support::operator::{Operator, tail};
use crate::support::pages::Pages;
use crate::support::{SOON, Test, holds, skip_unless_local};

/// Whole seconds, as flags want them: as short as can be without a busy machine losing the Lease.
pub const LEASE: Duration = Duration::from_secs(6);
pub const RENEW_DEADLINE: Duration = Duration::from_secs(4);
pub const RETRY: Duration = Duration::from_secs(1);

/// What the route of the Release says at first.
pub const SHARES: &[(&str, i64)] = &[("web-0", 50), ("web-1", 50)];

/// One replica.
pub struct Replica {
    pub name: String,
    pub operator: Operator,
    user: String,
    kubeconfig: PathBuf,
    log: PathBuf,
    /// Bytes of its log before it was started last.
    begin: usize,
    lease: String,
    namespace: String,
    audit: crate::support::audit::AuditLog,
}

/// Replicas that watch one namespace, and their Lease, which is named after it.
pub struct Replicas {
    pub all: Vec<Replica>,
    pub test: Test,
}

impl Replicas {
    /// So many, of which the first leads. `None`, with the reason printed, without an audit log.
    #[track_caller]
    pub fn start(name: &str, count: usize) -> Option<Self> {
        let mut replicas = Self::none(name)?;
        for index in 0..count {
            replicas.add();
            if index == 0 {
                replicas.leads(0);
            } else {
                replicas.follows(index);
            }
        }
        Some(replicas)
    }

    /// None yet.
    #[track_caller]
    pub fn none(name: &str) -> Option<Self> {
        if skip_unless_local("an audit log") {
            return None;
        }
        let test = Test::without_operator(name);
        Some(Self { all: Vec::new(), test })
    }

    /// Starts one more.
    #[track_caller]
    pub fn add(&mut self) {
        let name = format!("{}-{}", self.test.namespace, self.all.len());
        let (user, kubeconfig) = self.test.cluster.account(&name);
        let log = self.test.cluster.folder.join(format!("{name}.log"));
        let (lease, namespace) = (self.test.namespace.clone(), self.test.namespace.clone());
        let operator = start(&kubeconfig, &namespace, &lease, &log);
        let audit = self.test.cluster.audit.clone().unwrap();
        self.all.push(Replica {
            name,
            operator,
            user,
            kubeconfig,
            log,
            begin: 0,
            lease,
            namespace,
            audit,
        });
    }

    /// Starts one again that has ended.
    #[track_caller]
    pub fn restart(&mut self, index: usize) {
        let replica = &mut self.all[index];
        replica.begin = tail(&replica.log, usize::MAX).len();
        replica.operator = start(&replica.kubeconfig, &replica.namespace, &replica.lease, &replica.log);
    }

    /// Waits until it leads.
    #[track_caller]
    pub fn leads(&self, index: usize) {
        let replica = &self.all[index];
        self.test.wait_until("it leads", SOON, || {
            holds(
                replica.log_of_this_run().contains("lease: this replica leads"),
                replica.tail(),
            )
        });
    }

    /// Waits until it is ready, and follows.
    #[track_caller]
    pub fn follows(&self, index: usize) {
        let replica = &self.all[index];
        self.test.wait_until("it follows", SOON, || {
            let follows = replica.log_of_this_run().contains(" holds it");
            holds(follows && replica.pages().get("/readyz").0 == 200, replica.tail())
        });
    }

    /// Makes a Release.
    #[track_caller]
    pub fn release(&self) {
        let versions = [version("web:1"), version("web:2")];
        let release = release("web", "deployment-istio", "blue-green", &versions);
        self.test.apply(&release.to_string());
    }

    /// Changes the weights until it is dropped.
    pub fn churn(&self) -> Churn {
        let (api, namespace) = (self.test.cluster.api.clone(), self.test.namespace.clone());
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = thread::spawn(move || {
            for weight in (1..100).cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let change = json!({ "metadata": { "annotations": { "iter8.tools/weight": weight.to_string() } } });
                api.merge(&namespace, "configmap", "web-1-weight-config", &change);
                thread::sleep(Duration::from_millis(10));
            }
        });
        Churn {
            over,
            thread: Mutex::new(Some(thread)),
        }
    }
}

#[track_caller]
fn start(kubeconfig: &std::path::Path, namespace: &str, lease: &str, log: &std::path::Path) -> Operator {
    let seconds = |flag: &str, duration: Duration| format!("--{flag}={}", duration.as_secs());
    let arguments = [
        "--listen=127.0.0.1:0".to_owned(),
        "--leader-elect".to_owned(),
        format!("--lease-namespace={}", SERVICE_ACCOUNT.0),
        format!("--lease-name={lease}"),
        seconds("lease-duration", LEASE),
        seconds("lease-renew-deadline", RENEW_DEADLINE),
        seconds("lease-retry-period", RETRY),
    ];
    Operator::start_with(kubeconfig, Some(namespace), log, &arguments)
}

impl Replica {
    /// What it answers; it must listen already.
    #[track_caller]
    pub fn pages(&self) -> Pages {
        crate::support::wait_until("it listens", SOON, || {
            Pages::in_log(&self.log_of_this_run()).ok_or_else(|| self.tail())
        })
    }

    /// What it asked for.
    #[track_caller]
    pub fn requests_since(&self, mark: Mark) -> Vec<Request> {
        let mut requests = self.audit.since(mark, None);
        requests.retain(|request| request.user == self.user);
        requests
    }

    /// What it wrote but for the Lease, refused or not.
    #[track_caller]
    pub fn writes_since(&self, mark: Mark) -> Vec<Request> {
        let mut writes = self.requests_since(mark);
        writes.retain(|request| request.is_write() && request.resource != "leases");
        writes
    }

    /// When its writes of the Lease came that were carried out.
    #[track_caller]
    pub fn renewals_since(&self, mark: Mark) -> Vec<DateTime<Utc>> {
        let mut writes = self.requests_since(mark);
        writes.retain(|request| request.is_write() && request.resource == "leases" && request.code < 300);
        writes.iter().map(|request| request.received).collect()
    }

    /// Asks it to end, and waits.
    #[track_caller]
    pub fn stop(&mut self) {
        self.operator.stop();
    }

    pub fn log_of_this_run(&self) -> String {
        tail(&self.log, usize::MAX).split_off(self.begin)
    }

    pub fn tail(&self) -> String {
        tail(&self.log, 40)
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        if thread::panicking() {
            for replica in &self.all {
                println!("---- {}\n{}", replica.name, replica.tail());
            }
        }
        let lease = &self.test.namespace;
        let kubectl = self.test.cluster.kubectl.within(SERVICE_ACCOUNT.0);
        kubectl.run(["delete", "lease", "--ignore-not-found", lease.as_str()], "");
    }
}

/// Changes that come all the time.
pub struct Churn {
    over: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.get_mut().unwrap().take() {
            // It fails when its namespace goes: so has the test, then.
            let _ = thread.join();
        }
    }
}
