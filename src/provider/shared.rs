//! Answers that are shared: equal queries are sent once.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::query::Sample;

/// How long answers are kept.
const KEEP: Duration = Duration::from_mins(1);

/// How many answers are kept; the oldest go first.
const MOST: usize = 10_000;

/// Answers by what was asked.
pub struct Shared<K>(Arc<Mutex<State<K>>>);

struct State<K> {
    entries: HashMap<K, Entry>,
    /// The known ones by when they were asked for; some may have been asked for again since.
    order: VecDeque<(Instant, K)>,
}

enum Entry {
    /// Somebody asks.
    Asked(Told),
    /// What came of it, and when it was asked for.
    Known(Instant, Sample),
}

type Told = future::Shared<oneshot::Receiver<Sample>>;

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            entries: HashMap::new(),
            order: VecDeque::new(),
        })))
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Shared<K> {
    /// What comes of asking, or came of it for somebody who asked the same: at the same time, or not longer ago than
    /// `max_age`.
    ///
    /// Asking goes on if this future is dropped. Errors are told to all who wait, and not kept: they say nothing of the
    /// number, and who tries again means it.
    pub async fn get<F>(&self, key: K, max_age: Duration, ask: F) -> Sample
    where
        F: Future<Output = Sample> + Send + 'static,
    {
        let told = match self.begin(key, max_age, ask) {
            Entry::Known(_, sample) => return sample,
            Entry::Asked(told) => told,
        };
        let ends = |_| Sample::Error("asking broke off: it is tried again".to_owned());
        told.await.unwrap_or_else(ends)
    }

    /// What is known or asked already; else it is asked now.
    fn begin<F>(&self, key: K, max_age: Duration, ask: F) -> Entry
    where
        F: Future<Output = Sample> + Send + 'static,
    {
        let now = Instant::now();
        let mut state = lock(&self.0);
        match state.entries.get(&key) {
            Some(Entry::Known(at, sample)) if now - *at <= max_age.min(KEEP) => {
                return Entry::Known(*at, sample.clone());
            }
            Some(Entry::Asked(told)) => return Entry::Asked(told.clone()),
            _ => {}
        }
        let (tell, told) = oneshot::channel();
        let told = told.shared();
        state.entries.insert(key.clone(), Entry::Asked(told.clone()));
        drop(state);
        let question = Question {
            state: Arc::clone(&self.0),
            key,
            at: now,
            answered: false,
        };
        tokio::spawn(async move {
            let sample = ask.await;
            question.answered(&sample);
            let _ = tell.send(sample); // nobody may wait any more
        });
        Entry::Asked(told)
    }
}

/// Something that is being asked. When it goes, whatever the reason, it can be asked again.
struct Question<K: Eq + Hash> {
    state: Arc<Mutex<State<K>>>,
    key: K,
    at: Instant,
    answered: bool,
}

impl<K: Clone + Eq + Hash> Question<K> {
    fn answered(mut self, sample: &Sample) {
        self.answered = true;
        let mut state = lock(&self.state);
        if matches!(sample, Sample::Error(_)) {
            state.entries.remove(&self.key);
            return;
        }
        let known = Entry::Known(self.at, sample.clone());
        state.entries.insert(self.key.clone(), known);
        state.order.push_back((self.at, self.key.clone()));
        state.tidy();
    }
}

impl<K: Eq + Hash> Drop for Question<K> {
    fn drop(&mut self) {
        if !self.answered {
            lock(&self.state).entries.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash> State<K> {
    /// Drops what is too old or too much.
    fn tidy(&mut self) {
        let goes = |(at, _): &(Instant, K), kept: usize| kept > MOST || at.elapsed() > KEEP;
        while self.order.front().is_some_and(|oldest| goes(oldest, self.order.len()))
            && let Some((at, key)) = self.order.pop_front()
        {
            if matches!(self.entries.get(&key), Some(Entry::Known(known, _)) if *known == at) {
                self.entries.remove(&key);
            }
        }
    }
}

fn lock<K>(state: &Mutex<State<K>>) -> MutexGuard<'_, State<K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;
    use tokio::time::advance;

    /// Answers with how many times it was asked.
    #[derive(Clone, Default)]
    struct Count(Arc<AtomicUsize>);

    impl Count {
        fn ask(&self) -> impl Future<Output = Sample> + Send + 'static {
            let count = Arc::clone(&self.0);
            async move { Sample::NoData(format!("{}", 1 + count.fetch_add(1, Ordering::Relaxed))) }
        }
    }

    fn nth(count: usize) -> Sample {
        Sample::NoData(count.to_string())
    }

    const AGE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_again_until_it_is_too_old_for_who_asks() {
        let (shared, count) = (Shared::default(), Count::default());
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(1));
        advance(AGE).await;
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(1));
        assert_eq!(shared.get("b", AGE, count.ask()).await, nth(2));
        advance(Duration::from_millis(1)).await;
        assert_eq!(shared.get("a", AGE * 2, count.ask()).await, nth(1));
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(3));
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(3));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_for_longer_than_a_minute() {
        let (shared, count) = (Shared::default(), Count::default());
        assert_eq!(shared.get("a", KEEP * 9, count.ask()).await, nth(1));
        advance(KEEP + Duration::from_millis(1)).await;
        assert_eq!(shared.get("a", KEEP * 9, count.ask()).await, nth(2));
        assert_eq!(lock(&shared.0).order.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_go_first_and_their_number_is_bounded() {
        let (shared, count) = (Shared::default(), Count::default());
        for key in 0..=MOST {
            shared.get(key, AGE, count.ask()).await;
        }
        let state = lock(&shared.0);
        assert_eq!((state.entries.len(), state.order.len()), (MOST, MOST));
        assert!(!state.entries.contains_key(&0) && state.entries.contains_key(&MOST));
    }

    #[tokio::test]
    async fn who_asks_meanwhile_waits_for_the_same_answer() {
        let (shared, count, go) = (Shared::default(), Count::default(), Arc::new(Notify::new()));
        let slow = || {
            let (ask, go) = (count.ask(), Arc::clone(&go));
            async move {
                go.notified().await;
                ask.await
            }
        };
        let (first, second, ()) = tokio::join!(
            shared.get("a", Duration::ZERO, slow()),
            shared.get("a", Duration::ZERO, slow()),
            async { go.notify_one() },
        );
        assert_eq!((first, second), (nth(1), nth(1)));
    }

    #[tokio::test]
    async fn asking_goes_on_though_nobody_waits_any_more() {
        let (shared, count, go) = (Shared::default(), Count::default(), Arc::new(Notify::new()));
        let ask = {
            let (ask, go) = (count.ask(), Arc::clone(&go));
            async move {
                go.notified().await;
                ask.await
            }
        };
        assert!(shared.get("a", AGE, ask).now_or_never().is_none());
        go.notify_one();
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(1));
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(1));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let (shared, count) = (Shared::default(), Count::default());
        let error = Sample::Error("e".to_owned());
        assert_eq!(shared.get("a", AGE, future::ready(error.clone())).await, error);
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(1));
    }

    fn broken() -> Sample {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn what_panics_can_be_asked_again() {
        let (shared, count) = (Shared::default(), Count::default());
        let sample = shared.get("a", AGE, async { broken() }).await;
        assert!(matches!(sample, Sample::Error(_)));
        assert_eq!(shared.get("a", AGE, count.ask()).await, nth(1));
    }
}
