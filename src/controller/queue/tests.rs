use super::Priority::{High, Low, Normal};
use super::*;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_millis(1);

/// How many keys of high priority may run at once, and how many others.
const LIMIT: usize = 3;

fn queue() -> Queue<&'static str> {
    Queue::new(LIMIT, Calm::default())
}

async fn next(queue: &Queue<&'static str>) -> Option<&'static str> {
    timeout(SOON, queue.next()).await.unwrap_or(None).map(|(key, _)| key)
}

#[tokio::test(start_paused = true)]
async fn keys_come_first_in_first_out_and_each_once() {
    let queue = queue();
    for key in ["a", "b", "a", "c"] {
        queue.add(key, Normal);
    }
    assert_eq!(queue.len(), 3);
    for key in ["a", "b", "c"] {
        assert_eq!(next(&queue).await, Some(key));
    }
    assert_eq!(next(&queue).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_it_runs_runs_again_afterwards() {
    let queue = queue();
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, Some("a"));
    queue.add("a", Normal);
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, None);
    queue.done(&"a");
    assert_eq!(next(&queue).await, Some("a"));
    queue.done(&"a");
    assert_eq!(next(&queue).await, None);
    assert_eq!((queue.len(), queue.running()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_for_later_comes_at_its_time() {
    let queue = queue();
    queue.add_after("a", Normal, Duration::from_secs(5));
    let begun = Instant::now();
    assert_eq!(queue.next().await, Some(("a", Normal)));
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_earliest_time_counts() {
    for (first, second) in [(9, 2), (2, 9)] {
        let queue = queue();
        queue.add_after("a", Normal, Duration::from_secs(first));
        queue.add_after("a", Normal, Duration::from_secs(second));
        let begun = Instant::now();
        assert_eq!(queue.next().await, Some(("a", Normal)));
        assert_eq!(begun.elapsed().as_secs(), 2);
        queue.done(&"a");
        sleep(Duration::from_secs(20)).await;
        assert_eq!(next(&queue).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_time_wakes_a_worker_that_waits_for_a_later_one() {
    let queue = queue();
    queue.add_after("late", Normal, Duration::from_mins(1));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await }
    });
    sleep(Duration::from_secs(1)).await;
    queue.add_after("early", Normal, Duration::from_secs(1));
    let begun = Instant::now();
    assert_eq!(worker.await.unwrap(), Some(("early", Normal)));
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_makes_an_earlier_asked_time_void() {
    let queue = queue();
    queue.add_after("a", Normal, Duration::from_secs(5));
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, Some("a"));
    queue.done(&"a");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(next(&queue).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_time_asked_for_during_a_run_stands() {
    let queue = queue();
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, Some("a"));
    queue.add_after("a", Normal, Duration::from_secs(3));
    queue.done(&"a");
    let begun = Instant::now();
    assert_eq!(queue.next().await, Some(("a", Normal)));
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_worker_and_lets_what_runs_end() {
    let queue = queue();
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, Some("a"));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next().await })
        })
        .collect();
    sleep(SOON).await;
    queue.add("a", Normal);
    queue.close();
    for worker in workers {
        assert_eq!(timeout(SOON, worker).await.unwrap().unwrap(), None);
    }
    queue.done(&"a");
    assert_eq!(queue.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_is_told() {
    let queue = queue();
    assert_eq!(queue.oldest(), None);
    queue.add("a", Normal);
    sleep(Duration::from_secs(4)).await;
    queue.add("b", Normal);
    assert_eq!(queue.oldest().map(|wait| wait.as_secs()), Some(4));
}

/// Every added key is worked on after its last add, never twice at once, and no worker sleeps while keys wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_miss_nothing() {
    use std::sync::atomic::{AtomicU64, Ordering};
    const KEYS: usize = 20;
    let queue: Queue<usize> = Queue::new(8, Calm::default());
    let wanted: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let seen: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let busy: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let worker = || {
        let (queue, wanted, seen, busy) = (queue.clone(), wanted.clone(), seen.clone(), busy.clone());
        tokio::spawn(async move {
            while let Some((key, _)) = queue.next().await {
                assert_eq!(busy[key].fetch_add(1, Ordering::SeqCst), 0, "twice at once");
                let now = wanted[key].load(Ordering::SeqCst);
                tokio::task::yield_now().await;
                seen[key].store(now, Ordering::SeqCst);
                busy[key].fetch_sub(1, Ordering::SeqCst);
                queue.done(&key);
            }
        })
    };
    let workers: Vec<_> = (0..8).map(|_| worker()).collect();
    for round in 0..5000 {
        let key = round * 7 % KEYS;
        wanted[key].fetch_add(1, Ordering::SeqCst);
        queue.add(key, Normal);
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let all_seen = || (0..KEYS).all(|k| wanted[k].load(Ordering::SeqCst) == seen[k].load(Ordering::SeqCst));
    timeout(Duration::from_secs(10), async {
        while !all_seen() {
            sleep(SOON).await;
        }
    })
    .await
    .unwrap();
    queue.close();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_of_a_higher_priority_comes_first() {
    let queue = queue();
    for (key, priority) in [("tell", Low), ("make", Normal), ("route", High), ("route too", High)] {
        queue.add(key, priority);
    }
    for key in ["route", "route too", "make", "tell"] {
        assert_eq!(next(&queue).await, Some(key));
        queue.done(&key);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_high_has_workers_of_its_own() {
    for (some, others) in [(Normal, High), (High, Normal)] {
        let queue = queue();
        for key in ["a", "b", "c", "d"] {
            queue.add(key, some);
        }
        for key in ["a", "b", "c"] {
            assert_eq!(next(&queue).await, Some(key));
        }
        assert_eq!(next(&queue).await, None);
        queue.add("e", others);
        assert_eq!(next(&queue).await, Some("e"));
        assert_eq!(next(&queue).await, None);
        queue.done(&"b");
        assert_eq!(next(&queue).await, Some("d"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_that_was_given_counts_and_the_key_runs_once() {
    for given in [[Low, High], [High, Low]] {
        let queue = queue();
        queue.add("before", Normal);
        for priority in given {
            queue.add("a", priority);
        }
        assert_eq!(queue.next().await, Some(("a", High)));
        queue.add("a", Low); // while it runs
        assert_eq!(next(&queue).await, Some("before"));
        assert_eq!(next(&queue).await, None);
        queue.done(&"a");
        assert_eq!(queue.next().await, Some(("a", Low)));
        assert_eq!(next(&queue).await, None);
    }
    let queue = queue();
    queue.add_after("a", High, Duration::from_secs(9));
    queue.add_after("a", Low, Duration::from_secs(2));
    assert_eq!(queue.next().await, Some(("a", High)));
}

#[tokio::test(start_paused = true)]
async fn what_is_low_waits_until_it_is_calm() {
    let calm = Calm::default();
    let queue = Queue::new(LIMIT, calm.clone());
    calm.disturb();
    queue.add("tell", Low);
    sleep(SOON).await;
    queue.add("make", Normal);
    assert_eq!(next(&queue).await, Some("make"));
    let from = calm.from().unwrap();
    assert_eq!(queue.next().await, Some(("tell", Low)));
    assert!(Instant::now() >= from && from.elapsed() < 2 * SOON);
}

#[tokio::test(start_paused = true)]
async fn what_is_low_waits_no_longer_than_its_patience_when_it_is_never_calm() {
    let calm = Calm::default();
    let queue = Queue::new(LIMIT, calm.clone());
    queue.add("tell", Low);
    calm.disturb();
    let disturber = tokio::spawn(async move {
        loop {
            calm.disturb();
            sleep(SOON).await;
        }
    });
    let begun = Instant::now();
    assert_eq!(queue.next().await, Some(("tell", Low)));
    assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE + 2 * SOON);
    queue.add("tell", Low);
    sleep(PATIENCE).await;
    queue.add("make", Normal);
    queue.done(&"tell");
    for key in ["tell", "make"] {
        assert_eq!(next(&queue).await, Some(key)); // it is its turn
        assert!(queue.is_running(&key));
        queue.done(&key);
        assert!(!queue.is_running(&key));
    }
    for key in ["a", "b", "c"] {
        queue.add(key, Low);
    }
    sleep(PATIENCE).await;
    for key in ["a", "b"] {
        assert_eq!(next(&queue).await, Some(key));
    }
    assert_eq!(next(&queue).await, None); // no more at once
    disturber.abort();
    assert_eq!(queue.next().await, Some(("c", Low))); // it is calm
}

#[tokio::test(start_paused = true)]
async fn a_key_behind_another_runs_as_soon_as_that_is_done_for_good() {
    let queue = queue();
    assert!(
        !queue.add_behind("release", &"policy", SOON),
        "there is nothing to wait for"
    );
    assert_eq!(next(&queue).await, None);
    queue.add("release", Low);
    queue.add("policy", Low);
    let begun = Instant::now();
    assert_eq!(next(&queue).await, Some("release"));
    assert!(queue.add_behind("release", &"policy", PATIENCE));
    queue.done(&"release");
    assert_eq!(next(&queue).await, Some("policy"));
    assert!(queue.add_behind("other", &"policy", PATIENCE), "it runs");
    queue.add("policy", Low); // while it runs
    queue.done(&"policy");
    assert_eq!(next(&queue).await, Some("policy"));
    assert_eq!(next(&queue).await, None);
    queue.done(&"policy");
    assert_eq!(queue.next().await, Some(("release", Normal)));
    assert_eq!(queue.next().await, Some(("other", Normal)));
    assert!(begun.elapsed() < PATIENCE);
    queue.done(&"release");
    assert_eq!(next(&queue).await, None, "once");
    sleep(2 * PATIENCE).await;
    assert_eq!(next(&queue).await, None, "the time was for the run that has been");
}

#[tokio::test(start_paused = true)]
async fn a_key_behind_one_that_is_never_done_runs_after_its_time() {
    let queue = queue();
    queue.add("policy", Low);
    assert_eq!(next(&queue).await, Some("policy"));
    let begun = Instant::now();
    assert!(queue.add_behind("release", &"policy", PATIENCE));
    assert_eq!(queue.next().await, Some(("release", Normal)));
    assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE + 2 * SOON);
    queue.done(&"release");
    queue.done(&"policy");
    assert_eq!(next(&queue).await, Some("release"), "what it waited for has come");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_held_does_not_run_before_its_time_whoever_adds_it() {
    let queue = queue();
    let begun = Instant::now();
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, Some("a"));
    queue.add("a", High); // while it runs
    queue.hold(&"a", Duration::from_secs(5));
    queue.add_after("a", Low, Duration::from_secs(1));
    queue.done(&"a");
    queue.add("a", Low);
    queue.add("b", Low);
    assert_eq!(next(&queue).await, Some("b"), "others go on");
    assert_eq!(queue.next().await, Some(("a", High)));
    assert_eq!(begun.elapsed().as_secs(), 5);
    queue.done(&"a");
    queue.add("a", Normal);
    assert_eq!(next(&queue).await, Some("a"), "it is free again");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_is_held_too() {
    let queue = queue();
    let begun = Instant::now();
    queue.add("a", Normal);
    queue.hold(&"a", Duration::from_secs(5));
    assert_eq!(next(&queue).await, None);
    assert_eq!(queue.next().await, Some(("a", Normal)));
    assert_eq!(begun.elapsed().as_secs(), 5);
}
