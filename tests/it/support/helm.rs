//! The real `helm`: what users type.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use super::Test;
use super::kubectl::{Kubectl, Said, say};

/// The chart of this name, as a path.
pub fn chart(name: &str) -> String {
    format!("{}/charts/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `helm`, as somebody, in a namespace.
#[derive(Clone, Debug)]
pub struct Helm {
    binary: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    namespace: Option<String>,
}

impl Helm {
    /// As whom, and in which namespace, `kubectl` acts: both come from one folder.
    pub fn beside(kubectl: &Kubectl) -> Self {
        Self {
            binary: kubectl.binary.with_file_name("helm"),
            kubeconfig: kubectl.kubeconfig.clone(),
            home: kubectl.cache.join("helm"),
            namespace: kubectl.namespace.clone(),
        }
    }

    /// The same in another namespace.
    pub fn within(&self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self.clone()
        }
    }

    /// Runs it with this on standard input.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &str) -> Said {
        let mut command = Command::new(&self.binary);
        command.env("KUBECONFIG", &self.kubeconfig);
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(home, &self.home);
        }
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        say(command.args(arguments), input)
    }

    /// What it prints. Fails when it fails.
    #[track_caller]
    pub fn ok<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) -> String {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let said = self.run(&arguments, input);
        assert!(said.ok, "helm {}: {}\n{input}", arguments.join(" "), said.stderr);
        said.stdout
    }

    /// What it says when it fails, as it must.
    #[track_caller]
    pub fn fails<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) -> String {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let said = self.run(&arguments, input);
        assert!(!said.ok, "helm {} did not fail: {}", arguments.join(" "), said.stdout);
        said.stderr
    }
}

impl Test {
    /// `helm` in the test's namespace.
    pub fn helm(&self) -> Helm {
        Helm::beside(&self.cluster.kubectl).within(&self.namespace)
    }

    /// Who the operator is from the next start on: a ServiceAccount that was installed in the test's namespace.
    #[track_caller]
    pub fn connect_as(&mut self, account: &str) {
        let user = format!("system:serviceaccount:{}:{account}", self.namespace);
        self.account = (user, self.cluster.login(&self.namespace, account));
    }
}
