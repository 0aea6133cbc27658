//! Which replica leads: the one that holds a Lease.
//!
//! ```text
//! watch the Lease ──free, or not renewed for its time──▶ take it ──▶ renew it ──not in time──▶ lost: the process ends
//! ```
//!
//! As in client-go: the time is counted by one's own clock, since the record was last seen to change. One that leads writes
//! for less time after a renewal than others wait, so it has stopped before another begins.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::cluster::Error;
use crate::cluster::lease::{Change, Held, Leases, Record, Term};

/// How long one who has just taken the Lease waits before its first write: its watches bring what the one before wrote
/// last.
const CATCH_UP: Duration = Duration::from_millis(300);

/// How long giving the Lease back may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long others wait after the record was last seen to change.
    pub lease: Duration,
    /// How long the leader writes after its last renewal; shorter than `lease`.
    pub renew_deadline: Duration,
    /// How often it renews; shorter still.
    pub retry: Duration,
}

impl Timing {
    /// Whether one who leads stops before another begins.
    ///
    /// Errors: a sentence.
    pub fn check(self) -> anyhow::Result<Self> {
        anyhow::ensure!(
            self.lease > self.renew_deadline && self.renew_deadline > self.retry && !self.retry.is_zero(),
            "--lease-duration must be longer than --lease-renew-deadline, and that longer than --lease-retry-period"
        );
        Ok(self)
    }
}

/// What is known of the Lease, for people.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Option<Result<String, String>>>>);

impl Standing {
    /// Whether the Lease can be seen, and a line about it.
    pub fn told(&self) -> (bool, String) {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*standing {
            None => (false, "Lease: not read yet\n".to_owned()),
            Some(Ok(words)) => (true, format!("Lease: {words}\n")),
            Some(Err(words)) => (false, format!("Lease: {words}\n")),
        }
    }

    /// Tells whether it is new.
    fn set(&self, standing: Result<String, String>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = Some(standing);
        let new = *known != standing;
        *known = standing;
        new
    }
}

/// One replica's part in an election.
pub struct Election {
    leases: Leases,
    identity: String,
    timing: Timing,
    term: Term,
    standing: Standing,
    /// The Lease as it was last seen, and since when its record is so, by our clock.
    seen: Option<(Held, Instant)>,
    /// Since when there is none.
    absent: Option<Instant>,
    /// What failed last.
    trouble: Option<String>,
}

/// How an election ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Stopped,
    /// The Lease is lost: another may lead.
    Lost,
}

impl Election {
    /// `identity` is unique among processes; `term` begins and ends with the lead.
    pub fn new(leases: Leases, identity: String, timing: Timing, term: Term) -> Self {
        Self {
            leases,
            identity,
            timing,
            term,
            standing: Standing::default(),
            seen: None,
            absent: None,
            trouble: None,
        }
    }

    /// What is known, while it runs.
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Waits for the lead, calls `led` when it has it, and keeps it until `stop`: then it gives the Lease back.
    pub async fn run(mut self, led: impl Fn() + Send, mut stop: watch::Receiver<bool>) -> Ended {
        tokio::select! {
            () = self.follow() => {}
            _ = stop.wait_for(|stop| *stop) => return Ended::Stopped,
        }
        led();
        let ended = tokio::select! {
            () = self.lead() => Ended::Lost,
            _ = stop.wait_for(|stop| *stop) => Ended::Stopped,
        };
        self.term.end();
        match ended {
            Ended::Lost => tracing::error!(
                lease = self.leases.place(),
                "the lease is lost: nothing more is written"
            ),
            Ended::Stopped => self.release().await,
        }
        ended
    }

