//! The table of strategies (design, *Behaviour*): what the route says for every combination of readiness, on both meshes.
//!
//! Each row is written to a route of the mesh and read back from it, so that it holds for what is really sent.

use iter8::api::route_match::{HttpRouteMatch, ValueMatch, ValueMatchType};
use iter8::api::route_policy::{Backend, HttpRouteTarget, ParentRef, RoutingStrategy, VirtualServiceTarget};
use iter8::api::status::Tristate::{self, False, True, Unknown};
use iter8::api::status::WeightSource;
use iter8::cluster::view;
use iter8::model::kind::KindRef;
use iter8::model::observed::{Body, StoredRoute, Uid};
use iter8::model::policy::{Policy, PolicyVersion, Target};
use iter8::plan::policy::weights::InForce;
use iter8::plan::policy::{intent, target_kind};
use iter8::plan::readiness::Readiness;
use iter8::plan::routes;

use RoutingStrategy::{BlueGreen, Canary, Mirror};

/// A version of a case: its readiness, its weight, and whose place it takes.
type Version = (Tristate, i32, Option<usize>);

fn version(index: usize, (_, weight, serves_for): Version) -> PolicyVersion {
    let header = ValueMatch {
        type_: ValueMatchType::Exact,
        name: "traffic".to_owned(),
        value: "test".to_owned(),
    };
    let matches = vec![HttpRouteMatch {
        headers: vec![header],
        ..HttpRouteMatch::default()
    }];
    PolicyVersion {
        name: format!("web-{index}"),
        resources: Vec::new(),
        backend: Backend {
            name: format!("web-{index}"),
            port: 80,
        },
        weight,
        weight_config_map: None,
        matches: if index == 0 { Vec::new() } else { matches },
        serves_for,
    }
}

fn policy(strategy: RoutingStrategy, versions: &[Version], route: Target) -> Policy {
    Policy {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        uid: Uid(7),
        generation: 1,
        strategy,
        versions: versions
            .iter()
            .enumerate()
            .map(|(index, one)| version(index, *one))
            .collect(),
        route,
        suspend: false,
    }
}

fn meshes() -> [Target; 2] {
    let parent = ParentRef {
        name: "web".to_owned(),
        kind: Some("Service".to_owned()),
        ..ParentRef::default()
    };
    let http = HttpRouteTarget {
        parent_refs: vec![parent],
        ..HttpRouteTarget::default()
    };
    let istio = VirtualServiceTarget {
        hosts: vec!["web".to_owned()],
        ..VirtualServiceTarget::default()
    };
    [
        Target::HttpRoute("web".to_owned(), http),
        Target::VirtualService("web".to_owned(), istio),
    ]
}

/// The route that follows, in words: `web-0:50 web-1:50`, `[web-1:100] web-0:100`, `web-0:100 +web-1:50`, `stays`.
fn route(policy: &Policy, versions: &[Version], stored: Option<&StoredRoute>) -> (String, Option<StoredRoute>) {
    let readiness: Vec<Readiness> = versions
        .iter()
        .map(|one| Readiness {
            ready: one.0,
            reason: "Test",
            message: String::new(),
        })
        .collect();
    let weights: Vec<InForce> = versions
        .iter()
        .map(|one| InForce {
            weight: one.1,
            source: WeightSource::Spec,
            bad: None,
        })
        .collect();
    let Some(intent) = intent::of(policy, &readiness, &weights, stored) else {
        return ("stays".to_owned(), None);
    };
    let mut object = routes::render(policy, &intent);
    object["metadata"]["uid"] = Uid(9).to_string().into();
    let kind = KindRef::Known(target_kind(&policy.route));
    let seen = view::read(&kind, &object.to_string()).expect("a route that is written can be read");
    let Body::Route(stored) = seen.object.body else {
        panic!("it is a route")
    };
    (words(&stored), Some(*stored))
}

fn words(route: &StoredRoute) -> String {
    let rule = |rule: &iter8::model::observed::StoredRule| {
        let answer = rule
            .backends
            .iter()
            .map(|one| format!("{}:{}", one.service, one.weight));
        let copies = rule
            .mirrors
            .iter()
            .map(|one| format!("+{}:{}", one.service, one.weight));
        let all = answer.chain(copies).collect::<Vec<_>>().join(" ");
        if rule.matched { format!("[{all}]") } else { all }
    };
    route.rules.iter().map(rule).collect::<Vec<_>>().join(" ")
}

/// What the route says of a case that began with a stored route in which the versions named by `before` were ready.
fn says(strategy: RoutingStrategy, before: Option<&[Version]>, now: &[Version]) -> String {
    says_after(before.map(|before| (strategy, before)), strategy, now)
}

