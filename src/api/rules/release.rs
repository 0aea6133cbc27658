//! The rules of a Release.

use super::{ALL_WEIGHTS_ZERO, NO_VERSION, ONE_DEFAULT_MATCH, Rule, match_rules};

/// Environments that route nothing.
pub const UNSUPPORTED_PAIR: &str = "environment deployment routes nothing and works with strategy none only: remove \
     strategy, or use environment deployment-gtw or deployment-istio (strategies none, blue-green, canary, mirror)";
/// Environments without a Gateway.
pub const NO_GATEWAY: &str =
    "environment deployment has no gateway: remove gateway, or use environment deployment-gtw or deployment-istio";
/// Version names are the names of objects.
pub const DUPLICATE_NAME: &str = "two versions have the same metadata.name: give each its own";
/// A default name that another version bears.
pub const DEFAULT_NAME_TAKEN: &str =
    "a version's metadata.name equals the default name <application>-<index> of another version: rename it";
/// The application's Service and a version's Service.
pub const APPLICATION_NAME_TAKEN: &str =
    "a version can't have the application's name, which names the Service that clients call: rename the version";
/// The default name of an application.
pub const BAD_DEFAULT_APPLICATION: &str = "the application's name becomes the name of a Service (at most 63 lower case \
     letters, digits and -, starting with a letter): set spec.application.metadata.name, or rename the Release";
/// The Release's own name.
pub const LONG_RELEASE: &str =
    "a Release's name becomes the value of label iter8.tools/release, at most 63 characters: give it a shorter name";
/// The default names of versions.
pub const LONG_DEFAULT_NAME: &str = "a version without a name is called <application>-<index>, longer than 49 \
     characters here: shorten spec.application.metadata.name, or give every version a metadata.name";
/// Clients call the application by its name.
pub const APPLICATION_RENAMED: &str = "the application's name is what clients call and can't change: put back \
     spec.application.metadata.name, or create another Release for the new name";
/// Objects are made in the Release's namespace.
pub const NAMESPACE: &str = "a Release makes objects in its own namespace only: remove namespace, and create the Release in the namespace you want";
/// Specifications do not rename.
pub const SPECIFICATION_NAME: &str =
    "the object is called like its version: remove name here, and set the version's metadata.name";
/// Something to run.
pub const NO_IMAGE: &str = "image is needed unless deploymentSpecification.spec.template.spec.containers is given: \
     add image: <repository>:<tag>";
/// Keys of ours.
pub const RESERVED_KEY: &str =
    "labels and annotations under iter8.tools/ are set by the operator: remove them, or use another prefix";
/// Keys of labels and annotations.
pub const BAD_KEY: &str = "the key of a label or an annotation is [<domain>/]<name>, the name of at most 63 letters, \
     digits, -, _ and ., starting and ending with a letter or a digit: rename it";

const METADATA: &[&str] = &[
    "spec.application.metadata",
    "spec.application.versions[].metadata",
    "spec.application.versions[].deploymentSpecification.metadata",
    "spec.application.versions[].serviceSpecification.metadata",
];
const MAPS: &[&str] = &[
    "spec.application.metadata.labels",
    "spec.application.metadata.annotations",
    "spec.application.versions[].metadata.labels",
    "spec.application.versions[].metadata.annotations",
    "spec.application.versions[].deploymentSpecification.metadata.labels",
    "spec.application.versions[].deploymentSpecification.metadata.annotations",
    "spec.application.versions[].serviceSpecification.metadata.labels",
    "spec.application.versions[].serviceSpecification.metadata.annotations",
];

/// All rules of a Release.
pub fn rules() -> Vec<Rule> {
    let mut rules = names();
    rules.extend(fields());
    rules.extend(match_rules(
        &["spec.application.versions[].matches[]"],
        &["spec.application.versions[].matches[].path"],
    ));
    rules
}

