//! From samples and requests to figures, and from figures to a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::support::audit::Request;

/// What each Release is made of: the objects that are created for it, once.
const CREATED: [(&str, u64); 5] = [
    ("deployments.apps", 2),
    ("services", 3),
    ("configmaps", 2),
    ("routepolicies.iter8.tools", 1),
    ("virtualservices.networking.istio.io", 1),
];

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// By nearest rank.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let rank = (values.len() * percent).div_ceil(100);
    sorted(values)[rank - 1]
}

/// `[median, least, greatest]` over the rounds of each round's percentile, and the greatest of all.
pub fn latencies(rounds: &[Vec<f64>]) -> Value {
    let over_rounds = |percent| {
        let of_rounds: Vec<f64> = rounds.iter().map(|round| percentile(round, percent)).collect();
        let ends = sorted(&of_rounds);
        [median(&of_rounds), ends[0], ends[ends.len() - 1]]
    };
    json!({
        "samples": rounds.iter().map(Vec::len).sum::<usize>(),
        "p50_ms": over_rounds(50),
        "p99_ms": over_rounds(99),
        "max_ms": rounds.iter().flatten().copied().fold(0.0, f64::max),
    })
}

/// How many requests there were, by verb and resource. An apply that creates is a `create`; what was refused has its code.
pub fn requests(requests: &[Request]) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    // A watch is logged when it begins and when it ends.
    for request in requests
        .iter()
        .filter(|request| request.verb != "watch" || !request.complete)
    {
        let verb = if request.verb == "patch" && request.code == 201 {
            "create"
        } else {
            &request.verb
        };
        let mut key = format!("{verb} {}", request.resource);
        if !request.group.is_empty() {
            key = format!("{key}.{}", request.group);
        }
        if !request.subresource.is_empty() {
            key = format!("{key}/{}", request.subresource);
        }
        if request.code >= 400 {
            key = format!("{key} ({})", request.code);
        }
        *counts.entry(key).or_default() += 1;
    }
    json!(counts)
}

/// Requests that are no list and no watch; `reads`: of those that change nothing.
fn count(requests: &Value, reads: bool) -> u64 {
    let all = requests.as_object().unwrap().iter();
    let counted = all.filter(|(key, _)| {
        let verb = key.split(' ').next().unwrap();
        !matches!(verb, "list" | "watch") && (!reads || verb == "get")
    });
    counted.map(|(_, count)| count.as_u64().unwrap()).sum()
}

fn requested(requests: &Value, key: &str) -> u64 {
    requests[key].as_u64().unwrap_or(0)
}

/// The counts that are not what they should be.
pub fn broken_promises(result: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for size in result["sizes"].as_array().unwrap() {
        let n = size["n"].as_u64().unwrap();
        let mut expect = |what: &str, got: u64, want: u64| {
            if got != want {
                broken.push(format!("N={n}: {what}: {got} instead of {want}"));
            }
        };
        let phase = |phase: &str| &size[phase]["requests"];
        for (resource, each) in CREATED {
            expect(
                &format!("{resource} created"),
                requested(phase("create"), &format!("create {resource}")),
                n * each,
            );
        }
        let flips = size["flips"]["flips"].as_u64().unwrap();
        let route = "patch virtualservices.networking.istio.io";
        expect("route writes for the flips", requested(phase("flips"), route), flips);
        for name in ["create", "flips"] {
            expect(
                &format!("reads beyond list and watch: {name}"),
                count(phase(name), true),
                0,
            );
        }
        for name in ["idle", "restart"] {
            expect(
                &format!("requests beyond list and watch: {name}"),
                count(phase(name), false),
                0,
            );
        }
    }
    broken
}

/// The figures as Markdown.
pub fn table(result: &Value) -> String {
    let machine = &result["machine"];
    let word = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
    let heading = format!(
        "Kubernetes {}, {} cores, {} (load {} at the end). Milliseconds: median over the rounds (least–greatest round).\n\n",
        word("kubernetes"),
        machine["cores"],
        word("at"),
        word("load"),
    );
    let mut table = Table {
        sizes: result["sizes"].as_array().unwrap(),
        text: heading,
    };
    table.row("", &|size| format!("N={}", size["n"]));
    table.row("---", &|_| "---".to_owned());
    table.row("all routes right, s", &|size| seconds(&size["create"]["seconds"]));
    table.latencies();
    table.use_of_the_machine();
    table.row("quiet after a restart, s", &|size| {
        seconds(&size["restart"]["quiet_seconds"])
    });
    table.row("requests beyond list and watch: 95 s idle / restart", &|size| {
        let of = |phase: &str| count(&size[phase]["requests"], false);
        format!("{} / {}", of("idle"), of("restart"))
    });
    table.requests("create", "creation, each Release", |size| size["n"].as_f64().unwrap());
    table.requests("flips", "each change", |size| size["flips"]["flips"].as_f64().unwrap());
    table.text
}

