//! From figures to Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::figures::{ByGarbage, Churn, Latencies, Latency, Memory, Results, Size};
use super::goals::{self, cpu_each, mib, ratio_of, thousands};
use super::promises;
use super::requests::Requests;

/// Everything, under headings of the third level.
pub fn all(results: &Results) -> String {
    let machine = &results.machine;
    let head = format!(
        "Kubernetes {}, {} cores, {}; the run took {:.0} minutes; load {} before it and {} at its end.\n",
        machine.kubernetes, machine.cores, machine.at, machine.minutes, machine.load[0], machine.load[1],
    );
    let sections = [
        ("Goals", goals(results)),
        ("From change to route", latencies(results)),
        ("While kube-apiserver collects garbage", garbage(results)),
        ("50 changes a second", churn(results)),
        ("Creation, idle time, restart", phases(results)),
        ("Memory", memory(results)),
        ("Requests", requests(results)),
    ];
    let there = sections.iter().filter(|(_, table)| !table.is_empty());
    there.fold(head, |text, (title, table)| format!("{text}\n### {title}\n\n{table}"))
}

/// Rows over all sizes.
struct Table<'a> {
    sizes: &'a [Size],
    text: String,
}

impl<'a> Table<'a> {
    fn new(results: &'a Results, title: &str) -> Self {
        let mut table = Self {
            sizes: &results.sizes,
            text: String::new(),
        };
        table.row(title, |size| format!("N={}", thousands(size.n)));
        table.row("---", |_| "---".to_owned());
        table
    }

    fn row(&mut self, title: &str, cell: impl Fn(&Size) -> String) {
        let cells: Vec<String> = self.sizes.iter().map(cell).collect();
        writeln!(self.text, "| {title} | {} |", cells.join(" | ")).unwrap();
    }
}

fn goals(results: &Results) -> String {
    let sizes: Vec<String> = results
        .sizes
        .iter()
        .map(|size| format!("N={}", thousands(size.n)))
        .collect();
    let mut text = format!(
        "| | goal | {} | |\n|---|---|{}---|\n",
        sizes.join(" | "),
        "---|".repeat(sizes.len())
    );
    for goal in goals::all(results) {
        let mark = |(figure, met): &(String, bool)| if *met { figure.clone() } else { format!("**{figure}**") };
        let figures: Vec<String> = goal.figures.iter().map(mark).collect();
        let verdict = if goal.is_met() { "met" } else { "**missed**" };
        writeln!(
            text,
            "| {} | {} | {} | {verdict} |",
            goal.what,
            goal.limit,
            figures.join(" | ")
        )
        .unwrap();
    }
    text += "\nBold: missed. In brackets: the least and the greatest of the rounds.\n";
    text
}

fn latencies(results: &Results) -> String {
    let mut table = Table::new(results, "ms: p50 / p99 / max");
    for (what, of) in [("readiness", READINESS), ("weight", WEIGHT)] {
        table.row(&format!("{what}, one at a time: operator"), |size| {
            latency(&of(size).operator.alone)
        });
        table.row(&format!("{what}, one at a time: probe"), |size| {
            latency(&of(size).probe.alone)
        });
        table.row(&format!("{what}, 50 at once: operator"), |size| {
            latency(&of(size).operator.burst)
        });
        table.row(&format!("{what}, 50 at once: probe"), |size| {
            latency(&of(size).probe.burst)
        });
    }
    table.row("first change after idle time: operator / probe", |size| {
        let [operator, probe] = size.idle.first_change_ms;
        format!("{operator:.1} / {probe:.1}")
    });
    table.row("processor time of a change of readiness / of weight", |size| {
        format!("{:.2} / {:.2}", cpu_each(&size.readiness), cpu_each(&size.weight))
    });
    let of_probe = |of: &super::figures::Changes| Some(ratio_of(of.probe_cpu_ms?, of.count));
    if results.sizes.iter().all(|size| of_probe(&size.readiness).is_some()) {
        table.row("the same of the probe", |size| {
            let [readiness, weight] = [&size.readiness, &size.weight].map(|of| of_probe(of).unwrap_or_default());
            format!("{readiness:.2} / {weight:.2}")
        });
    }
    table.row("samples: readiness alone, at once; weight alone, at once", |size| {
        let of = |of: Of| (of(size).operator.alone.samples, of(size).operator.burst.samples);
        format!("{:?}; {:?}", of(READINESS), of(WEIGHT)).replace(['(', ')'], "")
    });
    table.text
}

