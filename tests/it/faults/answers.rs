//! Answers that say no, or that nobody hears.

use std::time::{Duration, Instant};

use super::Story;
use crate::support::manifest::{release, version};
use crate::support::relay::{Fault, Refusal, Relay, Which};
use crate::support::{SOON, Test, equal, holds};

/// In seconds: long enough for everything else to go on meanwhile.
const RETRY_AFTER: u32 = 6;

/// When requests with this in their line came.
fn times(relay: &Relay, line: &str) -> Vec<Instant> {
    let mut asked = relay.asked();
    asked.retain(|asked| asked.line.contains(line));
    asked.iter().map(|asked| asked.at).collect()
}

#[track_caller]
fn is_disturbed(test: &Test, relay: &Relay, times: usize) {
    test.wait_until("the fault has befallen what it should", SOON, || {
        let disturbed = relay.disturbed();
        holds(disturbed.len() >= times, disturbed)
    });
}

#[test]
fn an_object_is_not_written_before_the_server_asks_for_it_and_all_others_are() {
    let (story, relay) = Story::begin("429 write");
    let test = &story.test;
    let overloaded = Fault::Refused(Refusal::overloaded(RETRY_AFTER));
    relay.disturb(Which::writes("/deployments/web-1?"), overloaded, Some(1));
    story.edit();
    is_disturbed(test, &relay, 1);
    // What wakes the Release is no reason to come back earlier.
    test.kubectl(["annotate", "release/web", "woken=1"]);
    test.apply(&release("other", "deployment-istio", "none", &[version("other:1")]).to_string());
    test.wait_ready("release/other");
    test.kubectl(["label", "deployment/web-0", "woken=2"]);
    story.arrives();

    let written = times(&relay, "/deployments/web-1?");
    let waited = written[1] - written[0];
    assert!(waited >= Duration::from_secs(RETRY_AFTER.into()), "{waited:?}");
    let others = times(&relay, "/deployments/other-0?");
    assert!(others[0] < written[1], "the other Release waited too");
}

#[test]
fn a_list_is_not_asked_for_before_the_server_asks_for_it() {
    let test = Test::without_operator("429 list");
    let relay = Relay::start(test.kubeconfig());
    let overloaded = Fault::Refused(Refusal::overloaded(RETRY_AFTER));
    relay.disturb(Which::reads("/deployments?"), overloaded, Some(1));
    let test = start(test, &relay);
    Story::of(test).watch.history();
    let listed = times(&relay, "/deployments?");
    let waited = listed[1] - listed[0];
    assert!(waited >= Duration::from_secs(RETRY_AFTER.into()), "{waited:?}");
}

/// With an operator that is connected through this relay from its beginning.
fn start(mut test: Test, relay: &Relay) -> Test {
    test.connect_with(&relay.kubeconfig);
    test.start();
    test
}

/// What is written, by parts of its paths.
const WRITTEN: [&str; 6] = [
    "/deployments/",
    "/services/",
    "/configmaps/",
    "/routepolicies/",
    "/virtualservices/",
    "/status",
];

/// The fault befalls writes of every kind so often, of which so many are made at least, and all arrives.
#[track_caller]
fn befalls_writes(name: &str, fault: &Fault, times: usize, least: usize) {
    let (story, relay) = Story::begin(name);
    for path in WRITTEN {
        relay.disturb(Which::writes(path), fault.clone(), Some(times));
    }
    story.edit();
    story.arrives();
    assert!(relay.disturbed().len() >= least, "{:?}", relay.disturbed());
}

#[test]
fn writes_that_fail_now_and_then_are_tried_again() {
    // One of each: an object that fails again and again is tried less and less often.
    befalls_writes("500 writes", &Fault::Refused(Refusal::FAILURE), 1, 5);
}

#[test]
fn writes_that_are_said_to_have_failed_and_were_stored_lose_nothing() {
    befalls_writes("500 stored", &Fault::Denied(Refusal::FAILURE), 2, 6);
}

