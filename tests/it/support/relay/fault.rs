//! What can befall a request.

use std::time::Instant;

use hyper::Method;

/// What befalls a request, or the next event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not carried out, and answered with this.
    Refused(Refusal),
    /// It is carried out, and answered with this all the same.
    Denied(Refusal),
    /// It is carried out, and the connection breaks before the answer.
    Lost,
    /// It is neither carried out nor answered.
    Ignored,
    /// The next event of a watch comes by half: then the answer ends, or its connection breaks.
    Halved {
        /// Whether the connection breaks.
        breaks: bool,
    },
    /// In place of its next event a watch says that the server has forgotten the place where it began.
    Forgotten,
}

impl Fault {
    /// Whether it befalls an event, and not a request.
    pub fn is_of_event(&self) -> bool {
        matches!(self, Self::Halved { .. } | Self::Forgotten)
    }
}

/// An answer of the server that it does not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP's.
    pub code: u16,
    /// What a Status says, or, of an empty reason, the plain text.
    pub message: &'static str,
    /// As in a Status; empty: the answer is none.
    pub reason: &'static str,
    /// In seconds.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// As a server answers whose etcd elects.
    pub const FAILURE: Self = Self {
        code: 500,
        message: "etcdserver: leader changed",
        reason: "InternalError",
        retry_after: None,
    };

    /// As a server answers that has too much to do.
    pub fn overloaded(retry_after: u32) -> Self {
        Self {
            code: 429,
            message: "Too many requests, please try again later.",
            reason: "",
            retry_after: Some(retry_after),
        }
    }

    /// As a server answers that has forgotten a resourceVersion.
    pub const EXPIRED: Self = Self {
        code: 410,
        message: "The resourceVersion for the provided watch is too old.",
        reason: "Expired",
        retry_after: None,
    };

    /// The Status, or text.
    pub fn body(&self) -> String {
        let Self {
            code, message, reason, ..
        } = self;
        if reason.is_empty() {
            return format!("{message}\n");
        }
        let metadata = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        metadata.to_string()
    }
}

/// Which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    verbs: Verbs,
    /// What stands in their path and query.
    of: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verbs {
    Write,
    Read,
    Watch,
}

impl Which {
    /// Writes with this in their path.
    pub fn writes(of: &str) -> Self {
        Self::new(Verbs::Write, of)
    }

    /// Reads with this in their path or query, watches among them.
    pub fn reads(of: &str) -> Self {
        Self::new(Verbs::Read, of)
    }

    /// Watches with this in their path.
    pub fn watches(of: &str) -> Self {
        Self::new(Verbs::Watch, of)
    }

    fn new(verbs: Verbs, of: &str) -> Self {
        let of = of.to_owned();
        Self { verbs, of }
    }

    pub(super) fn matches(&self, method: &Method, path: &str) -> bool {
        let verb = match self.verbs {
            Verbs::Write => method != Method::GET,
            Verbs::Read => method == Method::GET,
            Verbs::Watch => path.contains("watch=true"),
        };
        verb && path.contains(&self.of)
    }
}

/// What befalls which requests, and how many of them still.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) which: Which,
    pub(super) fault: Fault,
    pub(super) left: usize,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it came.
    pub at: Instant,
    /// Method and path, with the query.
    pub line: String,
    /// Whether something befell it.
    pub disturbed: bool,
}
