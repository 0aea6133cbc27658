//! Names of the objects that are made for a Release.

pub use crate::api::rules::text::{dns_1035, dns_label, subdomain};

/// The longest name of a Service, a label's value or a container.
pub const LONGEST: usize = 63;

const WEIGHT_CONFIG: &str = "-weight-config";

/// The longest name of a version: with every suffix that is added it stays within `LONGEST`.
pub const LONGEST_VERSION: usize = LONGEST - WEIGHT_CONFIG.len();

/// Name of a version without a name of its own.
pub fn default_version(application: &str, index: usize) -> String {
    format!("{application}-{index}")
}

/// Name of the `ConfigMap` that holds a version's live weight.
pub fn weight_config(version: &str) -> String {
    format!("{version}{WEIGHT_CONFIG}")
}

/// The hosts that the Service has inside the cluster, shortest first (`<service>` alone is left out: it means another
/// Service in every namespace).
pub fn hosts(service: &str, namespace: &str) -> [String; 3] {
    [
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_version_name_leaves_room_for_its_config_map() {
        let longest = "v".repeat(LONGEST_VERSION);
        assert_eq!(weight_config(&longest).len(), LONGEST);
    }

    #[test]
    fn service_names_are_dns_1035_labels() {
        for good in ["a", "a-1", "httpbin-0"] {
            assert!(dns_1035(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a-", "A", "a.b", "a_b", "ä"] {
            assert!(!dns_1035(bad), "{bad}");
        }
    }
}
