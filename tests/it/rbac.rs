//! What the operator may do; that it needs all of it, `rbac_used` shows.

use std::fmt::Write;
use std::path::Path;

use iter8::cluster::permissions::PERMISSIONS;

use crate::golden;

/// The operator's `ClusterRole`, as YAML.
fn cluster_role() -> String {
    let list = |words: &[&str]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    let mut text = "# Made from src/cluster/permissions.rs by `UPDATE_GOLDEN=1 cargo test --test it rbac`.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: iter8
rules:
"
    .to_owned();
    for rule in PERMISSIONS {
        let (group, resources, verbs) = (quoted(rule.group), list(rule.resources), list(rule.verbs));
        write!(
            text,
            "# {}\n- apiGroups: [{group}]\n  resources: [{resources}]\n  verbs: [{verbs}]\n",
            rule.why
        )
        .unwrap();
    }
    text
}

fn quoted(word: &str) -> String {
    if word.is_empty() {
        "\"\"".to_owned()
    } else {
        word.to_owned()
    }
}

#[test]
fn the_cluster_role_is_what_the_operator_says_it_needs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rbac/cluster_role.yaml");
    golden::check([golden::compare_file(&path, &cluster_role())]);
}
