//! `make demo TRAFFIC=1`: who answers real requests, beside the Release as it changes.

use std::env;
use std::path::{Path, PathBuf};

use crate::contour;
use crate::load::{Answers, Load, Target};
use crate::mesh::CONTOUR;
use crate::pods::Pods;
use crate::support::api::Api;
use crate::support::kubectl::Kubectl;

/// Requests each second.
const RATE: u32 = 200;

/// Makes a mesh of the cluster of `KUBECONFIG` and sends requests to a host until it is ended: each second a line.
pub fn run(host: String, folder: &Path) -> ! {
    let kubeconfig = PathBuf::from(env::var_os("KUBECONFIG").expect("KUBECONFIG"));
    let kubectl = Kubectl {
        binary: "kubectl".into(),
        cache: folder.join("cache"),
        namespace: None,
        kubeconfig,
    };
    let _pods = Pods::start(&Api::new(&kubectl.kubeconfig));
    let _carrier = contour::start(&kubectl, folder);
    println!("ready");
    let target = Target {
        envoy: CONTOUR.envoy,
        host,
        headers: Vec::new(),
    };
    loop {
        let load = Load::start(RATE, target.clone());
        load.goes_on();
        println!("{}", line(&load.stop()));
    }
}

/// `requests: 30 % v2.14.0, 70 % v2.15.0`.
fn line(answers: &Answers) -> String {
    let mut versions: Vec<&str> = answers
        .0
        .iter()
        .filter_map(|answer| answer.version.as_deref().ok())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let tag = |image: &str| image.rsplit(':').next().unwrap_or_default().to_owned();
    let mut parts: Vec<String> = versions
        .iter()
        .map(|version| format!("{:.0} % {}", answers.percent(version), tag(version)))
        .collect();
    let failed = answers.failed();
    if versions.is_empty() {
        return "requests: nobody answers".to_owned();
    }
    if let Some(reason) = answers.0.iter().find_map(|answer| answer.version.as_ref().err()) {
        parts.push(format!("{failed} of {} failed: {}", answers.0.len(), reason.trim()));
    }
    format!("requests: {}", parts.join(", "))
}