/// The application's name in `object`: its own or the Release's.
fn application(object: &str) -> String {
    let application = format!("{object}.spec.application");
    format!(
        "(has({application}.metadata) && has({application}.metadata.name) \
         ? {application}.metadata.name : {object}.metadata.name)"
    )
}

/// Whether the version has a name of its own.
fn named(version: &str) -> String {
    format!("(has({version}.metadata) && has({version}.metadata.name))")
}

fn names() -> Vec<Rule> {
    const VERSIONS: &str = "self.spec.application.versions";
    let application_name = application("self");
    let (named_w, named_v) = (named("w"), named("v"));
    // The last digit of a name is the index whose default name it may be: there are at most 8 versions.
    let index = "int(w.metadata.name.substring(size(w.metadata.name) - 1))";
    let named_index = named(&format!("{VERSIONS}[{index}]"));
    vec![
        Rule::root(
            BAD_DEFAULT_APPLICATION,
            "(has(self.spec.application.metadata) && has(self.spec.application.metadata.name)) \
             || (size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$'))",
        ),
        Rule::root(LONG_RELEASE, "size(self.metadata.name) <= 63"),
        Rule::root(
            LONG_DEFAULT_NAME,
            format!("size({application_name}) <= 47 || {VERSIONS}.all(w, {named_w})"),
        ),
        Rule::root(
            APPLICATION_NAME_TAKEN,
            format!("{VERSIONS}.all(w, !{named_w} || w.metadata.name != {application_name})"),
        ),
        Rule::root(
            DEFAULT_NAME_TAKEN,
            format!(
                "{VERSIONS}.all(w, !{named_w} || !w.metadata.name.matches('.-[0-7]$') \
                 || w.metadata.name.substring(0, size(w.metadata.name) - 2) != {application_name} \
                 || {index} >= size({VERSIONS}) || {named_index})"
            ),
        ),
        Rule::root(
            APPLICATION_RENAMED,
            format!(
                "!oldSelf.hasValue() || {} == {application_name}",
                application("oldSelf.value()")
            ),
        ),
        Rule::new(
            &["spec.application"],
            DUPLICATE_NAME,
            format!(
                "self.versions.all(v, !{named_v} \
                 || self.versions.exists_one(w, {named_w} && w.metadata.name == v.metadata.name))"
            ),
        ),
    ]
}

fn fields() -> Vec<Rule> {
    vec![
        Rule::new(
            &["spec"],
            UNSUPPORTED_PAIR,
            "self.environment != 'deployment' || self.application.strategy == 'none'",
        ),
        Rule::new(
            &["spec"],
            NO_GATEWAY,
            "self.environment != 'deployment' || !has(self.gateway)",
        ),
        Rule::new(&["spec.application"], NO_VERSION, "size(self.versions) > 0"),
        Rule::new(
            &["spec.application"],
            ALL_WEIGHTS_ZERO,
            "self.strategy != 'blue-green' || size(self.versions) == 0 \
             || self.versions.exists(v, !has(v.weight) || v.weight > 0)",
        ),
        Rule::new(
            &["spec.application"],
            ONE_DEFAULT_MATCH,
            "self.strategy != 'canary' || size(self.versions) == 0 \
             || size(self.versions.filter(v, !has(v.matches) || size(v.matches) == 0)) \
             <= (!has(self.versions[0].matches) || size(self.versions[0].matches) == 0 ? 2 : 1)",
        ),
        Rule::new(METADATA, NAMESPACE, "!has(self.__namespace__)"),
        Rule::new(METADATA.split_at(2).1, SPECIFICATION_NAME, "!has(self.name)"),
        Rule::new(
            &["spec.application.versions[]"],
            NO_IMAGE,
            "has(self.image) || (has(self.deploymentSpecification) && has(self.deploymentSpecification.spec))",
        ),
        Rule::new(MAPS, RESERVED_KEY, "self.all(key, !key.startsWith('iter8.tools/'))"),
        Rule::new(
            MAPS,
            BAD_KEY,
            format!("self.all(key, key.matches('{}'))", super::text::KEY),
        ),
    ]
}
