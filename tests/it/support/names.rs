//! Names of namespaces.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that no other test has: also not one that runs in the same cluster at another time.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let mut slug = words.join("-");
    slug.truncate(40);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 100_000;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{now}-{}-{count}", slug.trim_end_matches('-'), process::id())
}
