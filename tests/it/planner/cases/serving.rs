//! Whoever serves goes on doing so until requests under way have ended.

use super::*;

#[test]
fn a_primary_drains_though_the_policys_status_is_lost_after_the_route_is_switched() {
    let mut world = switched_before_its_source_is_ready();
    let lost = Crash {
        after: None,
        without_status: true,
    };
    operator::policy(&mut world, lost);
    world.sync();
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::Switch));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_rollout_in_place_is_in_status_before_the_primary_changes_and_goes_on_after_a_crash() {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    world.scaled_by_user("web-0", 2);
    settle(&mut world);
    edit(&mut world, &Edit::Promote(0));
    let images = |world: &World| world.deployment("web-0").unwrap().images.clone();
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::InPlace));
    assert_eq!(*images(&world), ["web:1".into()]);
    // A crash right after the primary's new template.
    let crash = Crash {
        after: Some(1),
        without_status: true,
    };
    operator::release(&mut world, crash);
    assert_eq!(*images(&world), ["web:2".into()]);
    release(&mut world);
    policy_too(&mut world);
    world.pass(Duration::seconds(11));
    release(&mut world);
    assert!(world.deployment("web-1").is_some(), "{}", world.log.join("\n"));
    assert_eq!(checks::step(&world), Some(PromotionStep::InPlace));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_source_drains_though_no_status_told_of_the_steps_since_it_stood_in() {
    let in_spec = |image| named("b", image);
    let mut world = settled(spec("blue-green", vec![named("a", "web:1"), in_spec("web:2")]));
    world.edit(spec("blue-green", vec![named("a", "web:2"), in_spec("web:3")]));
    let lost = Crash {
        after: None,
        without_status: true,
    };
    let returned = |world: &World| {
        let entries = &world.policy.as_ref().unwrap().spec.versions;
        world.deployment("a").unwrap().images[0] == "web:2".into()
            && entries.iter().all(|entry| entry.serves_for.is_none())
    };
    while !returned(&world) {
        world.pass(Duration::seconds(1));
        (0..3).for_each(|_| world.roll("a"));
        world.sync();
        let crash = if checks::step(&world) == Some(PromotionStep::Switch) {
            lost
        } else {
            Crash::default()
        };
        operator::release(&mut world, crash);
        policy_too(&mut world);
    }
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::Return));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_version_that_is_to_have_no_replicas_keeps_them_until_requests_to_it_have_ended() {
    for (strategy, index) in [("blue-green", 0), ("blue-green", 1), ("canary", 1), ("mirror", 1)] {
        let images = ["web:1", "web:2"];
        let mut world = settled(spec(strategy, images.map(version).to_vec()));
        let name = format!("web-{index}");
        edit(&mut world, &Edit::Replace(index, sized(0, images[index])));
        release(&mut world);
        policy_too(&mut world);
        let named = |world: &World| format!("{:?}", world.route().unwrap().rules).contains(&name);
        assert!(!named(&world), "{strategy} {index}");
        world.sync();
        world.pass(Duration::seconds(9));
        release(&mut world);
        assert_eq!(world.deployment(&name).unwrap().replicas, 1, "{strategy} {index}");
        settle(&mut world);
        assert_eq!(world.deployment(&name).unwrap().replicas, 0, "{strategy} {index}");
        let reason = &world.status.as_ref().unwrap().conditions[0].reason;
        assert!(reason.ends_with("NotReady"), "{reason}");
        edit(&mut world, &Edit::Revert);
        settle(&mut world);
        world.scaled_by_user(&name, 1);
        settle(&mut world);
        checks::end(&world);
    }
}

