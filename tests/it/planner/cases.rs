//! Orders of events that once broke a promise.

mod refusals;
mod serving;

use chrono::Duration;
use iter8::api::release::PromotionStep;
use iter8::model::kind::Kind;
use iter8::model::observed::{Body, Meta, Uid};
use iter8::model::release::{Merged, Specification};
use iter8::plan::{policy, routes};
use serde_json::json;

use super::operator::{self, Crash};
use super::spec::{BROKEN_IMAGE, Edit, Spec, Version};
use super::world::World;
use super::{Happening, checks, others, round, run, settle};

fn version(image: &'static str) -> Version {
    Version {
        name: None,
        image,
        env: None,
        replicas: None,
        weight: None,
        port: None,
    }
}

fn named(name: &'static str, image: &'static str) -> Version {
    Version {
        name: Some(name),
        ..version(image)
    }
}

fn spec(strategy: &'static str, versions: Vec<Version>) -> Spec {
    Spec {
        environment: "deployment-istio",
        gateway: false,
        strategy,
        versions,
        drain: 10,
        suspend: false,
    }
}

/// A world at rest.
fn settled(spec: Spec) -> World {
    let mut world = World::new(spec).unwrap();
    settle(&mut world);
    world
}

fn edit(world: &mut World, edit: &Edit) {
    world.edit(world.spec.edited(edit, &world.before));
}

fn release(world: &mut World) {
    operator::release(world, Crash::default());
}

fn policy_too(world: &mut World) {
    operator::policy(world, Crash::default());
}

fn rounds(world: &mut World, count: usize) {
    for _ in 0..count {
        round(world);
    }
}

/// In Switch; the route followed the policy with nobody in the primary's place, and the source is ready only now, when the
/// time of a drain since then is over.
fn switched_before_its_source_is_ready() -> World {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    edit(&mut world, &Edit::Promote(0));
    release(&mut world);
    world.set_broken("web-1", true);
    world.sync();
    policy_too(&mut world);
    world.pass(Duration::seconds(11));
    world.set_broken("web-1", false);
    world.sync();
    world
}

fn works() -> Happening {
    Happening::Release(Crash::default())
}

#[test]
fn a_promotion_of_a_suspended_release_stays_at_its_step() {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    edit(&mut world, &Edit::Promote(0));
    for _ in 0..30 {
        if checks::step(&world) != Some(PromotionStep::Return) {
            world.pass(Duration::seconds(1));
            round(&mut world);
        }
    }
    edit(&mut world, &Edit::Suspend);
    settle(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::Return));
}

#[test]
fn a_release_is_not_ready_before_its_route_follows_the_end_of_a_promotion() {
    let eight = Version {
        port: Some(8080),
        ..version("web:2")
    };
    let first = spec("blue-green", vec![version("web:1"), eight, version("web:1")]);
    run(&first, true, &[Happening::Edit(Edit::Drop(0))]);
}

#[test]
fn a_new_image_for_a_renamed_version_rolls_out_though_its_stand_in_never_worked() {
    let renamed = Edit::Replace(0, named("a", BROKEN_IMAGE));
    run(
        &spec("blue-green", vec![version(BROKEN_IMAGE)]),
        false,
        &[works(), Happening::Edit(renamed), Happening::Rounds(1)],
    );
}

