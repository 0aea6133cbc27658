//! Connections that break, hang, or are other than usual.

use super::Story;
use crate::support::manifest::{release, version};
use crate::support::relay::{Fault, Relay, Which};
use crate::support::{SOON, Test, equal, holds};

#[test]
fn an_operator_whose_connections_break_again_and_again_arrives() {
    let (story, relay) = Story::begin("broken connections");
    story.edit();
    for _ in 0..5 {
        let asked = relay.asked().len();
        relay.hang_up();
        story.test.wait_until("something is asked for again", SOON, || {
            holds(relay.asked().len() > asked, asked)
        });
    }
    story.arrives();
}

#[test]
fn a_server_that_cannot_be_reached_for_a_while_is_found_again() {
    let (story, relay) = Story::begin("unreachable");
    relay.refuse_connections(true);
    relay.hang_up();
    story.edit();
    let lost = || story.test.log().contains("the API server was not reached");
    story
        .test
        .wait_until("the operator has noticed", SOON, || holds(lost(), "not in its log"));
    let versions = story.watch.written();
    relay.refuse_connections(false);
    story.arrives();
    assert!(story.watch.written() > versions);
}

#[test]
fn a_server_that_vanishes_without_a_word_is_missed_and_found_again() {
    let (story, relay) = Story::begin("vanished");
    relay.vanish();
    story.edit();
    story.arrives();
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_asked_again() {
    let (story, relay) = Story::begin("silent");
    relay.ignore_connections(true);
    relay.hang_up();
    story.edit();
    let attempts = || story.test.log().matches("no answer").count();
    story.test.wait_until("the operator has noticed", SOON, || {
        holds(attempts() > 0, "not in its log")
    });
    relay.ignore_connections(false);
    story.arrives();
}

#[test]
fn a_server_without_http2_is_as_good() {
    let mut test = Test::without_operator("http 1");
    let relay = Relay::without_http2(test.kubeconfig());
    test.connect_with(&relay.kubeconfig);
    test.start();
    let story = Story::of(test);
    // In HTTP/1.1 each watch has a connection of its own.
    story
        .test
        .wait_until("each watch has a connection that is kept alive", SOON, || {
            let (open, kept) = (story.test.connections(), story.test.connections_kept_alive());
            holds(open > 5 && kept > 5, (open, kept))
        });
    story.edit();
    relay.hang_up();
    story.arrives();
}

#[test]
fn in_http2_there_are_two_connections() {
    let (story, _relay) = Story::begin("http 2");
    story.test.wait_until("there are two connections", SOON, || {
        equal(story.test.connections(), &2)
    });
}

#[test]
fn a_kind_that_cannot_be_listed_again_after_a_loss_stops_only_what_needs_it() {
    let (story, relay) = Story::begin("one kind lost");
    relay.disturb(Which::reads("/httproutes?"), Fault::Ignored, None);
    relay.hang_up();
    let other = release("other", "deployment-istio", "none", &[version("other:1")]);
    story.test.apply(&other.to_string());
    story.test.wait_ready("release/other");
    relay.heal();
    story.edit();
    story.arrives();
}