    /// Until it leads.
    async fn follow(&mut self) {
        loop {
            let version = match timeout(self.timing.renew_deadline, self.leases.read()).await {
                Ok(Ok((held, version))) => {
                    self.note(held);
                    version
                }
                Ok(Err(error)) => {
                    self.trouble(&error).await;
                    continue;
                }
                Err(_) => {
                    self.trouble(&Error::Timeout(self.timing.renew_deadline)).await;
                    continue;
                }
            };
            // A watch that breaks off is begun anew, after a look at what it has missed.
            if let Err(error) = self.watch(&version).await {
                self.trouble(&error).await;
                continue;
            }
            if Instant::now() < self.free_from() {
                continue;
            }
            match self.take().await {
                Ok(()) => return,
                // Another was quicker.
                Err(Error::Conflict(_) | Error::Gone(_)) => {}
                Err(error) => self.trouble(&error).await,
            }
        }
    }

    /// Until the Lease is free, or the watch ends.
    async fn watch(&mut self, version: &str) -> Result<(), Error> {
        if self.free_from() <= Instant::now() {
            return Ok(());
        }
        let begun = timeout(self.timing.renew_deadline, self.leases.watch(version)).await;
        let mut changes = begun.map_err(|_| Error::Timeout(self.timing.renew_deadline))??.boxed();
        loop {
            let at = self.free_from();
            match timeout_at(at, changes.next()).await {
                Ok(Some(Ok(Change::Is(held)))) => self.note(Some(held)),
                Ok(Some(Ok(Change::Gone))) => self.note(None),
                // The server has forgotten that place.
                Ok(Some(Err(Error::Transient { .. })) | None) => {
                    sleep(self.timing.retry.min(Duration::from_secs(1))).await;
                    return Ok(());
                }
                Ok(Some(Err(error))) => return Err(error),
                Err(_) => return Ok(()),
            }
            if self.free_from() <= Instant::now() {
                return Ok(());
            }
        }
    }

    fn note(&mut self, held: Option<Held>) {
        let now = Instant::now();
        self.trouble = None;
        let Some(held) = held else {
            self.absent.get_or_insert(now);
            self.say("there is none");
            return;
        };
        self.absent = None;
        let since = match &self.seen {
            Some((before, since)) if before.record == held.record => *since,
            _ => now,
        };
        let holder = &held.record.holder;
        let words = if holder.is_empty() {
            "nobody holds it".to_owned()
        } else {
            format!("{holder} holds it")
        };
        self.say(&words);
        self.seen = Some((held, since));
    }

    fn say(&self, words: &str) {
        if self.standing.set(Ok(words.to_owned())) {
            tracing::info!(lease = self.leases.place(), "lease: {words}");
        }
    }

    /// Tells of a failure, once, and waits. What was known of the Lease stands, unless it may not be seen at all.
    async fn trouble(&mut self, error: &Error) {
        let forbidden = matches!(error, Error::Forbidden { .. });
        let words = error.to_string();
        if forbidden || (self.seen.is_none() && self.absent.is_none()) {
            self.standing.set(Err(words.clone()));
        }
        if self.trouble.as_ref() != Some(&words) {
            tracing::warn!(lease = self.leases.place(), reason = error.category(), "lease: {words}");
            self.trouble = Some(words);
        }
        sleep(self.timing.retry * if forbidden { 5 } else { 1 }).await;
    }

    /// When it may be taken.
    fn free_from(&self) -> Instant {
        let expires = |(held, since): &(Held, Instant)| {
            let Record { holder, duration, .. } = &held.record;
            let duration = if duration.is_zero() {
                self.timing.lease
            } else {
                *duration
            };
            // Our own: an answer that did not come.
            let free = holder.is_empty() || *holder == self.identity;
            if free { *since } else { *since + duration }
        };
        match (&self.seen, self.absent) {
            // Somebody has deleted it: the one who held it may not have noticed yet.
            (Some(seen), _) => expires(seen),
            // One who leads makes it anew the next time it renews.
            (None, Some(absent)) => absent + self.timing.retry.mul_f64(1.5),
            (None, None) => Instant::now(),
        }
    }

