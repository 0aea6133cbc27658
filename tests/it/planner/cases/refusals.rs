//! What the operator cannot see, or must not write.

use std::sync::Arc;

use super::*;

#[test]
fn while_a_kind_of_route_cannot_be_listed_no_version_goes_and_status_says_so() {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    edit(&mut world, &Edit::Drop(1));
    rounds(&mut world, 2);
    world.pass(Duration::seconds(60));
    for kind in [Kind::VirtualService, Kind::HttpRoute] {
        let mut observed = operator::observe_release(&world);
        let planned = |observed: &_| iter8::plan::release::plan(&world.release, observed, world.now);
        assert!(!planned(&observed).removals.is_empty());
        observed.unlisted.insert(kind);
        let plan = planned(&observed);
        let reasons: Vec<_> = plan.failures.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!((plan.removals.len(), &*reasons), (0, &["NotListed"][..]), "{kind}");
    }
}

#[test]
fn a_live_weight_that_cannot_be_seen_stays_in_force() {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    world.annotate("web-1-weight-config", Some("20"));
    settle(&mut world);
    let policy = operator::valid_policy(&world).unwrap();
    let mut observed = operator::observe_policy(&world, &policy);
    observed.weights.clear();
    let weights = |observed: &_| {
        let plan = policy::plan(&policy, observed, routes::render);
        plan.weights.iter().map(|one| one.weight).collect::<Vec<_>>()
    };
    assert_eq!(weights(&observed), [50, 50]);
    observed.weights_unknown = true;
    assert_eq!(weights(&observed), [50, 20]);
}

/// A Release with a version of which the objects are not written as they are wanted.
fn with_a_selector_that_selects_nothing(world: &mut World) {
    let selector = json!({ "selector": { "app": "other" } });
    world.release.versions[1].service_specification = Some(Specification {
        spec: selector.as_object().unwrap().clone(),
        ..Specification::default()
    });
    world.release.versions[1].merged = Merged::default();
}

#[test]
fn a_version_that_stays_as_it_is_must_not_be_routed_to_a_strangers_objects() {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    with_a_selector_that_selects_nothing(&mut world);
    for kind in [Kind::Deployment, Kind::Service] {
        let mut observed = operator::observe_release(&world);
        let planned = |observed: &_| iter8::plan::release::plan(&world.release, observed, world.now);
        assert!(planned(&observed).objects.policy.is_some());
        let object = observed.objects.get_mut(&(kind, "web-1".to_owned())).unwrap();
        Arc::make_mut(object).meta.controller = Some(Uid(99));
        let plan = planned(&observed);
        let conflict = plan.failures.iter().any(|one| one.reason == "NameConflict");
        assert!(conflict && plan.objects.policy.is_none(), "{kind}: {:?}", plan.failures);
    }
}

#[test]
fn a_version_that_comes_back_alone_to_have_no_replicas_is_in_the_policy() {
    let none = |version| Version {
        replicas: Some(0),
        ..version
    };
    let mut world = World::new(spec("blue-green", vec![none(version("web:1")), named("a", "web:1")])).unwrap();
    release(&mut world);
    for versions in [vec![none(version("web:1"))], vec![none(named("a", "web:1"))]] {
        world.edit(spec("blue-green", versions));
        release(&mut world);
        assert!(!world.policy.as_ref().unwrap().spec.versions.is_empty());
    }
    settle(&mut world);
}
