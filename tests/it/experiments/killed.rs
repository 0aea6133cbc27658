//! The operator is killed, and goes on where it was.

use std::time::{Duration, Instant};
use std::{env, thread};

use fastrand::Rng;

use super::{
    Lab, at_most, ends, experiment, in_config, iterations, weights_config, weights_in_config, with_objectives,
};
use crate::support::exporter::Load;
use crate::support::recorder::Recorder;

const LIVES: usize = 20;

/// More than there can be in those lives.
const ITERATIONS: i64 = 24;

/// Names the sequence of lives to be run again.
const SEED: &str = "ITER8_TEST_SEED";

/// Lets the operator live for a while: for any time, also while it connects; or until it has written something.
fn live(experiments: &Recorder, rng: &mut Rng, life: usize) {
    if life.is_multiple_of(2) {
        thread::sleep(Duration::from_millis(rng.u64(20..500)));
        return;
    }
    let written = experiments.len() + 1;
    let patience = Instant::now() + Duration::from_secs(10);
    while experiments.len() < written && Instant::now() < patience {
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_operator_that_is_killed_twenty_times_does_every_iteration_once() {
    let seed = env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut rng = Rng::with_seed(seed);
    let Some(lab) = Lab::new("killed") else { return };
    let test = &lab.test;
    for version in ["v1", "v2"] {
        lab.serve(version, Load::with_latency(4.0));
    }
    test.apply(&weights_config().to_string());
    let (experiments, configs) = (test.watch("experiment"), test.watch("configmap"));
    let versions = ["v1", "v2"].map(|name| in_config(lab.version(name)));
    let long = experiment("long", "Canary", ITERATIONS, &versions);
    test.apply(&with_objectives(long, &[at_most("mean-latency", 50)]).to_string());

    let mut within = 0;
    for life in 0..LIVES {
        live(&experiments, &mut rng, life);
        test.kill();
        let status = test.experiment("long").get();
        println!("life {life}: {} iterations, {}", iterations(&status), status["stage"]);
        within += usize::from(status["stage"] != "Completed");
        test.start();
    }
    assert!(within > LIVES / 2, "it was over after {within} lives");

    let status = ends(test, "long", "Successful");
    assert_eq!(iterations(&status), ITERATIONS);
    let recorded = experiments.versions_of("long");
    let counts: Vec<i64> = recorded.iter().map(|one| iterations(&one.object["status"])).collect();
    let steady = counts.windows(2).all(|pair| [0, 1].contains(&(pair[1] - pair[0])));
    assert!(steady, "{counts:?}");
    assert_eq!((counts[0], counts[counts.len() - 1]), (0, ITERATIONS));
    // An iteration is a second of its own.
    let mut times: Vec<&str> = recorded
        .iter()
        .filter_map(|one| one.object["status"]["lastUpdateTime"].as_str())
        .collect();
    times.dedup();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times.len(), usize::try_from(ITERATIONS).unwrap(), "{times:?}");

    // Each decision was carried out once.
    let weights = weights_in_config(&configs);
    assert!(weights.iter().all(|[v1, v2]| v1 + v2 == 100), "{weights:?}");
    let steps: Vec<i64> = weights.windows(2).map(|pair| pair[1][1] - pair[0][1]).collect();
    assert_eq!(steps, [10; 10], "{weights:?}");
    assert_eq!(test.events("WeightsEdited"), Vec::<String>::new());
}