/// The same where the stored route may be of another strategy.
fn says_after(before: Option<(RoutingStrategy, &[Version])>, strategy: RoutingStrategy, now: &[Version]) -> String {
    let all: Vec<String> = meshes()
        .into_iter()
        .map(|target| {
            let stored = before.and_then(|(strategy, before)| {
                let policy = policy(strategy, before, target.clone());
                route(&policy, before, None).1
            });
            route(&policy(strategy, now, target), now, stored.as_ref()).0
        })
        .collect();
    assert_eq!(all[0], all[1], "both meshes say the same");
    all.into_iter().next().expect("two meshes")
}

const fn v(ready: Tristate, weight: i32) -> Version {
    (ready, weight, None)
}

/// Readiness of primary and candidate when the route was stored, if it was; readiness now; what the route says now.
type Row<'a> = (Option<(Tristate, Tristate)>, (Tristate, Tristate), &'a str);

fn check(strategy: RoutingStrategy, rows: &[Row<'_>]) {
    for (before, (primary, candidate), want) in rows {
        let before = before.map(|(primary, candidate)| [v(primary, 30), v(candidate, 70)]);
        let now = [v(*primary, 30), v(*candidate, 70)];
        let got = says(strategy, before.as_ref().map(<[Version; 2]>::as_slice), &now);
        assert_eq!(got, *want, "{strategy:?}: stored with {before:?}, now {now:?}");
    }
}

#[test]
fn blue_green_shares_requests_among_the_versions_that_are_ready() {
    check(
        BlueGreen,
        &[
            (None, (True, True), "web-0:30 web-1:70"),
            (None, (True, False), "web-0:100"),
            (None, (True, Unknown), "web-0:100"),
            (None, (False, True), "web-1:100"),
            (None, (Unknown, True), "web-1:100"),
            (None, (False, False), "stays"),
            (None, (Unknown, Unknown), "stays"),
            (Some((True, True)), (True, True), "web-0:30 web-1:70"),
            (Some((True, True)), (True, False), "web-0:100"),
            (Some((True, True)), (True, Unknown), "web-0:30 web-1:70"),
            (Some((True, True)), (Unknown, True), "web-0:30 web-1:70"),
            (Some((True, True)), (Unknown, Unknown), "web-0:30 web-1:70"),
            (Some((True, True)), (False, True), "web-1:100"),
            (Some((True, True)), (False, Unknown), "web-1:100"),
            (Some((True, True)), (False, False), "stays"),
            (Some((True, False)), (True, Unknown), "web-0:100"),
            (Some((True, False)), (False, Unknown), "stays"),
            (Some((True, False)), (False, True), "web-1:100"),
        ],
    );
}

#[test]
fn canary_gives_the_candidate_its_matches_and_the_primary_all_else() {
    check(
        Canary,
        &[
            (None, (True, True), "[web-1:100] web-0:100"),
            (None, (True, False), "web-0:100"),
            (None, (True, Unknown), "web-0:100"),
            (None, (False, True), "stays"),
            (None, (Unknown, True), "stays"),
            (None, (False, False), "stays"),
            (Some((True, True)), (True, False), "web-0:100"),
            (Some((True, True)), (True, Unknown), "[web-1:100] web-0:100"),
            (Some((True, True)), (Unknown, True), "[web-1:100] web-0:100"),
            (Some((True, True)), (False, True), "[web-1:100] web-0:100"),
            (Some((True, True)), (False, False), "web-0:100"),
            (Some((True, False)), (False, False), "web-0:100"),
        ],
    );
}

#[test]
fn mirror_lets_the_primary_answer_and_the_candidate_get_copies() {
    check(
        Mirror,
        &[
            (None, (True, True), "web-0:100 +web-1:70"),
            (None, (True, False), "web-0:100"),
            (None, (True, Unknown), "web-0:100"),
            (None, (False, True), "stays"),
            (None, (False, False), "stays"),
            (Some((True, True)), (True, False), "web-0:100"),
            (Some((True, True)), (True, Unknown), "web-0:100 +web-1:70"),
            (Some((True, True)), (Unknown, True), "web-0:100 +web-1:70"),
            (Some((True, True)), (False, True), "web-0:100 +web-1:70"),
            (Some((True, True)), (False, False), "web-0:100"),
        ],
    );
}

#[test]
fn a_new_strategy_waits_for_a_primary_that_fails_while_another_version_answers() {
    for (strategy, all) in [(Canary, "[web-1:100] web-0:100"), (Mirror, "web-0:100 +web-1:70")] {
        let after = |(primary, candidate), now: (Tristate, Tristate)| {
            let before = [v(primary, 30), v(candidate, 70)];
            says_after(Some((BlueGreen, &before)), strategy, &[v(now.0, 30), v(now.1, 70)])
        };
        assert_eq!(after((True, True), (False, True)), "stays");
        assert_eq!(after((True, True), (False, Unknown)), "stays");
        assert_eq!(after((False, True), (False, True)), "stays");
        assert_eq!(after((True, True), (True, True)), all);
        // Nobody else answers.
        assert_eq!(after((True, True), (False, False)), "web-0:100");
        assert_eq!(after((True, False), (False, True)), all);
    }
}

#[test]
fn a_canary_that_answers_goes_on_while_the_primary_fails_though_the_strategy_changes() {
    let says = |now: Tristate| {
        let before = [v(True, 30), v(True, 70)];
        says_after(Some((Canary, &before)), Mirror, &[v(False, 30), v(now, 70)])
    };
    assert_eq!(says(True), "stays");
    assert_eq!(says(False), "web-0:100");
}

#[test]
fn a_version_that_left_the_policy_stays_in_the_catch_all_until_the_primary_is_ready() {
    let before = [v(True, 30), v(True, 70)];
    for strategy in [BlueGreen, Canary, Mirror] {
        let after = |primary| says_after(Some((BlueGreen, &before)), strategy, &[v(primary, 30)]);
        assert_eq!(after(False), "stays", "{strategy:?}");
        assert_eq!(after(True), "web-0:100", "{strategy:?}");
    }
}

#[test]
fn a_weight_of_zero_means_zero() {
    assert_eq!(says(BlueGreen, None, &[v(True, 0), v(True, 100)]), "web-1:100");
    assert_eq!(
        says(BlueGreen, None, &[v(True, 50), v(True, 0), v(True, 50)]),
        "web-0:50 web-2:50"
    );
    assert_eq!(says(Mirror, None, &[v(True, 50), v(True, 0)]), "web-0:100");
}

#[test]
fn with_all_weights_zero_the_primary_gets_all_and_without_it_the_candidates_share_equally() {
    assert_eq!(says(BlueGreen, None, &[v(True, 0), v(True, 0)]), "web-0:100");
    assert_eq!(
        says(BlueGreen, None, &[v(False, 0), v(True, 0), v(True, 0)]),
        "web-1:50 web-2:50"
    );
    let before = [v(True, 0), v(True, 100)];
    assert_eq!(
        says(BlueGreen, Some(&before), &[v(True, 0), v(False, 100)]),
        "web-0:100",
        "0/100 and the 100 fails"
    );
}

#[test]
fn a_stand_in_gets_the_place_of_the_version_that_it_serves_for_beside_its_own() {
    let stand_in = (True, 70, Some(0));
    assert_eq!(says(BlueGreen, None, &[v(True, 30), stand_in]), "web-1:100");
    assert_eq!(
        says(BlueGreen, None, &[v(True, 30), stand_in, v(True, 50)]),
        "web-1:67 web-2:33"
    );
    assert_eq!(says(Canary, None, &[v(True, 30), stand_in]), "[web-1:100] web-1:100");
    assert_eq!(says(Mirror, None, &[v(True, 30), stand_in]), "web-1:100");
}

#[test]
fn a_stand_in_that_is_not_ready_leaves_the_place_to_the_version_itself() {
    let stand_in = (False, 70, Some(0));
    assert_eq!(says(BlueGreen, None, &[v(True, 30), stand_in]), "web-0:100");
    assert_eq!(says(Canary, None, &[v(True, 30), stand_in]), "web-0:100");
    assert_eq!(says(Mirror, None, &[v(True, 30), stand_in]), "web-0:100");
}

#[test]
fn a_stand_in_whose_readiness_is_unknown_stays_where_the_stored_route_has_it() {
    let before = [v(False, 30), (True, 70, Some(0))];
    let now = [v(True, 30), (Unknown, 70, Some(0))];
    for strategy in [BlueGreen, Mirror] {
        assert_eq!(says(strategy, Some(&before), &now), "web-1:100");
        assert_eq!(says(strategy, None, &now), "web-0:100");
    }
    assert_eq!(says(Canary, Some(&before), &now), "[web-1:100] web-1:100");
}

#[test]
fn nobody_answers_for_a_primary_and_a_stand_in_that_both_fail() {
    let before = [v(True, 30), (True, 70, Some(0))];
    let now = [v(False, 30), (False, 70, Some(0))];
    assert_eq!(says(BlueGreen, Some(&before), &now), "stays");
    assert_eq!(says(Canary, Some(&before), &now), "web-1:100");
    assert_eq!(says(Mirror, Some(&before), &now), "web-1:100");
}

#[test]
fn no_more_mirrors_are_written_than_an_httproute_holds() {
    let versions = [v(True, 50); 17];
    assert_eq!(says(Mirror, None, &versions[..16]).matches('+').count(), 15);
}
