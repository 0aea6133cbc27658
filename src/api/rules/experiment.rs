//! The rules of an `Experiment`.

use super::Rule;

/// Conformance looks at one version.
pub const CONFORMANCE_CANDIDATES: &str = "Invalid number of candidates for Conformance experiment: it judges the baseline alone, so \
     remove versionInfo.candidates, or take testingPattern Canary";
/// Two versions are compared.
pub const ONE_CANDIDATE: &str = "Invalid number of candidates for Canary or A/B experiment: give one in versionInfo.candidates, or take testingPattern A/B/N";
/// There is something to compare the baseline with.
pub const A_CANDIDATE: &str =
    "Invalid number of candidates for A/B/N experiment: give at least one in versionInfo.candidates";
/// Names are keys.
pub const DUPLICATE_NAME: &str = "Version names are not unique: give baseline and each candidate a name of its own";
/// A reward decides.
pub const ONE_REWARD: &str =
    "Invalid number of rewards for A/B or A/B/N experiment: give exactly one as criteria.reward";
/// Nobody would look at a reward.
pub const NO_REWARD: &str = "Invalid number of rewards for Canary or Conformance experiment: objectives decide, so remove \
     criteria.reward and criteria.rewards, or take testingPattern A/B";
/// What moves has a place.
pub const NO_PLACE: &str = "Specification of version weightObjectRef invalid: to move weights all versions but one need \
     weightObjRef: give them, or versionInfo.releaseRef, or take deploymentPattern FixedSplit";
/// One place for each weight.
pub const TWO_PLACES: &str =
    "releaseRef says where the weights of all versions stand: remove weightObjRef, or remove releaseRef";
/// Nothing moves.
pub const NOTHING_MOVES: &str = "a Conformance experiment moves no weight: remove versionInfo.releaseRef";
/// The actions that there are.
pub const ACTION: &str =
    "is no action that the operator runs: it runs tasks at the start alone; remove it from strategy.actions";
/// The tasks that there are.
pub const TASK: &str = "is no task that the operator runs: knative/init-experiment is all that there is; remove it from \
     strategy.actions, and do what it did outside of the experiment";
/// What `knative/init-experiment` waits for.
pub const KNATIVE_TARGET: &str = "task knative/init-experiment waits for the Knative Service that is the target: write target \
     as in <namespace>/<name of the Service>";
/// A JSON pointer.
pub const POINTER: &str = "Fieldpaths must start with '/': fieldPath is a JSON pointer, as in /spec/traffic/0/percent";
/// The lock's key.
pub const TARGET_CHANGED: &str = "an experiment keeps its target: make another experiment for another target";
/// What is compared, and where weights stand, is what is rolled back.
pub const VERSIONS_CHANGED: &str =
    "an experiment keeps its versions and where their weights stand: make another experiment for others";
/// Two weights in one place.
pub const ONE_PLACE: &str = "the weights of two versions stand in one place: give each its own weightObjRef";
/// An objective without limit says nothing.
pub const NO_LIMIT: &str = "an objective without limit would always be met: give upperLimit, lowerLimit or both";
/// What a limit is.
pub const BAD_LIMIT: &str = "a limit is a number or a quantity: write it as in 50, \"0.01\" or 500m";
/// An Experiment acts in its own namespace.
pub const OTHER_NAMESPACE: &str = "an Experiment moves weights of objects in its own namespace only: remove namespace, and create \
     the Experiment in the namespace that you want";
/// An Experiment looks at its own namespace.
pub const OTHER_TARGET: &str = "task knative/init-experiment waits for a Knative Service in the Experiment's own namespace: write \
     that namespace before the /, or create the Experiment in the other one";

const START: &str =
    "has(self.strategy.actions) && 'start' in self.strategy.actions && size(self.strategy.actions['start']) > 0";
const CANDIDATES: &str = "(has(self.versionInfo.candidates) ? size(self.versionInfo.candidates) : 0)";
const REWARDS: &str = "(has(self.criteria) && has(self.criteria.reward) ? 1 : 0) \
     + (has(self.criteria) && has(self.criteria.rewards) ? size(self.criteria.rewards) : 0)";
