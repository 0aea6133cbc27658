//! The command line: one file per subcommand, no logic that a controller also needs.

pub mod crdgen;
pub mod render;
pub mod run;

use std::io::Write;

use clap::{Parser, Subcommand};

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
    Run(run::Args),
    Crdgen(crdgen::Args),
    Render(render::Args),
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
            Command::Render(args) => render::execute(&args),
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
