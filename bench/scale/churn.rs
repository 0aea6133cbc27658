//! Applications that change all the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::figures::{Churn, Latency, Waiting};
use super::side::{Side, What};

/// Changes a second.
pub const RATE: u32 = 50;

/// The changes that are seen and whose routes are not right yet, by application.
type Open = Arc<Mutex<HashMap<usize, Instant>>>;

/// Changes the readiness of one application after the other; of those whose last change has its route.
pub async fn churn(side: &mut Side, during: Duration) -> Churn {
    let open: Open = Arc::default();
    let mut busy = vec![false; side.len()];
    let mut changes: JoinSet<(usize, f64)> = JoinSet::new();
    let (mut took, mut waiting, mut left_out) = (Vec::new(), Vec::new(), 0);
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let ticks_in_all = during.as_secs() * u64::from(RATE);
    for tick in 0..ticks_in_all {
        ticks.tick().await;
        while let Some(done) = changes.try_join_next() {
            let (index, latency) = done.unwrap();
            busy[index] = false;
            took.push(latency);
        }
        let index = side.take(1);
        if busy[index] {
            left_out += 1;
        } else {
            busy[index] = true;
            let (change, open) = (side.change(index, What::Readiness), Arc::clone(&open));
            changes.spawn(async move {
                let made = change.make().await;
                open.lock().unwrap().insert(index, made.seen);
                let latency = made.latency().await;
                open.lock().unwrap().remove(&index);
                (index, latency)
            });
        }
        if (tick + 1) % u64::from(RATE) == 0 {
            waiting.push(look(&open));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.extend(changes.join_all().await.into_iter().map(|(_, latency)| latency));
    Churn {
        seconds,
        changes: took.len() as u64,
        left_out,
        latency: Latency::of(&[took]),
        waiting,
    }
}

fn look(open: &Open) -> Waiting {
    let open = open.lock().unwrap();
    Waiting {
        changes: open.len() as u64,
        oldest_ms: open
            .values()
            .map(|since| since.elapsed().as_secs_f64() * 1000.0)
            .fold(0.0, f64::max),
    }
}
