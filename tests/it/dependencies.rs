//! The policy on dependencies: from crates.io only, under licences that suit ours, one version of what must be one.

use std::collections::BTreeSet;
use std::process::Command;
use std::{env, fs};

/// Licences whose conditions Apache-2.0 software can meet by naming their authors.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    // Of a list of certificates.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Crates whose types meet: two versions of one do not compile together, or double what they carry.
const ONE_VERSION: &[&str] = &[
    "kube",
    "kube-client",
    "kube-core",
    "k8s-openapi",
    "schemars",
    "serde_json",
    "rustls",
];

/// Crates that we do without: TLS is rustls with ring, which needs no library of the system and no cmake.
const BANNED: &[&str] = &["openssl-sys", "native-tls", "aws-lc-sys", "aws-lc-rs", "serde_yaml"];

/// Name, version and licence of each crate that this machine builds, ours left out.
fn crates() -> Vec<(String, String, String)> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--no-dedupe",
            "--prefix=none",
            "--edges=normal,build,dev",
        ])
        .args([
            "--format",
            "{p}|{l}",
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: BTreeSet<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    let read = |line: &str| {
        let (package, licence) = line.split_once('|').unwrap();
        let mut words = package.split(' ');
        (
            words.next().unwrap().to_owned(),
            words.next().unwrap().to_owned(),
            licence.to_owned(),
        )
    };
    let crates: Vec<_> = lines
        .into_iter()
        .map(read)
        .filter(|(name, ..)| name != "iter8")
        .collect();
    assert!(crates.len() > 50, "cargo tree lists {} crates only", crates.len());
    crates
}

/// Whether we may choose allowed licences only: `OR` gives the choice, `AND` does not, and binds closer.
fn allowed(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ");
    if let Some((inner, rest)) = licence.strip_prefix('(').and_then(|rest| rest.split_once(") AND ")) {
        return allowed(inner) && allowed(rest);
    }
    let all = |part: &str| part.split(" AND ").all(|one| ALLOWED.contains(&one.trim()));
    licence.split(" OR ").any(all)
}

#[test]
fn every_licence_suits_ours() {
    let bad: Vec<_> = crates().into_iter().filter(|(.., licence)| !allowed(licence)).collect();
    assert!(
        bad.is_empty(),
        "choose another crate, or add the licence to ALLOWED with care: {bad:?}"
    );
    let table = [
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("", false),
    ];
    for (licence, wanted) in table {
        assert_eq!(allowed(licence), wanted, "{licence}");
    }
}

#[test]
fn what_must_be_one_is_one_and_what_is_banned_is_absent() {
    let crates = crates();
    for name in ONE_VERSION {
        let versions: Vec<_> = crates.iter().filter(|one| one.0 == *name).map(|one| &one.1).collect();
        assert_eq!(
            versions.iter().collect::<BTreeSet<_>>().len(),
            1,
            "{name}: {versions:?} (cargo tree -i {name})"
        );
    }
    let banned: Vec<_> = crates.iter().filter(|one| BANNED.contains(&one.0.as_str())).collect();
    assert!(
        banned.is_empty(),
        "these are banned (cargo tree -i shows who needs them): {banned:?}"
    );
}

#[test]
fn every_crate_is_from_crates_io() {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let sources: BTreeSet<&str> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert_eq!(
        Vec::from_iter(sources),
        [r#"source = "registry+https://github.com/rust-lang/crates.io-index""#]
    );
}