#[test]
fn writes_whose_answers_are_lost_lose_nothing() {
    befalls_writes("lost answers", &Fault::Lost, 2, 8);
}

#[test]
fn a_write_that_is_never_answered_is_tried_again() {
    let (story, relay) = Story::begin("hanging write");
    relay.disturb(Which::writes("/deployments/web-1?"), Fault::Ignored, Some(1));
    story.edit();
    story.arrives();
    assert_eq!(relay.disturbed().len(), 1);
}

#[test]
fn lists_that_fail_at_first_are_asked_for_again() {
    let test = Test::without_operator("500 lists");
    let relay = Relay::start(test.kubeconfig());
    for path in [
        "/releases?",
        "/deployments?",
        "/services?",
        "/virtualservices?",
        "/routepolicies?",
    ] {
        relay.disturb(Which::reads(path), Fault::Refused(Refusal::FAILURE), Some(2));
    }
    let story = Story::of(start(test, &relay));
    story.edit();
    story.arrives();
    assert_eq!(relay.disturbed().len(), 10);
}

#[test]
fn a_token_that_is_refused_for_a_while_is_no_reason_to_give_up() {
    let (story, relay) = Story::begin("401");
    let unauthorized = Refusal {
        code: 401,
        message: "Unauthorized",
        reason: "Unauthorized",
        retry_after: None,
    };
    relay.disturb(Which::writes("/"), Fault::Refused(unauthorized), Some(6));
    relay.disturb(Which::reads("/"), Fault::Refused(unauthorized), Some(12));
    relay.hang_up();
    story.edit();
    is_disturbed(&story.test, &relay, 12);
    story.arrives();
    let ready = story.test.release("web").condition("Ready");
    assert_eq!(ready.map(|ready| ready.status).as_deref(), Some("True"));
}

#[test]
fn a_status_that_cannot_be_written_is_tried_less_and_less_often() {
    let (story, relay) = Story::begin("status refused");
    let path = "/routepolicies/web/status";
    relay.disturb(Which::writes(path), Fault::Refused(Refusal::FAILURE), None);
    story.edit();
    story.runs("web-1", "web:3");
    story.test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    // There is nothing more to do but to tell of it.
    let before = relay.disturbed().len();
    story.test.wait_until("it was tried seven times more", 2 * SOON, || {
        let tried = relay.disturbed().len() - before;
        holds(tried >= 7, tried)
    });
    let mut asked = relay.asked();
    asked.retain(|asked| asked.disturbed);
    // The sixth wait alone is a random part of 3.2 s, or of more.
    let took = asked[before + 6].at - asked[before].at;
    assert!(took > Duration::from_millis(500), "seven times within {took:?}");
    relay.heal();
    story.arrives();
}

#[test]
fn a_kind_whose_lists_are_refused_again_and_again_is_no_longer_taken_for_known() {
    let (story, relay) = Story::begin("refused kind");
    let test = &story.test;
    relay.disturb(Which::reads("/deployments?"), Fault::Forgotten, Some(1));
    relay.disturb(Which::reads("/deployments?"), Fault::Refused(Refusal::FAILURE), None);
    test.kubectl(["label", "deployment/web-0", "woken=1"]); // the watch's next event
    test.wait_until("the Release says that it cannot see", SOON, || {
        equal(test.release("web").ready_reason(), "NotListed")
    });
    relay.heal();
    story.edit();
    story.arrives();
}

#[test]
fn a_kind_whose_watch_is_refused_again_and_again_is_listed_anew() {
    let (story, relay) = Story::begin("refused watch");
    let test = &story.test;
    relay.disturb(Which::reads("/deployments?"), Fault::Halved { breaks: false }, Some(1));
    let overloaded = Fault::Refused(Refusal::overloaded(1));
    relay.disturb(Which::watches("/deployments?"), overloaded, Some(5));
    test.kubectl(["label", "deployment/web-0", "woken=1"]); // the watch's next event
    test.wait_until("the Release says that it cannot see", SOON, || {
        equal(test.release("web").ready_reason(), "NotListed")
    });
    story.edit();
    story.arrives();
}
