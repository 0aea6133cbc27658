//! A request for one number, and what came of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::metric::Method;

/// A request for one number.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// How it is asked.
    pub method: Method,
    /// Where it is asked for. Complete: parameters are in it, form-encoded.
    pub url: String,
    /// Headers; `Authorization` is among them.
    pub headers: Vec<(String, String)>,
    /// Body, JSON.
    pub body: Option<String>,
    /// How the number is read from the answer.
    pub reader: Reader,
}

/// URL, values of headers and body can hold what is in a Secret: nothing of them is shown but who is asked.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.split('/').nth(2).unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Query")
            .field("method", &self.method)
            .field("host", &host)
            .field("headers", &names)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

/// How a number is read from an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// It is the answer of Prometheus to an instant query.
    Prometheus,
    /// It is the first output of this program in the language of jq.
    Jq(String),
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sample {
    /// The number. Never NaN, never infinite.
    Value(f64),
    /// Nothing was measured; why, in a sentence.
    NoData(String),
    /// There is no telling; why, in a sentence.
    Error(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_shown() {
        let query = Query {
            method: Method::Post,
            url: "https://user:hidden1@api.example:8443/hidden2?key=hidden3".to_owned(),
            headers: vec![("Authorization".to_owned(), "Bearer hidden4".to_owned())],
            body: Some("\"hidden5\"".to_owned()),
            reader: Reader::Jq(".a".to_owned()),
        };
        let shown = format!("{query:?}");
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(
            shown.contains("api.example:8443") && shown.contains("Authorization"),
            "{shown}"
        );
    }
}
