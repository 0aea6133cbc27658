//! The rules of a `Metric`.

use super::Rule;

/// Others than Prometheus have no address of their own.
pub const NO_URL: &str = "of a provider other than prometheus the operator knows no address: give urlTemplate, or write provider: prometheus";
/// Answers of others have any form.
pub const NO_EXPRESSION: &str = "the answer of a provider other than prometheus can have any form: say with jqExpression what of it is the \
     number, as in .results[0].count";
/// Prometheus is asked something.
pub const NO_QUERY: &str = "provider prometheus is asked parameter query: give params with one entry of that name, and the PromQL as its value";
/// GET has no body.
pub const BODY: &str = "a body is sent with method POST only: write method: POST, or remove body";
/// Who proves something has a secret.
pub const NO_SECRET: &str = "authType Basic and Bearer need values of a Secret: give its name as secret";
/// Secrets are read for those who say so.
pub const NO_AUTH: &str = "a Secret is read for an authType only: give authType, or remove secret";

/// All rules of a `Metric`.
pub fn rules() -> Vec<Rule> {
    let at: &[&str] = &["spec"];
    vec![
        Rule::new(at, NO_URL, "self.provider == 'prometheus' || has(self.urlTemplate)"),
        Rule::new(
            at,
            NO_EXPRESSION,
            "self.provider == 'prometheus' || has(self.jqExpression)",
        ),
        Rule::new(
            at,
            NO_QUERY,
            "self.provider != 'prometheus' || has(self.jqExpression) \
             || (has(self.params) && self.params.exists_one(p, p.name == 'query'))",
        ),
        Rule::new(
            at,
            BODY,
            "!has(self.body) || (has(self.method) && self.method == 'POST')",
        ),
        Rule::new(
            at,
            NO_SECRET,
            "!has(self.authType) || self.authType == 'APIKey' || has(self.secret)",
        ),
        Rule::new(at, NO_AUTH, "!has(self.secret) || has(self.authType)"),
    ]
}
