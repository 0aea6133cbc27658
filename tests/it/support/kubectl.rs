//! The real `kubectl`: what users type.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `kubectl`, as somebody, in a namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// The binary.
    pub binary: PathBuf,
    /// Who it acts as.
    pub kubeconfig: PathBuf,
    /// Where it remembers the kinds of this cluster.
    pub cache: PathBuf,
    /// `None`: the one of the kubeconfig.
    pub namespace: Option<String>,
}

/// What a command printed; `ok`: whether it succeeded.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether the exit code was 0.
    pub ok: bool,
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Kubectl {
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
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.arg("--cache-dir").arg(&self.cache);
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        say(command.args(arguments), input)
    }

    /// What it prints. Fails when it fails.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &str) -> String {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let said = self.run(&arguments, input);
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.as_ref().to_string_lossy().into_owned())
            .collect();
        assert!(said.ok, "kubectl {}: {}\n{input}", words.join(" "), said.stderr);
        said.stdout
    }
}

/// Runs a command to its end with this on its standard input.
#[track_caller]
pub fn say(command: &mut Command, input: &str) -> Said {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // One that does not read all of its input is judged by its exit code.
        scope.spawn(move || stdin.write_all(input.as_bytes()).ok());
        child.wait_with_output().unwrap()
    });
    Said {
        ok: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
