//! Logs: one line per thing that changed, none per reconcile that changed nothing.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Server-side apply answers 500 to a typo in a pod template: that is told once, in our own words.
const QUIET: &str = "kube_client::client::builder=off";

/// Sends log lines to stderr. `level` is a level (`info`) or a filter (`iter8=debug,kube=warn`).
///
/// Errors: `level` is neither.
pub fn init(format: Format, level: &str) -> anyhow::Result<()> {
    // A lone word that is no level would be taken for the name of a module.
    let word = !level.contains(['=', ',', '[']);
    let bad = word && (level.is_empty() || level.parse::<LevelFilter>().is_err());
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"));
    let filter = filter.ok().filter(|_| !bad).ok_or_else(|| {
        anyhow::anyhow!(
            "log level {level:?}: use error, warn, info, debug, trace, or a filter as in iter8=debug,kube=warn"
        )
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        Format::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("logs: {error}"))
}
