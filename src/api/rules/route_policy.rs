//! The rules of a `RoutePolicy`.

use super::{ALL_WEIGHTS_ZERO, NO_VERSION, ONE_DEFAULT_MATCH, Rule, match_rules};

/// One kind of route.
pub const ONE_ROUTE: &str = "a policy writes one route: give exactly one of httpRoute and virtualService";
/// Version names are keys.
pub const DUPLICATE_NAME: &str = "two versions have the same name: give each its own";
/// A stand-in serves for somebody else who is there.
pub const SERVES_FOR_NOBODY: &str =
    "servesFor is the name of another version of this policy: name one of versions, or remove servesFor";
/// No chains and no two stand-ins.
pub const SERVES_FOR_CHAIN: &str = "a version that others serve for can't serve for another one, and one version is \
     served for by one other only: leave one servesFor";
/// A host for everything.
pub const ANY_HOST: &str = "host * would take the requests of every application: list the hosts of this application";
/// A route for no host of its own.
pub const BAD_FILTER: &str = "the filters of a policy are of type RequestHeaderModifier, URLRewrite, CORS or \
     ExtensionRef: for copies use strategy mirror; the operator sets the response headers itself, and a redirect has no backend";
/// `HTTPRoute` holds 16 filters in a rule.
pub const TOO_MANY_FILTERS: &str = "with strategy mirror versions and filters together are at most 16, as an HTTPRoute \
     holds 16 filters in a rule: remove some";
/// Services are of the core group.
pub const SERVICE_GROUP: &str = "a parent of kind Service is of the core group: leave group out";

const HOSTS: &[&str] = &["spec.route.httpRoute.hostnames[]", "spec.route.virtualService.hosts[]"];

/// All rules of a `RoutePolicy`.
pub fn rules() -> Vec<Rule> {
    let mut rules = versions();
    rules.extend(routes());
    rules.extend(match_rules(
        &["spec.versions[].matches[]"],
        &["spec.versions[].matches[].path"],
    ));
    rules
}

fn versions() -> Vec<Rule> {
    let open = |v: &str| format!("(!has({v}.matches) || size({v}.matches) == 0) && !has({v}.servesFor)");
    vec![
        Rule::new(&["spec"], NO_VERSION, "size(self.versions) > 0"),
        Rule::new(
            &["spec"],
            DUPLICATE_NAME,
            "self.versions.all(v, self.versions.exists_one(w, w.name == v.name))",
        ),
        Rule::new(
            &["spec"],
            ALL_WEIGHTS_ZERO,
            "self.strategy != 'blue-green' || size(self.versions) == 0 \
             || self.versions.exists(v, !has(v.weight) || v.weight > 0)",
        ),
        Rule::new(
            &["spec"],
            ONE_DEFAULT_MATCH,
            format!(
                "self.strategy != 'canary' || size(self.versions) == 0 \
                 || size(self.versions.filter(v, {})) <= ({} ? 2 : 1)",
                open("v"),
                open("self.versions[0]"),
            ),
        ),
        Rule::new(
            &["spec"],
            SERVES_FOR_NOBODY,
            "self.versions.all(v, !has(v.servesFor) || (v.servesFor != v.name \
             && self.versions.exists(w, w.name == v.servesFor)))",
        ),
        Rule::new(
            &["spec"],
            SERVES_FOR_CHAIN,
            "self.versions.all(v, !has(v.servesFor) \
             || (self.versions.all(w, w.name != v.servesFor || !has(w.servesFor) || w.name == v.name) \
             && self.versions.exists_one(w, has(w.servesFor) && w.servesFor == v.servesFor)))",
        ),
    ]
}

fn routes() -> Vec<Rule> {
    vec![
        Rule::new(
            &["spec.route"],
            ONE_ROUTE,
            "has(self.httpRoute) != has(self.virtualService)",
        ),
        Rule::new(HOSTS, ANY_HOST, "self != '*'"),
        Rule::new(
            &["spec.route.httpRoute.filters[]"],
            BAD_FILTER,
            "self.type in ['RequestHeaderModifier', 'URLRewrite', 'CORS', 'ExtensionRef']",
        ),
        Rule::new(
            &["spec"],
            TOO_MANY_FILTERS,
            "self.strategy != 'mirror' || !has(self.route.httpRoute) || !has(self.route.httpRoute.filters) \
             || size(self.versions) + size(self.route.httpRoute.filters) <= 16",
        ),
        Rule::new(
            &["spec.route.httpRoute.parentRefs[]"],
            SERVICE_GROUP,
            "!has(self.kind) || self.kind != 'Service' || !has(self.group) || self.group == ''",
        ),
    ]
}