    async fn take(&mut self) -> Result<(), Error> {
        let sent = Instant::now();
        let held = self.write(sent + self.timing.renew_deadline).await?;
        self.seen = Some((held, sent));
        sleep(CATCH_UP.min(self.timing.retry)).await;
        self.term.lasts_until(sent + self.timing.renew_deadline);
        self.say("this replica leads");
        Ok(())
    }

    /// Writes that we hold it: a new one, or what we have seen changed.
    async fn write(&self, deadline: Instant) -> Result<Held, Error> {
        let before = self.seen.as_ref().map(|(held, _)| held.clone()).unwrap_or_default();
        let record = before.record.taken_by(&self.identity, self.timing.lease);
        let write = async {
            if self.absent.is_some() || before.version.is_empty() {
                self.leases.create(&record).await
            } else {
                self.leases.replace(&record, &before.version).await
            }
        };
        let limit = self.timing.renew_deadline;
        timeout_at(deadline, write).await.unwrap_or(Err(Error::Timeout(limit)))
    }

    /// Renews until that fails for too long, or somebody else has it.
    async fn lead(&mut self) {
        let mut deadline = self.seen.as_ref().map_or_else(Instant::now, |(_, at)| *at) + self.timing.renew_deadline;
        let mut next = Instant::now() + self.timing.retry;
        loop {
            sleep_until(next.min(deadline)).await;
            let sent = Instant::now();
            if sent >= deadline {
                return;
            }
            next = sent + self.timing.retry;
            match self.write(deadline.min(sent + self.timing.retry * 2)).await {
                // An answer that was slept through: what was not done meanwhile is not made up for.
                Ok(_) if Instant::now() >= deadline => return,
                Ok(held) => {
                    self.absent = None;
                    self.seen = Some((held, sent));
                    deadline = sent + self.timing.renew_deadline;
                    self.term.lasts_until(deadline);
                    self.say("this replica leads");
                }
                Err(Error::Conflict(_) | Error::Gone(_)) => match self.look_again(deadline).await {
                    Some(true) => next = Instant::now(),
                    Some(false) => return,
                    None => {}
                },
                Err(error) => tracing::warn!(lease = self.leases.place(), "the lease is not renewed: {error}"),
            }
        }
    }

    /// Whether it is ours still, or is gone; `None`: not known.
    async fn look_again(&mut self, deadline: Instant) -> Option<bool> {
        let (held, _) = timeout_at(deadline, self.leases.read()).await.ok()?.ok()?;
        let Some(held) = held else {
            tracing::warn!(lease = self.leases.place(), "the lease was deleted, and is made anew");
            self.absent = Some(Instant::now());
            return Some(true);
        };
        let ours = held.record.holder == self.identity;
        if !ours {
            tracing::warn!(
                lease = self.leases.place(),
                holder = held.record.holder,
                "somebody else has it"
            );
        }
        self.absent = None;
        self.seen = Some((held, Instant::now()));
        Some(ours)
    }

    async fn release(&self) {
        let Some((held, _)) = &self.seen else { return };
        let record = held.record.released();
        match timeout(RELEASE_TIMEOUT, self.leases.replace(&record, &held.version)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.leases.place(), "lease: given back"),
            Ok(Err(error)) => tracing::warn!(lease = self.leases.place(), "lease: not given back: {error}"),
            Err(_) => tracing::warn!(lease = self.leases.place(), "lease: not given back: no answer in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_would_let_two_lead_are_refused() {
        for (lease, renew_deadline, retry, good) in [
            (15, 10, 2, true),
            (10, 10, 2, false),
            (15, 2, 2, false),
            (15, 10, 0, false),
        ] {
            let [lease, renew_deadline, retry] = [lease, renew_deadline, retry].map(Duration::from_secs);
            let timing = Timing {
                lease,
                renew_deadline,
                retry,
            };
            assert_eq!(timing.check().is_ok(), good, "{timing:?}");
        }
    }
}
