//! The command line: one file per subcommand, no logic that a controller also needs.

pub mod crdgen;
pub mod render;
pub mod run;

use clap::{Parser, Subcommand};

/// Releases new versions of an application safely: a Kubernetes operator for blue-green, canary and mirrored releases.
#[derive(Debug, Parser)]
#[command(name = "iter8", version, about, max_term_width = 120, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator against the cluster of the kubeconfig, or the one that it runs in.
    Run(run::Args),
    /// Print the CustomResourceDefinitions as YAML.
    Crdgen(crdgen::Args),
    /// Print the objects that would be made for the Releases and RoutePolicies in a file, without a cluster.
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
            Command::Version => {
                println!("iter8 {}", env!("CARGO_PKG_VERSION"));
                Ok(())
            }
        }
    }
}
