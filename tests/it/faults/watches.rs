//! Watches that end otherwise than in time.

use super::Story;
use crate::support::relay::{Fault, Refusal, Which};
use crate::support::{SOON, holds};

/// All that a Release and its route are made of.
const KINDS: [&str; 7] = [
    "/releases?",
    "/routepolicies?",
    "/deployments?",
    "/services?",
    "/configmaps?",
    "/virtualservices?",
    "/httproutes?",
];

/// A story in which this befalls the next events of every kind, of which there are few.
fn with_events(name: &str, fault: &Fault) {
    let (story, relay) = Story::begin(name);
    for kind in KINDS {
        relay.disturb(Which::reads(kind), fault.clone(), Some(3));
    }
    story.edit();
    story.arrives();
    let disturbed = relay.disturbed();
    // HTTPRoutes have no events here.
    for kind in &KINDS[..6] {
        assert!(
            disturbed.iter().any(|line| line.contains(kind)),
            "of {kind}: {disturbed:?}"
        );
    }
}

#[test]
fn watches_that_end_within_an_event_miss_nothing() {
    with_events("half events", &Fault::Halved { breaks: false });
}

#[test]
fn watches_that_break_within_an_event_miss_nothing() {
    with_events("broken events", &Fault::Halved { breaks: true });
}

#[test]
fn watches_that_the_server_has_forgotten_begin_anew() {
    with_events("410 event", &Fault::Forgotten);
}

#[test]
fn watches_that_cannot_be_opened_as_the_server_has_forgotten_their_place_begin_anew() {
    let (story, relay) = Story::begin("410 answer");
    for kind in KINDS {
        relay.disturb(Which::watches(kind), Fault::Refused(Refusal::EXPIRED), Some(1));
        // So that they are opened anew from where they are.
        relay.disturb(Which::reads(kind), Fault::Halved { breaks: false }, Some(1));
    }
    story.edit();
    story.test.wait_until("all of them were refused", SOON, || {
        let disturbed = relay.disturbed();
        holds(disturbed.len() >= 12, disturbed)
    });
    story.arrives();
}

#[test]
fn a_list_or_a_watch_that_is_never_answered_is_asked_for_again() {
    let (story, relay) = Story::begin("hanging watch");
    relay.disturb(Which::reads("/deployments?"), Fault::Ignored, Some(1));
    relay.disturb(Which::watches("/configmaps?"), Fault::Ignored, Some(1));
    for kind in ["/deployments?", "/configmaps?"] {
        relay.disturb(Which::reads(kind), Fault::Halved { breaks: true }, Some(1));
    }
    story.edit();
    story.arrives();
    assert_eq!(relay.disturbed().len(), 4);
}
