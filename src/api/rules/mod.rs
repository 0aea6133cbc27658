//! The admission rules: what the CRDs refuse in CEL, and what `model::validate` refuses offline, in the same sentences.
//!
//! A rule stands at the lowest level that sees its fields: a stored object that breaks a rule may then keep the part
//! that breaks it, and its other parts and its status can still be written (KEP-4008, ratcheting).
//! The forms of the expressions are those that the API server's cost budget takes; every list and string is bounded.

pub mod experiment;
pub mod metric;
pub mod release;
pub mod route_policy;
pub mod text;

/// A rule about several fields.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands, as in `spec.application.versions[].matches[]`; empty: at the root of the object.
    pub at: &'static [&'static str],
    /// The expression; `self` is the value that it stands at.
    pub cel: String,
    /// What to write instead.
    pub message: &'static str,
    /// The field that the refusal names, below `at`.
    pub field_path: Option<&'static str>,
    /// An expression for what is at fault, which the message goes on from.
    pub names: Option<&'static str>,
}

impl Rule {
    /// A rule that stands at each of the paths in `at`.
    pub fn new(at: &'static [&'static str], message: &'static str, cel: impl Into<String>) -> Self {
        Self {
            at,
            cel: cel.into(),
            message,
            field_path: None,
            names: None,
        }
    }

    /// The same rule, whose message begins with the value of an expression.
    #[must_use]
    pub fn naming(self, names: &'static str) -> Self {
        Self {
            names: Some(names),
            ..self
        }
    }

    /// A rule at the root, where alone `metadata.name` can be seen.
    ///
    /// It holds while the spec stays what it was: the scope of a root rule is the whole object, so that without this
    /// guard an object that breaks it would refuse every write of its status.
    pub fn root(message: &'static str, cel: impl AsRef<str>) -> Self {
        let cel = format!(
            "(oldSelf.hasValue() && oldSelf.value().spec == self.spec) || ({})",
            cel.as_ref()
        );
        Self {
            at: &[""],
            cel,
            message,
            field_path: Some(".spec"),
            names: None,
        }
    }
}

/// At most one of the canary's candidates may go without matches: there is one default only.
pub const ONE_DEFAULT_MATCH: &str = "only one canary candidate can go without matches (it gets those with header traffic: test): give the others matches";

/// Shares that are all 0 would leave nobody to answer.
pub const ALL_WEIGHTS_ZERO: &str =
    "all weights are 0, so nobody would get a request: give at least one version a weight above 0";

/// There must be a version.
pub const NO_VERSION: &str = "there is no version: list at least one under versions, the primary first";

/// A match must not take what is the primary's.
pub const TAKES_ALL: &str = "this match would take every request from the primary: name a header, a query parameter, \
     a method, or a path other than the prefix /";

/// Paths of the Gateway API.
pub const BAD_PATH: &str = "a path starts with / and has no //, /./, /../, %2f, %2F or # in it: write it as in /cart, or use type RegularExpression";

/// Rules for a `HttpRouteMatch` at the given paths.
fn match_rules(matches: &'static [&'static str], paths: &'static [&'static str]) -> [Rule; 2] {
    [
        Rule::new(
            matches,
            TAKES_ALL,
            "(has(self.headers) && size(self.headers) > 0) || (has(self.queryParams) && size(self.queryParams) > 0) \
             || has(self.method) || (has(self.path) && !(self.path.type == 'PathPrefix' && self.path.value == '/'))",
        ),
        Rule::new(
            paths,
            BAD_PATH,
            "self.type == 'RegularExpression' || (self.value.startsWith('/') \
             && !['//', '/./', '/../', '%2f', '%2F', '#'].exists(part, self.value.contains(part)) \
             && !self.value.endsWith('/..') && !self.value.endsWith('/.'))",
        ),
    ]
}