#[test]
fn a_version_that_serves_until_its_successor_works_again_drains_from_then_on() {
    let of = |name| Spec {
        environment: "deployment-gtw",
        ..spec("blue-green", vec![named(name, "web:1")])
    };
    let mut world = settled(of("a"));
    world.edit(of("b"));
    release(&mut world);
    rounds(&mut world, 1);
    let served = |world: &World| format!("{:?}", world.route().unwrap().rules);
    assert!(
        served(&world).contains(r#"service: "a", port: 80, weight: 100"#),
        "{}",
        served(&world)
    );
    // The route is on its way, and nobody but the one that leaves can answer.
    world.set_broken("b", true);
    settle(&mut world);
    let reason = &world.policy.as_ref().unwrap().status.as_ref().unwrap().conditions;
    assert!(format!("{reason:?}").contains("NotCurrent"), "{reason:?}");
    world.set_broken("b", false);
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn the_only_version_with_a_weight_is_drained_before_it_is_emptied() {
    let weighs = |weight, replicas| Version {
        weight: Some(weight),
        replicas,
        ..version("web:1")
    };
    let versions = |replicas| vec![weighs(0, None), weighs(0, None), weighs(50, replicas)];
    let mut world = settled(spec("blue-green", versions(None)));
    world.edit(spec("blue-green", versions(Some(0))));
    release(&mut world);
    policy_too(&mut world);
    let rules = &world.route().unwrap().rules;
    assert!(format!("{rules:?}").contains("web-0"), "{rules:?}");
    assert_eq!(world.deployment("web-2").unwrap().replicas, 1);
    settle(&mut world);
    assert_eq!(world.deployment("web-2").unwrap().replicas, 0);
}

#[test]
fn a_version_that_nobody_can_replace_gets_no_replicas_at_once() {
    for (strategy, count) in [("blue-green", 1), ("canary", 2), ("mirror", 2)] {
        let mut world = settled(spec(strategy, vec![version("web:1"); count]));
        edit(&mut world, &Edit::Replace(0, sized(0, "web:1")));
        release(&mut world);
        assert_eq!(world.deployment("web-0").unwrap().replicas, 0, "{strategy}");
    }
}

/// Makes the version listen on a port without a name.
fn listen(world: &mut World, port: i32) {
    let container = json!({ "name": "web", "image": "web:1", "ports": [{ "containerPort": port }] });
    let fields = json!({ "template": { "spec": { "containers": [container] } } });
    let version = &mut world.release.versions[0];
    version.port = port;
    version.deployment_specification = Some(Specification {
        spec: fields.as_object().unwrap().clone(),
        ..Specification::default()
    });
    version.merged = Merged::default();
    world.release.generation += 1;
}

#[test]
fn a_service_goes_on_reaching_the_pods_of_before_on_their_port_until_they_have_gone() {
    let mut world = World::new(spec("blue-green", vec![version("web:1")])).unwrap();
    listen(&mut world, 80);
    settle(&mut world);
    let ports = |world: &World| match &world.stored[&(Kind::Service, "web-0".to_owned())].object.body {
        Body::Service(service) => {
            let ports = service
                .ports
                .iter()
                .map(|port| format!("{}:{}", port.port, port.target));
            ports.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let routed = |world: &World| world.route().unwrap().rules[0].backends[0].port;
    assert_eq!(ports(&world), ["80:80"]);
    listen(&mut world, 8080);
    release(&mut world);
    policy_too(&mut world);
    assert_eq!((ports(&world), routed(&world)), (vec!["80:80".to_owned()], 80));
    round(&mut world);
    assert_eq!(ports(&world), ["8080:8080", "80:8080"]);
    settle(&mut world);
    assert_eq!((ports(&world), routed(&world)), (vec!["8080:8080".to_owned()], 8080));
    checks::end(&world);
}

#[test]
fn a_version_that_goes_with_its_strategy_goes_when_the_route_has_gone() {
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:2")]));
    world.edit(spec("none", vec![version("web:1")]));
    settle(&mut world);
    assert_eq!(world.deployments(), ["web-0"]);
}

#[test]
fn a_primary_that_becomes_a_canary_while_another_takes_its_place_has_a_match_of_its_own() {
    let [a, b, changed] = [("a", "web:1"), ("b", "web:2"), ("b", "web:3")].map(|(name, image)| named(name, image));
    let mut world = settled(spec("canary", vec![a.clone(), b]));
    world.edit(spec("canary", vec![changed, a]));
    let own = json!([{ "headers": [{ "name": "beta", "value": "yes" }] }]);
    world.release.versions[1].matches = serde_json::from_value(own).unwrap();
    let wanted = world.release.versions[1].matches.clone();
    while checks::step(&world) != Some(PromotionStep::Return) {
        world.pass(Duration::seconds(1));
        round(&mut world);
    }
    let policy = world.policy.as_ref().unwrap();
    assert_eq!(policy.entry("a").unwrap().matches, wanted);
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_stand_in_that_is_scaled_to_zero_and_is_the_primary_again_changes_harmlessly() {
    let eight = Version {
        port: Some(8080),
        ..version("web:1")
    };
    let happenings = [
        Happening::Edit(Edit::Replace(0, version("web:1"))),
        Happening::Rounds(2),
        Happening::Edit(Edit::Revert),
        Happening::Scale(0, 0),
        works(),
        Happening::Edit(Edit::Replace(0, eight)),
    ];
    run(&spec("blue-green", vec![named("a", "web:1")]), false, &happenings);
}

#[test]
fn a_source_that_lost_a_pod_before_it_stood_in_is_waited_for_and_the_primary_serves_on() {
    // With a share of its own it would be in the route already.
    for (strategy, weight) in [("blue-green", Some(0)), ("canary", None), ("mirror", None)] {
        let source = Version {
            weight,
            ..sized(3, "web:2")
        };
        let mut world = settled(spec(strategy, vec![sized(3, "web:1"), source]));
        edit(&mut world, &Edit::Promote(0));
        release(&mut world);
        assert_eq!(checks::step(&world), Some(PromotionStep::Switch), "{strategy}");
        world.break_pods("web-1", 1);
        world.sync();
        policy_too(&mut world);
        settle(&mut world);
        world.pass(Duration::hours(1));
        release(&mut world);
        assert_eq!(
            *world.deployment("web-0").unwrap().images,
            ["web:1".into()],
            "{strategy}"
        );
        assert_eq!(checks::step(&world), Some(PromotionStep::Switch), "{strategy}");
        world.break_pods("web-1", 0);
        settle(&mut world);
        checks::end(&world);
    }
}

#[test]
fn a_version_is_emptied_when_the_route_of_another_environment_is_gone() {
    let versions = |replicas| {
        let first = Version {
            replicas,
            ..version("web:1")
        };
        vec![first, version("web:1")]
    };
    let gateway = Spec {
        environment: "deployment-gtw",
        ..spec("blue-green", versions(None))
    };
    let mut world = settled(gateway);
    world.edit(spec("blue-green", versions(Some(0))));
    settle(&mut world);
    assert_eq!(world.deployment("web-0").unwrap().replicas, 0);
}

#[test]
fn a_source_that_becomes_the_primary_while_another_rolls_in_place_gets_its_own_template() {
    let at = |port| Version {
        port: Some(port),
        ..named("b", "web:2")
    };
    let mut world = World::new(spec("blue-green", vec![named("a", BROKEN_IMAGE), at(8080)])).unwrap();
    release(&mut world);
    policy_too(&mut world);
    world.edit(spec("blue-green", vec![named("a", "web:2")]));
    release(&mut world);
    assert_eq!(checks::step(&world), Some(PromotionStep::InPlace));
    world.edit(spec("blue-green", vec![at(9090)]));
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_source_that_answers_for_a_primary_which_breaks_at_the_end_drains_from_when_it_is_back() {
    for strategy in ["canary", "mirror"] {
        let versions = |images: [&'static str; 2]| Spec {
            environment: "deployment-gtw",
            ..spec(strategy, vec![named("a", images[0]), named("b", images[1])])
        };
        let mut world = settled(versions(["web:1", "web:2"]));
        world.edit(versions(["web:2", "web:3"]));
        let returned = |world: &World| {
            let entries = &world.policy.as_ref().unwrap().spec.versions;
            checks::step(world) == Some(PromotionStep::Return) && entries.iter().all(|entry| entry.serves_for.is_none())
        };
        for _ in 0..100 {
            if returned(&world) {
                break;
            }
            world.pass(Duration::seconds(1));
            others(&mut world);
            release(&mut world);
            if !returned(&world) {
                policy_too(&mut world);
            }
        }
        assert!(returned(&world));
        policy_too(&mut world);
        let answers = |world: &World| format!("{:?}", world.route().unwrap().rules);
        assert!(
            answers(&world).contains(r#"service: "a", port: 80, weight: 0"#),
            "{}",
            answers(&world)
        );
        world.set_broken("a", true);
        rounds(&mut world, 3);
        world.pass(Duration::seconds(60));
        rounds(&mut world, 3);
        world.set_broken("a", false);
        others(&mut world);
        release(&mut world);
        assert_eq!(world.deployment("b").unwrap().images[0], "web:2".into(), "{strategy}");
        settle(&mut world);
        checks::end(&world);
    }
}

#[test]
fn a_primary_and_its_source_that_both_fail_before_they_serve_can_be_edited() {
    let with = |versions| Spec {
        environment: "deployment-gtw",
        ..spec("canary", versions)
    };
    let mut world = settled(with(vec![named("x", "web:1")]));
    world.edit(with(vec![named("b", "web:2"), named("c", "web:3")]));
    release(&mut world);
    others(&mut world);
    release(&mut world);
    policy_too(&mut world);
    world.edit(with(vec![named("b", "web:3")]));
    release(&mut world);
    world.set_broken("b", true);
    world.set_broken("c", true);
    settle(&mut world);
    world.edit(with(vec![named("b", "web:1")]));
    settle(&mut world);
    assert_eq!(world.deployment("b").unwrap().images[0], "web:1".into());
    world.set_broken("b", false);
    settle(&mut world);
    checks::end(&world);
}

#[test]
fn a_stand_in_that_fails_keeps_its_template_until_the_policy_names_another() {
    let other = || named("a", "web:1");
    let mut world = settled(spec("blue-green", vec![version("web:1"), version("web:1"), other()]));
    world.edit(spec("blue-green", vec![version("web:2"), version("web:1"), other()]));
    release(&mut world);
    world.edit(spec("blue-green", vec![version("web:1"), other()]));
    release(&mut world);
    let stands_in = |world: &World, name: &str| {
        let entries = &world.policy.as_ref().unwrap().spec.versions;
        entries.iter().any(|one| one.name == name && one.serves_for.is_some())
    };
    assert!(stands_in(&world, "web-1"));
    world.set_broken("web-1", true);
    world.sync();
    policy_too(&mut world);
    let changed = Version {
        env: Some(1),
        ..version("web:1")
    };
    let before = world.deployment("web-1").unwrap().template.clone();
    world.edit(spec("blue-green", vec![version("web:1"), changed]));
    release(&mut world);
    assert!(stands_in(&world, "a"));
    assert_eq!(world.deployment("web-1").unwrap().template, before);
    world.set_broken("web-1", false);
    settle(&mut world);
    checks::end(&world);
}