type Of = fn(&Size) -> &super::figures::Changes;
const READINESS: Of = |size| &size.readiness;
const WEIGHT: Of = |size| &size.weight;

type SideOf = fn(&super::figures::Changes) -> &Latencies;
type PartOf = fn(&ByGarbage) -> Option<&Latency>;

/// Latencies while kube-apiserver collected garbage, and else; nothing for an older run.
fn garbage(results: &Results) -> String {
    let sides: [(&str, SideOf); 2] = [("operator", |of| &of.operator), ("probe", |of| &of.probe)];
    let parts: [(&str, PartOf); 2] = [
        ("meanwhile", |by| by.collecting.as_ref()),
        ("else", |by| by.otherwise.as_ref()),
    ];
    if results
        .sizes
        .iter()
        .any(|size| size.readiness.operator.by_garbage.is_none())
    {
        return String::new();
    }
    let mut table = Table::new(results, "ms: p50 / p99 / max (of so many changes)");
    for (what, of) in [("readiness", READINESS), ("weight", WEIGHT)] {
        for (place, how) in ["one at a time", "50 at once"].into_iter().enumerate() {
            for (who, side) in sides {
                for (when, part) in parts {
                    table.row(&format!("{what}, {how}: {who}, {when}"), |size| {
                        let by_garbage = side(of(size)).by_garbage.as_ref().and_then(|by| by.get(place));
                        let cell = |of: &Latency| format!("{} ({})", latency(of), thousands(of.samples as u64));
                        by_garbage.and_then(part).map_or_else(|| "- (0)".to_owned(), cell)
                    });
                }
            }
        }
    }
    table.text
}

fn churn(results: &Results) -> String {
    let mut table = Table::new(results, "");
    for (who, of) in [
        ("operator", (|size| &size.churn.operator) as fn(&Size) -> &Churn),
        ("probe", |size| &size.churn.probe),
    ] {
        table.row(&format!("{who}: p50 / p99 / max, ms"), |size| {
            latency(&of(size).latency)
        });
        table.row(
            &format!("{who}: changes without their route: most at a time / at the end"),
            |size| {
                let waiting = &of(size).waiting;
                let most = waiting.iter().map(|waiting| waiting.changes).max().unwrap_or(0);
                format!("{most} / {}", waiting.last().map_or(0, |last| last.changes))
            },
        );
        table.row(
            &format!("{who}: the one that waited longest, ms: ever / at the end"),
            |size| {
                let waiting = &of(size).waiting;
                let oldest = waiting.iter().map(|waiting| waiting.oldest_ms).fold(0.0, f64::max);
                format!("{oldest:.0} / {:.0}", waiting.last().map_or(0.0, |last| last.oldest_ms))
            },
        );
        table.row(
            &format!("{who}: changes / seconds (left out as the last one had no route yet)"),
            |size| {
                let churn = of(size);
                format!(
                    "{} / {:.0} ({})",
                    thousands(churn.changes),
                    churn.seconds,
                    churn.left_out
                )
            },
        );
    }
    table.row("processor time of a change, ms", |size| {
        each(size.churn.cpu_ms, size.churn.operator.changes)
    });
    table.text
}