const BOTH: &[&str] = &["spec.versionInfo.baseline", "spec.versionInfo.candidates[]"];

/// All rules of an `Experiment`.
pub fn rules() -> Vec<Rule> {
    let pattern = |patterns: &str| format!("!(self.strategy.testingPattern in [{patterns}])");
    let mut rules = vec![
        Rule::new(
            &["spec"],
            CONFORMANCE_CANDIDATES,
            format!("{} || {CANDIDATES} == 0", pattern("'Conformance'")),
        ),
        Rule::new(
            &["spec"],
            ONE_CANDIDATE,
            format!("{} || {CANDIDATES} == 1", pattern("'Canary', 'A/B'")),
        ),
        Rule::new(
            &["spec"],
            A_CANDIDATE,
            format!("{} || {CANDIDATES} >= 1", pattern("'A/B/N'")),
        ),
        Rule::new(
            &["spec"],
            ONE_REWARD,
            format!("{} || ({REWARDS}) == 1", pattern("'A/B', 'A/B/N'")),
        ),
        Rule::new(
            &["spec"],
            NO_REWARD,
            format!("{} || ({REWARDS}) == 0", pattern("'Canary', 'Conformance'")),
        ),
        Rule::new(
            &["spec"],
            NOTHING_MOVES,
            format!("{} || !has(self.versionInfo.releaseRef)", pattern("'Conformance'")),
        ),
        Rule::new(
            &["spec"],
            KNATIVE_TARGET,
            format!("!({START}) || self.target.matches('^[a-z0-9-]+/[a-z0-9-]+$')"),
        ),
        Rule::new(
            &["spec.target"],
            TARGET_CHANGED,
            "!oldSelf.hasValue() || self == oldSelf.value()",
        ),
    ];
    rules.push(Rule::new(
        &["spec.versionInfo"],
        VERSIONS_CHANGED,
        "!oldSelf.hasValue() || self == oldSelf.value()",
    ));
    rules.extend(actions());
    rules.extend(versions());
    rules
}

fn actions() -> [Rule; 2] {
    [
        Rule::new(
            &["spec.strategy"],
            ACTION,
            "!has(self.actions) || self.actions.all(name, name == 'start')",
        )
        .naming("self.actions.filter(name, name != 'start')[0]"),
        Rule::new(
            &["spec.strategy.actions{}[]"],
            TASK,
            "self.library == 'knative' && self.task == 'init-experiment'",
        )
        .naming("self.library + '/' + self.task"),
    ]
}

fn versions() -> Vec<Rule> {
    let without = "(has(self.versionInfo.baseline.weightObjRef) ? 0 : 1) \
         + (has(self.versionInfo.candidates) ? size(self.versionInfo.candidates.filter(v, !has(v.weightObjRef))) : 0)";
    vec![
        Rule::new(
            &["spec.versionInfo"],
            DUPLICATE_NAME,
            "!has(self.candidates) || self.candidates.all(v, v.name != self.baseline.name \
             && self.candidates.exists_one(w, w.name == v.name))",
        ),
        Rule::new(
            &["spec"],
            NO_PLACE,
            format!(
                "self.strategy.testingPattern == 'Conformance' || has(self.versionInfo.releaseRef) \
                 || (has(self.strategy.deploymentPattern) && self.strategy.deploymentPattern == 'FixedSplit') \
                 || {without} <= 1"
            ),
        ),
        Rule::new(
            &["spec.versionInfo"],
            TWO_PLACES,
            "!has(self.releaseRef) || (!has(self.baseline.weightObjRef) \
             && (!has(self.candidates) || !self.candidates.exists(v, has(v.weightObjRef))))",
        ),
        Rule::new(
            BOTH,
            POINTER,
            "!has(self.weightObjRef) || self.weightObjRef.fieldPath.startsWith('/')",
        ),
    ]
}
