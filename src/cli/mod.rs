//! The command line: one file per subcommand, no logic that a controller also needs.

pub mod crdgen;
pub mod describe;
pub mod render;
pub mod run;

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::model::yaml;

/// Releases new versions of an application safely: a Kubernetes operator for blue-green, canary and mirrored releases.
#[derive(Debug, Parser)]
#[command(name = "iter8", version, max_term_width = 120, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

// What each does stands at its `Args`: a sentence here would take the place of all that is said there.
#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Crdgen(crdgen::Args),
    Describe(describe::Args),
    Render(render::Args),
    /// Read a JSON answer from stdin, and print the sample that a program in the language of jq makes of it.
    ///
    /// For the operator itself: a program of users runs in a process of its own.
    #[command(hide = true)]
    Jq {
        /// The program.
        program: String,
    },
    /// Print the version.
    Version,
}

impl Cli {
    /// Carries out the subcommand.
    ///
    /// Errors: to be printed, with exit code 1.
    pub fn execute(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => run::execute(&args),
            Command::Crdgen(args) => crdgen::execute(&args),
            Command::Describe(args) => describe::execute(&args),
            Command::Render(args) => render::execute(&args),
            Command::Jq { program } => Ok(crate::provider::jq::serve(&program)?),
            Command::Version => print(&format!("iter8 {}\n", env!("CARGO_PKG_VERSION"))),
        }
    }
}

/// Prints to stdout. Whoever reads it may stop when they have seen enough, as `head` does.
///
/// Errors: any other than a closed pipe.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The YAML or JSON documents of a file; of stdin, if it is called `-`.
///
/// Errors: it cannot be read, is no YAML, or there is nothing in it.
fn documents(file: &Path) -> anyhow::Result<Vec<Value>> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    }
    let documents = yaml::read_all(&text).with_context(|| format!("{}", file.display()))?;
    if documents.is_empty() {
        bail!("{}: no object in it", file.display());
    }
    Ok(documents)
}