#[test]
fn a_source_that_becomes_ready_late_drains_the_primary_before_it_rolls() {
    let mut world = switched_before_its_source_is_ready();
    release(&mut world);
    policy_too(&mut world);
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::Switch));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn weights_that_change_places_in_a_promotion_never_make_a_policy_of_zeros() {
    let dark = |version| Version {
        weight: Some(0),
        ..version
    };
    let first = spec("blue-green", vec![version("web:1"), dark(version("web:2"))]);
    let swapped = spec("blue-green", vec![dark(version("web:2")), version("web:1")]);
    let mut world = settled(first);
    world.edit(swapped);
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn versions_that_leave_with_a_change_of_strategy_do_not_become_canaries() {
    let first = ["a", "b", "c"].map(|name| named(name, "web:1")).to_vec();
    let mut world = settled(spec("blue-green", first));
    world.set_broken("a", true);
    world.sync();
    policy_too(&mut world);
    world.edit(spec("canary", vec![named("d", BROKEN_IMAGE)]));
    rounds(&mut world, 5);
    let canaries = world.route().unwrap().rules.iter().filter(|rule| rule.matched).count();
    assert_eq!(canaries, 0);
}

#[test]
fn a_stand_in_for_the_primary_gets_no_match_of_its_own() {
    let mut world = settled(spec("canary", vec![named("a", "web:1")]));
    world.edit(spec("canary", vec![named("b", BROKEN_IMAGE)]));
    rounds(&mut world, 5);
    assert_eq!(world.route().unwrap().rules.len(), 1);
}

#[test]
fn a_version_that_came_back_and_leaves_again_drains_again() {
    let first = spec("blue-green", vec![version("web:1"), version("web:2")]);
    let mut world = settled(Spec { drain: 30, ..first });
    edit(&mut world, &Edit::Drop(1));
    rounds(&mut world, 3);
    edit(&mut world, &Edit::Revert);
    release(&mut world);
    policy_too(&mut world);
    world.pass(Duration::seconds(40));
    edit(&mut world, &Edit::Drop(1));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_service_that_would_not_select_its_own_pods_is_not_written() {
    let mut world = settled(spec("blue-green", vec![version("web:1")]));
    let selector = json!({ "selector": { "app": "other" } });
    world.release.versions[0].service_specification = Some(Specification {
        spec: selector.as_object().unwrap().clone(),
        ..Specification::default()
    });
    world.release.versions[0].merged = Merged::default();
    let writes = world.log.iter().filter(|line| line.contains("apply")).count();
    round(&mut world);
    assert_eq!(world.log.iter().filter(|line| line.contains("apply")).count(), writes);
    let conditions = &world.status.as_ref().unwrap().conditions;
    assert!(
        conditions.iter().any(|one| one.reason == "SelectorMismatch"),
        "{conditions:?}"
    );
}

#[test]
fn what_a_user_lets_a_policy_own_is_no_stale_route() {
    let world = settled(spec("blue-green", vec![version("web:1")]));
    let policy = operator::valid_policy(&world).unwrap();
    let mut observed = operator::observe_policy(&world, &policy);
    let meta = Meta {
        uid: Uid(9),
        ..Meta::default()
    };
    observed.stale = vec![
        (Kind::Deployment, "mine".to_owned(), meta.clone()),
        (Kind::HttpRoute, "old".to_owned(), meta),
    ];
    let removals = policy::plan(&policy, &observed, routes::render).removals;
    let names: Vec<_> = removals.iter().map(|removal| removal.name.as_str()).collect();
    assert_eq!(names, ["old"]);
}

#[test]
fn of_two_versions_that_run_the_new_image_the_one_that_is_ready_stands_in() {
    let first = spec("blue-green", vec![version("web:1"), version("web:2"), version("web:2")]);
    let mut world = settled(first);
    world.set_broken("web-1", true);
    world.edit(spec("blue-green", vec![version("web:2")]));
    world.sync();
    release(&mut world);
    let promotion = world.status.as_ref().unwrap().promotion.as_ref().unwrap();
    assert_eq!(
        (promotion.step, promotion.source.as_str()),
        (PromotionStep::Switch, "web-2")
    );
}

#[test]
fn a_status_has_room_for_its_versions_however_many_leave() {
    let mut world = settled(spec("blue-green", vec![version("web:1")]));
    let stored = world.stored[&(Kind::Deployment, "web-0".to_owned())].clone();
    for index in 0..40 {
        let place = (Kind::Deployment, format!("old-{index:02}"));
        world.stored.insert(place, stored.clone());
    }
    world.sync();
    world.now -= Duration::days(1); // they drain
    release(&mut world);
    let versions = &world.status.as_ref().unwrap().versions;
    assert_eq!((versions.len(), versions[0].name.as_str()), (32, "web-0"));
}

#[test]
fn a_number_of_replicas_that_is_scaled_unseen_is_not_overwritten() {
    let three = Version {
        replicas: Some(3),
        ..version("web:1")
    };
    let mut world = settled(spec("blue-green", vec![three.clone()]));
    world.scaled_by_user("web-0", 5);
    let other_image = Version {
        image: "web:2",
        ..three
    };
    edit(&mut world, &Edit::Replace(0, other_image));
    release(&mut world);
    world.sync();
    settle(&mut world);
    let deployment = world.deployment("web-0").unwrap();
    assert_eq!((deployment.replicas, &*deployment.images), (5, &["web:2".into()][..]));
}

/// Edits, and lets everybody work until all is as it should be; asserts that this version's template changes while no
/// route names it.
fn rolls_out_of_the_route(before: Spec, after: Spec, name: &str) {
    let mut world = settled(before);
    let template = |world: &World| world.deployment(name).unwrap().template.clone();
    let old = template(&world);
    world.edit(after);
    let mut served = true;
    for _ in 0..60 {
        world.pass(Duration::seconds(1));
        round(&mut world);
        if template(&world) != old {
            break;
        }
        let backends = world.route().unwrap().rules.iter().flat_map(|rule| &rule.backends);
        served = backends.into_iter().any(|one| *one.service == *name);
    }
    assert!(template(&world) != old && !served, "{}", world.log.join("\n"));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_changed_version_that_becomes_the_primary_rolls_while_the_one_before_it_serves() {
    for strategy in ["blue-green", "canary"] {
        let [a, b, changed] = [("a", "web:1"), ("b", "web:2"), ("b", "web:3")].map(|(name, image)| named(name, image));
        rolls_out_of_the_route(
            spec(strategy, vec![a.clone(), b.clone()]),
            spec(strategy, vec![changed.clone(), a.clone()]),
            "b",
        );
        rolls_out_of_the_route(spec(strategy, vec![a, b]), spec(strategy, vec![changed]), "b");
    }
}

#[test]
fn the_primary_gets_the_replicas_of_the_version_that_takes_its_place_changed_before_it_serves_for_it() {
    let three = |image| Version {
        replicas: Some(3),
        ..named("b", image)
    };
    let a = named("a", "web:1");
    let before = spec("blue-green", vec![a.clone(), three("web:2")]);
    let mut world = settled(before.clone());
    world.edit(spec("blue-green", vec![three("web:3"), a.clone()]));
    release(&mut world);
    policy_too(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::Scale));
    // It goes on after a crash before the status.
    world.status.as_mut().unwrap().promotion = None;
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::Scale));
    assert_eq!(world.deployment("a").unwrap().replicas, 3);
    rolls_out_of_the_route(before, spec("blue-green", vec![three("web:3"), a]), "b");
}

