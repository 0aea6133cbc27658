//! A real Prometheus.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::{env, fs, thread};

use serde_json::Value;

use super::exporter::Exporter;
use super::operator::{spawn, tail, tied_to_this_process};
use super::pages::Pages;
use super::{SOON, holds, wait_until};

/// Scrapes one exporter every second. It ends with this value, or with the process.
pub struct Prometheus {
    program: PathBuf,
    /// Of its configuration, its data and its log.
    folder: PathBuf,
    address: String,
    child: Mutex<Option<Child>>,
}

impl Prometheus {
    /// Starts one, with a new folder in this one. `None`, with the reason printed, where there is no Prometheus.
    #[track_caller]
    pub fn scraping(exporter: &Exporter, folder: &Path) -> Option<Self> {
        let program = program()?;
        let address = free_address();
        let folder = folder.join(format!("prometheus-{}", address.replace(':', "-")));
        fs::create_dir_all(&folder).unwrap();
        let configuration = serde_json::json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": [{ "job_name": "app", "static_configs": [{ "targets": [exporter.address.to_string()] }] }],
        });
        // JSON is YAML.
        fs::write(folder.join("prometheus.yml"), configuration.to_string()).unwrap();
        let prometheus = Self {
            program,
            folder,
            address,
            child: Mutex::default(),
        };
        prometheus.start();
        Some(prometheus)
    }

    /// As the operator is told it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it as a crash would.
    #[track_caller]
    pub fn stop(&self) {
        let mut child = self.child.lock().unwrap().take().expect("Prometheus does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it, at the same address and with the data that it had, and waits until it answers.
    #[track_caller]
    pub fn start(&self) {
        let log = self.folder.join("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let path = |name: &str| self.folder.join(name).display().to_string();
        let mut command = tied_to_this_process(self.program.to_str().unwrap());
        command
            .arg(format!("--config.file={}", path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address={}", self.address))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let child = spawn(command).expect("Prometheus does not start");
        let before = self.child.lock().unwrap().replace(child);
        assert!(before.is_none(), "Prometheus runs already");
        wait_until("Prometheus answers", SOON, || {
            let ready = TcpStream::connect(&self.address).is_ok() && self.get("/-/ready").0 == 200;
            holds(ready, tail(&log, 20))
        });
    }

    /// What it answers to a query; `None`: no series matches.
    #[track_caller]
    pub fn value(&self, query: &str) -> Option<f64> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let (code, body) = self.get(&format!("/api/v1/query?query={query}"));
        assert_eq!(code, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    #[track_caller]
    fn get(&self, path: &str) -> (u16, String) {
        Pages::at(&self.address).get(path)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.get_mut().ok().and_then(Option::take) {
            // One that has ended already cannot be killed, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Where nobody listens, and nobody will unless it is asked to: below the ports that the kernel gives away.
pub fn free_address() -> String {
    loop {
        let address = format!("127.0.0.1:{}", fastrand::u16(10_000..20_000));
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// The program: `PROMETHEUS` of the environment, or what Go makes of `tests/prometheus`, which is kept in the cache.
fn program() -> Option<PathBuf> {
    static PROGRAM: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| env::var_os("PROMETHEUS").map(PathBuf::from).or_else(build));
    if PROGRAM.is_none() {
        let name = thread::current().name().unwrap_or("test").to_owned();
        println!("{name}: skipped: there is no Go to build Prometheus with, and PROMETHEUS names none");
    }
    PROGRAM.clone()
}

fn build() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prometheus/build.sh");
    Command::new("go").arg("version").output().ok()?;
    let output = Command::new(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).trim().into())
}
