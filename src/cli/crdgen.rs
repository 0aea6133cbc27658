//! `iter8 crdgen`: the CRDs.

use std::path::PathBuf;

use anyhow::Context;

use crate::api::crds;

/// Print the CustomResourceDefinitions as YAML, for `kubectl apply --server-side -f -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write one file per CRD into this folder, instead of all to stdout.
    #[arg(long, short, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

/// Prints or writes the CRDs.
///
/// Errors: a file cannot be written.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let documents = crds::documents()?;
    let Some(folder) = &args.output_dir else {
        let texts: Vec<String> = documents.into_iter().map(|(_, text)| text).collect();
        return super::print(&format!("---\n{}", texts.join("---\n")));
    };
    std::fs::create_dir_all(folder).with_context(|| format!("folder {}", folder.display()))?;
    for (name, text) in documents {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("file {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