fn sized(replicas: i32, image: &'static str) -> Version {
    Version {
        replicas: Some(replicas),
        ..version(image)
    }
}

#[test]
fn a_primary_that_is_to_have_no_replicas_gets_its_template_without_a_promotion() {
    let none = |image| sized(0, image);
    let mut world = settled(spec("blue-green", vec![none("web:1"), version("web:2")]));
    world.edit(spec("blue-green", vec![none("web:2"), version("web:1")]));
    settle(&mut world);
    assert_eq!(checks::step(&world), None);
    let images = ["web-0", "web-1"].map(|name| world.deployment(name).unwrap().images[0].clone());
    assert_eq!(images, ["web:2".into(), "web:1".into()]);
}

#[test]
fn a_primary_that_is_scaled_to_zero_while_it_rolls_waits_and_status_says_for_what() {
    let mut world = settled(spec("canary", vec![version("web:1"), version("web:2")]));
    edit(&mut world, &Edit::Promote(0));
    while checks::step(&world) != Some(PromotionStep::Roll) {
        world.pass(Duration::seconds(1));
        round(&mut world);
    }
    world.scaled_by_user("web-0", 0);
    settle(&mut world);
    let ready = world.status.as_ref().unwrap().conditions[0].clone();
    assert!(ready.message.contains("web-0 is scaled to zero"), "{ready:?}");
    world.scaled_by_user("web-0", 1);
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_suspension_does_not_use_up_the_time_that_a_source_has_to_get_its_replicas() {
    let first = spec("blue-green", vec![sized(3, "web:1"), version("web:2")]);
    let mut world = settled(first);
    edit(&mut world, &Edit::Promote(0));
    release(&mut world);
    world.pass(Duration::seconds(500));
    edit(&mut world, &Edit::Suspend);
    release(&mut world);
    world.pass(Duration::hours(2));
    edit(&mut world, &Edit::Suspend);
    for seconds in [0, 599] {
        world.pass(Duration::seconds(seconds));
        operator::release(&mut world, Crash::default());
        assert_eq!(checks::step(&world), Some(PromotionStep::Scale), "after {seconds} s");
    }
    world.pass(Duration::seconds(1));
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::InPlace));
}

