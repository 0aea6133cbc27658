//! Answers read by programs in the language of jq.
//!
//! Whoever may create a Metric writes the program. It gets the answer and the time, and nothing else of the operator: no
//! environment, no log, no files, no `halt`. And it runs in a process of its own, as no interpreter can be stopped from outside, or
//! kept from calling itself until the stack is full: that process is killed when its time is over, and has a bound for memory.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use hyper::body::Bytes;
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::native::{bome, run, v};
use jaq_core::{Compiler, Ctx, Cv, Error, Filter, ValXs, Vars, compile};
use jaq_json::{Val, read};
use jaq_std::ValT as _;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::answers::{brief, number};
use super::prometheus;
use crate::model::query::Sample;

/// How many programs may run: each takes a few milliseconds, and at most `MEMORY`, of what the Pod has.
const AT_ONCE: usize = 1;

/// Room for the calls of a program: parser and interpreter call themselves. It takes memory only as far as it is used.
const STACK: usize = 32 * 1024 * 1024;

/// Memory that the process of a program may have, its stack included, in bytes.
const MEMORY: u64 = 64 * 1024 * 1024;

/// Processor time that the process of a program may take, in seconds: should nobody be there to kill it.
const SECONDS: u64 = 10;

/// How deeply JSON may be nested.
const DEPTH: usize = 256;

/// Filters that reach out of the program.
const OUTWARD: [&str; 9] = [
    "env",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "input",
    "inputs",
];

type Data = JustLut<Val>;

/// Runs programs.
pub struct Programs {
    command: PathBuf,
    places: Semaphore,
}