fn phases(results: &Results) -> String {
    let mut table = Table::new(results, "");
    table.row("creation: all routes right, s", |size| {
        format!("{:.1}", size.create.seconds)
    });
    table.row("creation: all Releases with the API server, s", |size| {
        format!("{:.1}", size.create.releases_seconds)
    });
    table.row(
        "creation: Deployments that waited for the bench's status, at most",
        |size| size.create.status_backlog.to_string(),
    );
    table.row("creation: processor time of each Release, ms", |size| {
        each(size.create.cpu_ms, size.n)
    });
    table.row("idle: seconds / processor time, ms / requests", |size| {
        let requests = size.idle.requests.beyond_watches();
        format!("{} / {} / {requests}", size.idle.seconds, size.idle.cpu_ms)
    });
    table.row("restart: ends within, ms / quiet after, s", |size| {
        format!("{:.0} / {:.1}", size.restart.stop_ms, size.restart.quiet_seconds)
    });
    table.row("restart: processor time, ms", |size| thousands(size.restart.cpu_ms));
    table.row("restart: lists and watches / gets / writes", |size| {
        let requests = &size.restart.requests;
        format!("{} / {} / {}", requests.lists(), requests.gets(), requests.writes())
    });
    table.row("restart: routes changed / routes that lost a version", |size| {
        format!("{} / {}", size.restart.routes_changed, size.restart.routes_lost)
    });
    table.text
}

/// A phase, and the memory after it.
type MemoryAfter = (&'static str, fn(&Size) -> Memory);

fn memory(results: &Results) -> String {
    let mut table = Table::new(results, "MiB: now / peak of the process");
    let phases: [MemoryAfter; 5] = [
        ("creation", |size| size.create.memory),
        ("the changes", |size| size.memory),
        ("50 changes a second", |size| size.churn.memory),
        ("idle time", |size| size.idle.memory),
        ("a restart", |size| size.restart.memory),
    ];
    for (phase, of) in phases {
        table.row(&format!("after {phase}"), |size| {
            let memory = of(size);
            format!("{:.1} / {:.1}", mib(memory.rss_kib), mib(memory.peak_kib))
        });
    }
    table.row("the probe, with its 100 applications", |size| {
        format!(
            "{:.1} / {:.1}",
            mib(size.probe_memory.rss_kib),
            mib(size.probe_memory.peak_kib)
        )
    });
    table.text
}

/// A phase, its requests, and for how many Releases or changes they are.
type RequestsOf = (&'static str, fn(&Size) -> (&Requests, u64));

/// Requests of the phases, for each Release or change.
pub fn requests(results: &Results) -> String {
    let mut table = Table::new(results, "");
    let phases: [RequestsOf; 4] = [
        ("creation, each Release", |size| (&size.create.requests, size.n)),
        ("a change of readiness", |size| {
            (&size.readiness.requests, size.readiness.count)
        }),
        ("a change of weight", |size| (&size.weight.requests, size.weight.count)),
        ("50 changes a second, each change", |size| {
            (&size.churn.requests, size.churn.operator.changes)
        }),
    ];
    for (phase, of) in phases {
        table.row(&format!("**{phase}**"), |size| {
            let (requests, many) = of(size);
            each(requests.writes() + requests.gets(), many)
        });
        let all = results.sizes.iter().flat_map(|size| of(size).0.all.keys());
        let keys: BTreeSet<&String> = all.filter(|key| !key.starts_with("watch ")).collect();
        for key in keys {
            table.row(key, |size| each(of(size).0.get(key), of(size).1));
        }
    }
    let broken = promises::broken(results);
    if !broken.is_empty() {
        write!(table.text, "\nNot as promised:\n\n- {}\n", broken.join("\n- ")).unwrap();
    }
    table.text
}

fn each(count: u64, of: u64) -> String {
    format!("{:.2}", ratio_of(count, of))
}

fn latency(of: &Latency) -> String {
    format!("{:.1} / {:.1} / {:.0}", of.p50_ms, of.p99_ms, of.max_ms)
}