/// Gives the pods of the first version this label, and makes its Service select it.
fn label(world: &mut World, track: &str) {
    let specification = |spec: serde_json::Value| {
        Some(Specification {
            spec: spec.as_object().unwrap().clone(),
            ..Specification::default()
        })
    };
    let first = &mut world.release.versions[0];
    first.service_specification = specification(json!({ "selector": { "track": track } }));
    let template = json!({ "metadata": { "labels": { "track": track } } });
    first.deployment_specification = specification(json!({ "template": template }));
    first.merged = Merged::default();
    world.release.generation += 1;
}

#[test]
fn a_service_selects_the_pods_of_before_and_after_while_their_labels_change() {
    let mut world = World::new(spec("blue-green", vec![sized(3, "web:1")])).unwrap();
    label(&mut world, "old");
    settle(&mut world);
    label(&mut world, "new");
    let selector = |world: &World| match &world.stored[&(Kind::Service, "web-0".to_owned())].object.body {
        Body::Service(service) => json!(service.selector),
        other => panic!("{other:?}"),
    };
    let mut seen = vec![selector(&world)];
    for _ in 0..20 {
        release(&mut world);
        let now = selector(&world);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        let live = world.deployment("web-0").unwrap();
        let rolled = live.updated == 3 && live.total == 3 && live.observed_generation > 1;
        assert!(rolled || seen.len() < 3, "{}", world.log.join("\n"));
        world.roll("web-0");
        world.sync();
    }
    let app = |track: &str| json!({ "app": "web-0", "track": track });
    assert_eq!(seen, [app("old"), json!({ "app": "web-0" }), app("new")]);
}

#[test]
fn a_stand_in_that_becomes_the_primary_again_changed_rolls_while_its_successor_serves() {
    for strategy in ["blue-green", "canary"] {
        let mut world = settled(spec(strategy, vec![version("web:1")]));
        world.edit(spec(strategy, vec![named("a", "web:1")]));
        release(&mut world);
        policy_too(&mut world);
        (0..3).for_each(|_| world.roll("a"));
        world.sync();
        world.edit(spec(strategy, vec![version("web:2")]));
        release(&mut world);
        let promotion = world.status.as_ref().unwrap().promotion.clone().unwrap();
        assert_eq!(
            (promotion.step, promotion.source.as_str()),
            (PromotionStep::Switch, "a")
        );
        settle(&mut world);
        checks::end(&world);
    }
}

#[test]
fn a_version_that_comes_back_with_another_port_is_not_named_with_it_before_its_service_has_it() {
    let eight = Version {
        port: Some(8080),
        ..version("web:1")
    };
    let a = |port| Version {
        port,
        ..named("a", "web:1")
    };
    let mut world = settled(spec("blue-green", vec![version("web:1"), a(None)]));
    world.edit(spec("blue-green", vec![a(None)]));
    release(&mut world);
    // Before web-0 goes.
    world.edit(spec("blue-green", vec![eight]));
    release(&mut world);
    world.edit(spec("blue-green", vec![a(Some(8080))]));
    settle(&mut world);
    checks::end(&world);
}
