//! Logs: one line per thing that changed, none per reconcile that changed nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::{EnvFilter, reload};

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

/// How often the file with the level is read; SIGHUP has it read at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Changes the level while the process runs.
pub struct Level {
    set: Set,
    now: String,
}

/// Sends log lines to stderr. `level` is a level (`info`) or a filter (`iter8=debug,kube=warn`).
///
/// Errors: `level` is neither.
pub fn init(format: Format, level: &str) -> anyhow::Result<Level> {
    let builder = fmt().with_writer(std::io::stderr);
    let (begun, set) = match format {
        Format::Text => {
            let builder = builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
            let builder = builder.with_env_filter(filter(level)?).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), boxed(move |filter| handle.reload(filter)))
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true);
            let builder = builder.with_env_filter(filter(level)?).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), boxed(move |filter| handle.reload(filter)))
        }
    };
    begun.map_err(|error| anyhow::anyhow!("logs: {error}"))?;
    Ok(Level {
        set,
        now: level.to_owned(),
    })
}

type Set = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

fn boxed(set: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static) -> Set {
    Box::new(set)
}

impl Level {
    /// Takes the level from a file: at once, then at SIGHUP, and every 5 s, for good. What is no level, or a file that cannot
    /// be read, is told once, and the last good level stays. To be called within a tokio runtime.
    pub fn follow(mut self, file: PathBuf) -> impl Future<Output = ()> + Send {
        let mut hang_up = signal(SignalKind::hangup()).ok();
        let mut complaint = None;
        self.look(&file, &mut complaint);
        async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = heard(&mut hang_up) => {}
                }
                self.look(&file, &mut complaint);
            }
        }
    }

    fn look(&mut self, file: &Path, complaint: &mut Option<String>) {
        let error = self.read(file).err().map(|error| format!("{error:#}"));
        if let Some(error) = error.as_ref().filter(|_| *complaint != error) {
            tracing::warn!(file = %file.display(), level = self.now, "the log level stays: {error}");
        }
        *complaint = error;
    }

    fn read(&mut self, file: &Path) -> anyhow::Result<()> {
        let text = fs::read_to_string(file)?;
        let level = text.trim();
        if level == self.now {
            return Ok(());
        }
        (self.set)(filter(level)?)?;
        level.clone_into(&mut self.now);
        tracing::info!(file = %file.display(), level, "log level");
        Ok(())
    }
}

/// SIGHUP; never, where it cannot be heard.
async fn heard(hang_up: &mut Option<Signal>) {
    let heard = match hang_up {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // A lone word that is no level would be taken for the name of a module.
    let word = !level.contains(['=', ',', '[']);
    let bad = word && (level.is_empty() || level.parse::<LevelFilter>().is_err());
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"));
    filter.ok().filter(|_| !bad).ok_or_else(|| {
        anyhow::anyhow!(
            "log level {level:?}: use error, warn, info, debug, trace, or a filter as in iter8=debug,kube=warn"
        )
    })
}
