//! The `iter8` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match iter8::cli::Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