impl Programs {
    /// By this executable, which is to be the operator's: `<command> jq -- <program>` answers with `serve`.
    pub fn new(command: PathBuf) -> Self {
        Self {
            command,
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// The number that is the first output of a program for an answer.
    pub async fn run(&self, expression: &str, answer: Bytes, deadline: Instant) -> Sample {
        let Ok(Ok(_place)) = timeout_at(deadline, self.places.acquire()).await else {
            return Sample::Error(format!("{AT_ONCE} other jqExpressions run, and did not end in time"));
        };
        // What is dropped is killed.
        match timeout_at(deadline, self.process(expression, &answer)).await {
            Ok(Ok(sample)) => sample,
            Ok(Err(error)) => Sample::Error(brief(format_args!("jqExpression cannot be run: {error}"))),
            Err(_) => Sample::Error("jqExpression did not end in time".to_owned()),
        }
    }

    async fn process(&self, expression: &str, answer: &[u8]) -> io::Result<Sample> {
        let mut child = Command::new(&self.command)
            .args(["jq", "--", expression])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that has ended already reads nothing.
            let _ = stdin.write_all(answer).await;
        }
        let output = child.wait_with_output().await?;
        let broke_off = "jqExpression broke off: it takes too much memory, or calls itself too often";
        let sample = serde_json::from_slice(&output.stdout);
        Ok(sample.unwrap_or_else(|_| Sample::Error(broke_off.to_owned())))
    }
}

/// What the process of a program does: confines itself, reads the answer from stdin, and writes the sample to stdout as JSON.
///
/// Errors: stdin or stdout is closed, or the limits cannot be set.
pub fn serve(expression: &str) -> io::Result<()> {
    for (resource, most) in [(Resource::Data, MEMORY), (Resource::Cpu, SECONDS), (Resource::Core, 0)] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    let mut answer = Vec::new();
    io::stdin().lock().read_to_end(&mut answer)?;
    let program = expression.to_owned();
    let work = move || evaluate(&program, &answer);
    let thread = thread::Builder::new().stack_size(STACK).spawn(work)?;
    let sample = thread.join().map_err(|_| io::Error::other("the program broke off"))?;
    io::stdout().write_all(&serde_json::to_vec(&sample)?)
}

fn evaluate(expression: &str, answer: &[u8]) -> Sample {
    let output = match first_output(expression, answer) {
        Ok(Some(output)) => output,
        Ok(None) => return Sample::NoData("jqExpression has no output".to_owned()),
        // The usual expression, `.data.result[0].value[1] | tonumber`, fails when no series matches.
        Err(reason) => match prometheus::read(answer) {
            Sample::NoData(nothing) => return Sample::NoData(nothing),
            _ => return Sample::Error(reason),
        },
    };
    match (&output, output.as_f64()) {
        (_, Some(value)) => number(value),
        (Val::Null, _) => Sample::NoData("jqExpression finds nothing: its output is null".to_owned()),
        (Val::TStr(_), _) => Sample::Error(brief(format_args!(
            "the output of jqExpression is the string {output}: | tonumber makes a number of it"
        ))),
        _ => Sample::Error(brief(format_args!("the output of jqExpression is no number: {output}"))),
    }
}

fn first_output(expression: &str, answer: &[u8]) -> Result<Option<Val>, String> {
    let input = json(answer).map_err(|reason| brief(format_args!("the answer is not JSON: {reason}")))?;
    let filter = compiled(expression).map_err(|reason| brief(format_args!("jqExpression: {reason}")))?;
    let context = Ctx::<Data>::new(&filter.lut, Vars::new([]));
    match filter.id.run((context, input)).next().transpose() {
        Ok(output) => Ok(output),
        Err(exception) => Err(match exception.get_err() {
            Ok(error) => format!("jqExpression: {}", unquoted(brief(&error))),
            Err(_) => "jqExpression breaks out of itself".to_owned(),
        }),
    }
}

/// The message of an error is a value, and so a string with quotes.
fn unquoted(text: String) -> String {
    serde_json::from_str(&text).unwrap_or(text)
}

/// A value, if it is not too deeply nested: values are made and dropped by functions that call themselves.
fn json(text: &[u8]) -> Result<Val, String> {
    if is_deeper_than(text, DEPTH) {
        return Err(format!("it is nested more than {DEPTH} deep"));
    }
    read::parse_single(text).map_err(|error| error.to_string())
}

/// Whether brackets are nested more deeply, as the parser sees them: it knows comments, which JSON does not.
fn is_deeper_than(text: &[u8], most: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'#' => while bytes.next().is_some_and(|byte| *byte != b'\n') {},
            b'"' => {
                while let Some(byte) = bytes.next().filter(|byte| **byte != b'"') {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

fn compiled(expression: &str) -> Result<Filter<Data>, String> {
    let inward = |name: &str| !OUTWARD.contains(&name);
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let natives = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let from_json = run::<Data>(("fromjson", v(0), from_json));
    let natives = natives
        .filter(|(name, ..)| inward(name) && *name != "fromjson")
        .chain([from_json]);

    let arena = Arena::default();
    let program = File {
        code: expression,
        path: (),
    };
    let modules = Loader::new(definitions.filter(|definition| inward(definition.name)))
        .load(&arena, program)
        .map_err(first_load_error)?;
    load::import(&modules, |_| Err("there are no files to import".to_owned())).map_err(first_load_error)?;
    Compiler::default()
        .with_funs(natives)
        .compile(modules)
        .map_err(first_compile_error)
}

/// `fromjson`, which `tonumber` is made of, with a bound for depth.
fn from_json(cv: Cv<'_, Data>) -> ValXs<'_, Val> {
    let value = cv.1;
    bome(value.try_as_utf8_bytes_owned().and_then(|text| {
        json(&text).map_err(|reason| Error::str(format_args!("cannot parse as JSON ({reason}): {}", brief(&value))))
    }))
}

fn first_load_error(errors: load::Errors<&str, ()>) -> String {
    let (expected, found) = match errors.into_iter().next() {
        Some((_, load::Error::Io(errors))) => {
            return errors.into_iter().next().map_or_else(String::new, |(_, reason)| reason);
        }
        Some((_, load::Error::Lex(errors))) => match errors.into_iter().next() {
            Some((expected, found)) => (expected.as_str(), found),
            None => return "it is no program".to_owned(),
        },
        Some((_, load::Error::Parse(errors))) => match errors.into_iter().next() {
            Some((expected, found)) => (expected.as_str(), found),
            None => return "it is no program".to_owned(),
        },
        None => return "it is no program".to_owned(),
    };
    if found.is_empty() {
        return format!("it ends where there should be: {expected}");
    }
    format!("at {found:?} there should be: {expected}")
}

fn first_compile_error(errors: compile::Errors<&str, ()>) -> String {
    match errors.into_iter().flat_map(|(_, errors)| errors).next() {
        Some((name, compile::Undefined::Filter(arguments))) if arguments > 0 => {
            format!("there is no filter {name} with {arguments} arguments")
        }
        Some((name, undefined)) => format!("there is no {} {name}", undefined.as_str()),
        None => "it is no program".to_owned(),
    }
}

#[cfg(test)]
mod tests;
