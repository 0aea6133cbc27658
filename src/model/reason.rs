//! Every reason that a condition, a version or an Event can have: what it means, and what to do, is in `docs/operate.md`.
//!
//! A refusal of a route by its parent has the parent's own reason.

macro_rules! reasons {
    ($($name:ident = $text:literal,)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $name: &str = $text;
        )*

        /// All of them, in the order of the alphabet.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

reasons! {
    ACCEPTED = "Accepted",
    ALL_WEIGHTS_ZERO = "AllWeightsZero",
    CANDIDATE_NOT_READY = "CandidateNotReady",
    CONFLICT = "Conflict",
    DELETING = "Deleting",
    DONE = "Done",
    DRAINING = "Draining",
    DRIFT_REPAIRED = "DriftRepaired",
    ERROR = "Error",
    EXPERIMENT_COMPLETED = "ExperimentCompleted",
    EXPERIMENT_INITIALIZED = "ExperimentInitialized",
    FAILED = "Failed",
    FORBIDDEN = "Forbidden",
    GONE = "Gone",
    HOST_NOT_ALLOWED = "HostNotAllowed",
    IMMUTABLE_FIELD = "ImmutableField",
    INCONCLUSIVE = "Inconclusive",
    INTERNAL_ERROR = "InternalError",
    INVALID_EXPERIMENT = "InvalidExperiment",
    INVALID_SPECIFICATION = "InvalidSpecification",
    INVALID_WEIGHT = "InvalidWeight",
    ITERATION_UPDATE = "IterationUpdate",
    KIND_NOT_FOUND = "KindNotFound",
    MALFORMED = "Malformed",
    METRIC_UNAVAILABLE = "MetricUnavailable",
    NAME_CONFLICT = "NameConflict",
    NAMESPACE_TERMINATING = "NamespaceTerminating",
    NO_READY_VERSION = "NoReadyVersion",
    NOT_ACCEPTED = "NotAccepted",
    NOT_AVAILABLE = "NotAvailable",
    NOT_CURRENT = "NotCurrent",
    NOT_FOUND = "NotFound",
    NOT_LEADER = "NotLeader",
    NOT_LISTED = "NotListed",
    NOT_READY = "NotReady",
    NOT_REPORTED = "NotReported",
    NOT_ROUTED = "NotRouted",
    OVERRIDE_ENDED = "OverrideEnded",
    PARTLY_AVAILABLE = "PartlyAvailable",
    PENDING = "Pending",
    PRIMARY_NOT_READY = "PrimaryNotReady",
    PROGRESSING = "Progressing",
    PROMOTED = "Promoted",
    PROMOTING = "Promoting",
    PROMOTION = "Promotion",
    QUOTA_EXCEEDED = "QuotaExceeded",
    READY = "Ready",
    RECOVERED = "Recovered",
    REMOVING = "Removing",
    ROLLED_BACK = "RolledBack",
    ROLLING_IN_PLACE = "RollingInPlace",
    ROLLOUT_FAILED = "RolloutFailed",
    ROUTE_UPDATED = "RouteUpdated",
    RUNNING = "Running",
    SCALED_TO_ZERO = "ScaledToZero",
    SELECTOR_MISMATCH = "SelectorMismatch",
    STAGE_ADVANCED = "StageAdvanced",
    STALLED = "Stalled",
    STATUS_NOT_WRITTEN = "StatusNotWritten",
    SUCCESSFUL = "Successful",
    SUSPENDED = "Suspended",
    TARGET_ACQUIRED = "TargetAcquired",
    TARGET_BUSY = "TargetBusy",
    TARGET_NOT_READY = "TargetNotReady",
    TIMEOUT = "Timeout",
    TRANSIENT = "Transient",
    UNKNOWN = "Unknown",
    VERSION_NOT_READY = "VersionNotReady",
    VERSION_READY = "VersionReady",
    VERSION_REMOVED = "VersionRemoved",
    WEIGHT_REDISTRIBUTION_FAILED = "WeightRedistributionFailed",
    WEIGHTS_EDITED = "WeightsEdited",
}
