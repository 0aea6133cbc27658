//! Conditions as the Kubernetes API conventions want them: every one always present, `lastTransitionTime` moved only
//! when the status flips, sentences without anything that changes by itself (or a status would never come to rest).
//!
//! Source: <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties>;
//! `Reconciling` and `Stalled` as kstatus reads them.

use chrono::{DateTime, SubsecRound, Utc};

use crate::api::status::{Condition, Tristate};
use crate::model::reason;

/// Summary of all others.
pub const READY: &str = "Ready";
/// Whether every version of the spec is ready.
pub const VERSIONS_READY: &str = "VersionsReady";
/// Whether the stored route says what it should, and its parents accept it.
pub const ROUTED: &str = "Routed";
/// Whether a change is on its way.
pub const RECONCILING: &str = "Reconciling";
/// Whether nothing goes on before somebody changes something.
pub const STALLED: &str = "Stalled";

/// Longest message that the API server takes for a condition.
const MAX_MESSAGE: usize = 32_768;

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the condition.
    pub type_: &'static str,
    /// Whether it holds.
    pub status: Tristate,
    /// Why, as one CamelCase word.
    pub reason: String,
    /// Why, as a sentence.
    pub message: String,
}

impl Verdict {
    /// A condition's new value.
    pub fn new(type_: &'static str, status: Tristate, reason: &str, message: impl Into<String>) -> Self {
        Self {
            type_,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// Gives verdicts their generation and times; a status that stays keeps its time, and a failure of the connection its
/// sentence: port numbers, the time that was waited and the like would change it with every attempt.
pub fn stamp(verdicts: Vec<Verdict>, old: &[Condition], generation: i64, now: DateTime<Utc>) -> Vec<Condition> {
    verdicts
        .into_iter()
        .map(|verdict| {
            let before = old
                .iter()
                .find(|condition| condition.type_ == verdict.type_ && condition.status == verdict.status);
            Condition {
                type_: verdict.type_.to_owned(),
                status: verdict.status,
                observed_generation: generation,
                last_transition_time: before.map_or_else(|| seconds(now), |condition| condition.last_transition_time),
                message: match before {
                    Some(before) if is_same_failure(before, &verdict.reason, &verdict.message) => {
                        before.message.clone()
                    }
                    _ => shorten(verdict.message),
                },
                reason: verdict.reason,
            }
        })
        .collect()
}

/// Whether a failure is that of before, in the words of others, which may differ each time: of the connection, and about the same
/// object, which the sentences begin with.
pub fn is_same_failure(before: &Condition, reason: &str, message: &str) -> bool {
    let differs = [reason::TRANSIENT, reason::TIMEOUT].contains(&reason);
    let object = |message: &str| message.split(": ").next().map(str::to_owned);
    differs && before.reason == reason && object(&before.message) == object(message)
}

/// The condition of that name.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The conditions that say something else than before, the summary first; not `Reconciling`, which follows from the others.
pub fn changed<'a>(old: &[Condition], new: &'a [Condition]) -> Vec<&'a Condition> {
    let told = [READY, STALLED, VERSIONS_READY, ROUTED];
    let now = told.into_iter().filter_map(|type_| find(new, type_));
    now.filter(|now| {
        let before = find(old, &now.type_);
        let quiet = before.is_none() && now.type_ == STALLED && now.status == Tristate::False;
        !quiet && before.is_none_or(|before| (before.status, &before.reason) != (now.status, &now.reason))
    })
    .collect()
}

/// Kubernetes' times have whole seconds.
pub fn seconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(0)
}

fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|end| message.is_char_boundary(*end))
            .unwrap_or(0);
        message.truncate(end);
    }
    message
}

/// kstatus' `Reconciling`: as long as something is not as it should be and may still become so by itself.
pub fn reconciling(ready: &Verdict, stalled: &Verdict) -> Verdict {
    if ready.status == Tristate::True || stalled.status == Tristate::True {
        let reason = if ready.status == Tristate::True {
            reason::DONE
        } else {
            reason::STALLED
        };
        return Verdict::new(RECONCILING, Tristate::False, reason, "");
    }
    Verdict::new(RECONCILING, Tristate::True, &ready.reason, ready.message.clone())
}

/// Events of conditions that flipped: `Stalled` becoming True, for another reason, or no longer so.
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<crate::plan::Event> {
    use crate::plan::Event;
    let (before, now) = (find(old, STALLED), find(new, STALLED));
    let Some(now) = now else { return Vec::new() };
    let was = before.filter(|condition| condition.status == Tristate::True);
    match (was, now.status == Tristate::True) {
        (None, true) => vec![Event::warning(&now.reason, now.message.clone())],
        (Some(was), true) if was.reason != now.reason => vec![Event::warning(&now.reason, now.message.clone())],
        (Some(was), false) => vec![Event::normal(reason::RECOVERED, format!("{} is over", was.reason))],
        _ => Vec::new(),
    }
}

/// The conditions of an object that cannot be planned at all: it is invalid, or cannot be read.
pub fn rejected(failure: &crate::plan::Failure) -> Vec<Verdict> {
    let verdict = |type_, status| Verdict::new(type_, status, &failure.reason, failure.message.clone());
    let mut verdicts = vec![
        verdict(READY, Tristate::False),
        verdict(VERSIONS_READY, Tristate::Unknown),
        verdict(ROUTED, Tristate::Unknown),
    ];
    if failure.stalled {
        verdicts.push(Verdict::new(RECONCILING, Tristate::False, reason::STALLED, ""));
        verdicts.push(verdict(STALLED, Tristate::True));
    } else {
        verdicts.push(verdict(RECONCILING, Tristate::True));
        verdicts.push(Verdict::new(STALLED, Tristate::False, reason::PROGRESSING, ""));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: (&str, &str), now: (&str, &str)) -> String {
        let time = DateTime::UNIX_EPOCH;
        let verdict = |(reason, message): (&str, &str)| vec![Verdict::new(READY, Tristate::False, reason, message)];
        let before = stamp(verdict(before), &[], 1, time);
        stamp(verdict(now), &before, 1, time).remove(0).message
    }

    #[test]
    fn a_failure_of_the_connection_keeps_its_sentence_and_every_other_has_its_latest() {
        let reset = |object: &str, port: u16| format!("{object}: read tcp 10.0.0.1:{port}: connection reset");
        let (first, again) = (reset("Deployment web-0", 1), reset("Deployment web-0", 2));
        let other = reset("Deployment web-1", 1);
        let cases = [
            (("Transient", &first), ("Transient", &again), &first),
            (("Transient", &first), ("Transient", &other), &other),
            (
                ("InvalidSpecification", &first),
                ("InvalidSpecification", &again),
                &again,
            ),
            (("Timeout", &first), ("Timeout", &again), &first),
            (("Timeout", &first), ("Transient", &again), &again),
        ];
        for ((was, before), (is, now), want) in cases {
            assert_eq!(told((was, before), (is, now)), *want, "{was} then {is}");
        }
    }
}
