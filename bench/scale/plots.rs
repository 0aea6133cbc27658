//! The charts of `docs/performance.md`.

use super::figures::{Latencies, Latency, Results, Size, Waiting};
use super::goals::{mib, thousands};
use super::plot::{Axis, Chart, Line, svg};

/// Name and text of each file.
pub fn all(results: &Results) -> [(&'static str, String); 3] {
    [
        ("latency.svg", latency(results)),
        ("churn.svg", churn(results)),
        ("memory.svg", memory(results)),
    ]
}

fn releases(results: &Results) -> Axis {
    let marks = results.sizes.iter().map(|size| (n(size), thousands(size.n)));
    let mut marks: Vec<_> = marks.collect();
    if let [(only, _)] = marks[..] {
        marks.push((only * 10.0, String::new())); // an axis has two ends
    }
    Axis {
        label: "Releases".to_owned(),
        marks,
        logarithmic: true,
    }
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn n(size: &Size) -> f64 {
    size.n as f64
}

fn latency(results: &Results) -> String {
    type Pick = fn(&Latencies) -> &Latency;
    let how: [(&str, Pick); 2] = [("one at a time", |all| &all.alone), ("50 at once", |all| &all.burst)];
    let mut charts = Vec::new();
    for (title, pick) in how {
        for what in ["readiness", "weight"] {
            let line = |name: &str, colour, of: &dyn Fn(&Size) -> f64| Line {
                name: name.to_owned(),
                colour,
                dashed: name.ends_with("p99"),
                dots: true,
                points: results.sizes.iter().map(|size| (n(size), of(size))).collect(),
            };
            let of = |size: &Size, probe: bool| {
                let changes = if what == "weight" {
                    &size.weight
                } else {
                    &size.readiness
                };
                let latencies = if probe { &changes.probe } else { &changes.operator };
                let latency = pick(latencies);
                [latency.p50_ms, latency.p99_ms]
            };
            let lines = vec![
                line("operator p50", 1, &|size| of(size, false)[0]),
                line("operator p99", 1, &|size| of(size, false)[1]),
                line("probe p50", 4, &|size| of(size, true)[0]),
                line("probe p99", 4, &|size| of(size, true)[1]),
            ];
            charts.push(Chart {
                title: format!("{what} → route, {title}"),
                x: releases(results),
                y: Axis::logarithmic("ms", values(&lines)),
                lines,
            });
        }
    }
    svg("From change to route, by number of Releases", &charts, 2)
}

fn churn(results: &Results) -> String {
    let chart = |title: &str, unit: &str, size: &Size, of: fn(&Waiting) -> f64| {
        let line = Line {
            name: "operator".to_owned(),
            colour: 1,
            dashed: false,
            dots: false,
            points: (1..)
                .map(f64::from)
                .zip(size.churn.operator.waiting.iter().map(of))
                .collect(),
        };
        let lines = vec![line];
        Chart {
            title: format!("N={}: {title}", thousands(size.n)),
            x: Axis::linear(
                "s",
                lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)),
            ),
            y: Axis::linear(unit, values(&lines)),
            lines,
        }
    };
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let waiting = |size| {
        chart("changes without their route", "", size, |waiting| {
            waiting.changes as f64
        })
    };
    let mut charts: Vec<Chart> = results.sizes.iter().map(waiting).collect();
    let largest = results.sizes.iter().max_by_key(|size| size.n);
    charts.extend(largest.map(|size| chart("the oldest of them has waited", "ms", size, |waiting| waiting.oldest_ms)));
    svg("50 changes a second: what waits", &charts, 2)
}

fn memory(results: &Results) -> String {
    let line = |name: &str, colour, of: fn(&Size) -> f64| Line {
        name: name.to_owned(),
        colour,
        dashed: false,
        dots: true,
        points: results.sizes.iter().map(|size| (n(size), of(size))).collect(),
    };
    let memory = vec![
        line("peak", 2, |size| mib(size.peak_kib())),
        line("after creation", 1, |size| mib(size.create.memory.rss_kib)),
        line("after a restart", 3, |size| mib(size.restart.memory.rss_kib)),
        line("probe", 4, |size| mib(size.probe_memory.rss_kib)),
    ];
    let time = vec![
        line("readiness", 1, |size| super::goals::cpu_each(&size.readiness)),
        line("weight", 2, |size| super::goals::cpu_each(&size.weight)),
    ];
    let charts = [
        Chart {
            title: "Resident memory".to_owned(),
            x: releases(results),
            y: Axis::linear("MiB", values(&memory)),
            lines: memory,
        },
        Chart {
            title: "Processor time of a change".to_owned(),
            x: releases(results),
            y: Axis::linear("ms", values(&time)),
            lines: time,
        },
    ];
    svg("Memory and processor time, by number of Releases", &charts, 2)
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| line.points.iter().map(|point| point.1))
}
