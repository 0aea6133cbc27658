//! Waiting for a condition.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, on a busy machine too.
pub const SOON: Duration = Duration::from_mins(1);

/// When a condition is looked at again: soon, and then less and less often, for the API server has other tests to serve.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));

/// Waits until `look` answers `Ok`. Its `Err` is what it saw; the last one is told when the time is up.
#[track_caller]
pub fn wait_until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    let (mut pause, longest) = LOOK_AGAIN;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "waited {within:?} in vain until {what}; seen last: {seen}"
            ),
        }
        thread::sleep(pause);
        pause = longest.min(pause.mul_f64(1.5));
    }
}

/// Waits until `look` has shown the same for so long, and answers with that.
#[track_caller]
pub fn at_rest<T: PartialEq + Debug>(what: &str, during: Duration, mut look: impl FnMut() -> T) -> T {
    let (mut seen, mut since) = (look(), Instant::now());
    wait_until(what, SOON, || {
        let now = look();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        if since.elapsed() < during {
            Err(format!("{seen:?}"))
        } else {
            Ok(())
        }
    });
    seen
}

/// Looks for the whole of this time, once a second, and fails as soon as `look` does not answer `Ok`.
#[track_caller]
pub fn stays(what: &str, during: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let (begin, mut looks) = (Instant::now(), 0);
    while begin.elapsed() < during {
        thread::sleep(Duration::from_secs(1).min(during.saturating_sub(begin.elapsed())));
        looks += 1;
        if let Err(seen) = look() {
            panic!(
                "after {:?}, at look {looks}, it was no longer so that {what}; seen: {seen}",
                begin.elapsed()
            );
        }
    }
}

/// For [`wait_until`]: whether what was seen is what was wanted.
pub fn equal<T: Debug + PartialEq<W>, W: Debug + ?Sized>(got: T, want: &W) -> Result<T, String> {
    if got == *want {
        return Ok(got);
    }
    Err(format!("{got:?} instead of {want:?}"))
}

/// For [`wait_until`]: whether something holds, and what was seen.
pub fn holds(condition: bool, seen: impl Debug) -> Result<(), String> {
    if condition { Ok(()) } else { Err(format!("{seen:?}")) }
}
