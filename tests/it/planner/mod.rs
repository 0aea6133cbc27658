//! Both planners in turn against a cluster in memory: edits, pods that come and go, crashes between any two writes, in
//! every order that proptest thinks of.
//!
//! After every write `checks` asserts the three promises: nobody who is not ready enters a route, nothing that a stored
//! route names is deleted or rolled while another could serve, and somebody ready goes on serving. In the end nothing is
//! written any more, and the cluster is what the spec asks for. `PROPTEST_CASES=20000` looks harder.

mod cases;
mod checks;
mod operator;
mod reading;
mod spec;
mod wakeups;
mod world;

use chrono::Duration;
use operator::Crash;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use spec::{BROKEN_IMAGE, Edit, Spec};
use world::World;

/// Anything that may happen.
#[derive(Clone, Debug)]
enum Happening {
    Edit(Edit),
    Release(Crash),
    Policy(Crash),
    /// Pods of a Deployment come or go, this many.
    Roll(usize, u8),
    /// So many pods of a Deployment are not available any more.
    Break(usize, i32),
    Mend(usize),
    Scale(usize, i32),
    Annotate(usize, Option<&'static str>),
    Report(bool),
    Collect,
    /// The watch brings what others wrote.
    Sync,
    Pass(i64),
    /// Everybody works for a while.
    Rounds(u8),
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        6 => Just(Crash::default()),
        2 => (0..8_u8).prop_map(|after| Crash { after: Some(after), without_status: true }),
        1 => Just(Crash { after: None, without_status: true }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let index = 0..4_usize;
    prop_oneof![
        6 => spec::edit().prop_map(Happening::Edit),
        6 => crash().prop_map(Happening::Release),
        6 => crash().prop_map(Happening::Policy),
        5 => (index.clone(), 1..4_u8).prop_map(|(index, steps)| Happening::Roll(index, steps)),
        1 => (index.clone(), prop::sample::select(vec![1, i32::MAX]))
            .prop_map(|(index, pods)| Happening::Break(index, pods)),
        1 => index.clone().prop_map(Happening::Mend),
        1 => (index.clone(), 0..4).prop_map(|(index, replicas)| Happening::Scale(index, replicas)),
        1 => (index, prop::sample::select(vec![None, Some("20"), Some("0"), Some("much")]))
            .prop_map(|(index, weight)| Happening::Annotate(index, weight)),
        2 => prop::sample::select(vec![true, true, false]).prop_map(Happening::Report),
        1 => Just(Happening::Collect),
        4 => Just(Happening::Sync),
        3 => prop::sample::select(vec![1, 5, 11, 61, 700]).prop_map(Happening::Pass),
        3 => (1..8_u8).prop_map(Happening::Rounds),
    ]
}

impl Happening {
    fn happen(&self, world: &mut World) {
        let name = |world: &World, index: usize| {
            let names = world.deployments();
            names.get(index % names.len().max(1)).cloned().unwrap_or_default()
        };
        match self {
            Self::Edit(edit) => {
                let spec = world.spec.edited(edit, &world.before);
                world.edit(spec);
            }
            Self::Release(crash) => drop(operator::release(world, *crash)),
            Self::Policy(crash) => drop(operator::policy(world, *crash)),
            Self::Roll(index, steps) => {
                let name = name(world, *index);
                (0..*steps).for_each(|_| world.roll(&name));
                world.sync();
            }
            Self::Break(index, pods) => world.break_pods(&name(world, *index), *pods),
            Self::Mend(index) => world.set_broken(&name(world, *index), false),
            Self::Scale(index, replicas) => world.scaled_by_user(&name(world, *index), *replicas),
            Self::Annotate(index, weight) => {
                let config = iter8::model::names::weight_config(&name(world, *index));
                world.annotate(&config, *weight);
            }
            Self::Report(accepted) => world.report(*accepted),
            Self::Collect => {
                world.collect_garbage();
            }
            Self::Sync => world.sync(),
            Self::Pass(seconds) => world.pass(Duration::seconds(*seconds)),
            Self::Rounds(count) => {
                for _ in 0..*count {
                    round(world);
                }
            }
        }
    }
}

/// Everybody but the operator and the garbage collector does one thing.
fn others(world: &mut World) {
    for name in world.deployments() {
        (0..3).for_each(|_| world.roll(&name));
    }
    world.report(true);
    world.sync();
}

/// Everybody does one thing; whether the operator, which is run woken or not, wrote anything.
fn round(world: &mut World) -> bool {
    world.collect_garbage();
    others(world);
    let release = operator::release(world, Crash::default());
    world.sync();
    let policy = operator::policy(world, Crash::default());
    release.wrote || policy.wrote
}

/// Lets time pass until nobody is woken any more, and nothing would be written later.
fn settle(world: &mut World) {
    for _ in 0..600 {
        let seen = world.seen.clone();
        others(world);
        let rests = world.seen == seen;
        let (release, policy) = (world.wakeups.release, world.wakeups.policy);
        if release.is_due(world.now) {
            operator::release(world, Crash::default());
        } else if policy.is_due(world.now) {
            operator::policy(world, Crash::default());
        } else if let Some(next) = world.wakeups.next().filter(|_| rests) {
            world.now = next;
        } else if rests && !world.collect_garbage() {
            world.pass(Duration::hours(2));
            if round(world) {
                world.fail("something is written that nobody was woken for");
            }
            return;
        }
    }
    world.fail("it never comes to rest");
}

/// The user repairs what no operator can: pods that break, images that never work, a Release that stands still.
fn repair(world: &mut World) {
    for name in world.deployments() {
        world.set_broken(&name, false);
        if world.deployment(&name).is_some_and(|one| one.replicas == 0) {
            world.scaled_by_user(&name, 1);
        }
    }
    let mut spec: Spec = world.spec.clone();
    spec.suspend = false;
    for version in spec.versions.iter_mut().filter(|version| version.image == BROKEN_IMAGE) {
        version.image = "web:4";
    }
    for version in spec.versions.iter_mut().filter(|version| version.replicas == Some(0)) {
        version.replicas = Some(1);
    }
    world.edit(spec);
}

fn run(first: &Spec, at_rest: bool, happenings: &[Happening]) {
    let Some(mut world) = World::new(first.clone()) else {
        return;
    };
    if at_rest {
        settle(&mut world);
    }
    for happening in happenings {
        happening.happen(&mut world);
    }
    settle(&mut world);
    repair(&mut world);
    settle(&mut world);
    checks::end(&world);
}

/// The same few hundred cases each time, unless somebody asks for another number.
fn effort() -> ProptestConfig {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return ProptestConfig::default();
    }
    ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(8),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(effort())]

    #[test]
    fn in_any_order_of_events_the_promises_hold_and_it_comes_to_rest(
        first in spec::spec(),
        at_rest in any::<bool>(),
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        run(&first, at_rest, &happenings);
    }
}