struct Table<'a> {
    sizes: &'a [Value],
    text: String,
}

impl Table<'_> {
    fn row(&mut self, title: &str, cell: &dyn Fn(&Value) -> String) {
        let cells: Vec<String> = self.sizes.iter().map(cell).collect();
        writeln!(self.text, "| {title} | {} |", cells.join(" | ")).unwrap();
    }

    fn latencies(&mut self) {
        for (how, title) in [("alone", "one at a time"), ("burst", "50 at once")] {
            for who in ["operator", "probe"] {
                let title = format!("availability → route, {title}: {who}, ms p50 / p99 / max");
                self.row(&title, &|size| latency(&size["flips"][who][how]));
            }
            self.row("… operator ÷ probe, p50 / p99 (goal: p99 ≤ 1.2)", &|size| {
                let ratio = |key: &str| {
                    let of = |who: &str| size["flips"][who][how][key][0].as_f64().unwrap();
                    of("operator") / of("probe")
                };
                format!("{:.2} / {:.2}", ratio("p50_ms"), ratio("p99_ms"))
            });
        }
        self.row("first change after 95 s of quiet: operator / probe, ms", &|size| {
            let of = |who: &str| size["idle"]["first_flip_ms"][who].as_f64().unwrap();
            format!("{:.1} / {:.1}", of("operator"), of("probe"))
        });
    }

    fn use_of_the_machine(&mut self) {
        let phases = [
            ("create", "creation"),
            ("flips", "the changes"),
            ("restart", "a restart"),
        ];
        for (phase, title) in phases {
            let title = format!("RSS / peak after {title}, MiB (goal: ≤ 32 at 1,000)");
            self.row(&title, &|size| {
                let mib = |index: usize| size[phase]["memory_kib"][index].as_f64().unwrap() / 1024.0;
                format!("{:.1} / {:.1}", mib(0), mib(1))
            });
        }
        self.row("processor time: creation of one / a change / a restart, ms", &|size| {
            let ms = |phase: &str| size[phase]["cpu_ms"].as_f64().unwrap();
            let (created, changes) = (size["n"].as_f64().unwrap(), size["flips"]["flips"].as_f64().unwrap());
            format!(
                "{:.1} / {:.1} / {}",
                ms("create") / created,
                ms("flips") / changes,
                ms("restart")
            )
        });
    }

    /// Requests of a phase for each of what there were `many` of.
    fn requests(&mut self, phase: &str, title: &str, many: fn(&Value) -> f64) {
        let requests = self
            .sizes
            .iter()
            .flat_map(|size| size[phase]["requests"].as_object().unwrap().keys());
        let keys: BTreeSet<String> = requests.filter(|key| !key.starts_with("watch")).cloned().collect();
        self.row(&format!("requests, {title}"), &|size| {
            each(count(&size[phase]["requests"], false), many(size))
        });
        for key in keys {
            self.row(&format!("… {key}"), &|size| {
                each(requested(&size[phase]["requests"], &key), many(size))
            });
        }
    }
}

#[allow(clippy::cast_precision_loss)] // counts of requests are far below 2^52
fn each(count: u64, of: f64) -> String {
    format!("{:.2}", count as f64 / of)
}

fn seconds(value: &Value) -> String {
    format!("{:.1}", value.as_f64().unwrap())
}

fn latency(of: &Value) -> String {
    let cell = |key: &str| {
        let [middle, least, greatest] = [0, 1, 2].map(|index: usize| of[key][index].as_f64().unwrap());
        format!("{middle:.1} ({least:.1}–{greatest:.1})")
    };
    format!(
        "{} / {} / {:.0}",
        cell("p50_ms"),
        cell("p99_ms"),
        of["max_ms"].as_f64().unwrap()
    )
}
