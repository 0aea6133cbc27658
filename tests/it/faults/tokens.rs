//! Tokens that end, and are replaced on disk.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::Story;
use crate::support::cluster::SERVICE_ACCOUNT;
use crate::support::{Test, holds};

/// A token that is good for as long as a Secret exists.
fn token(test: &Test, secret: &str) -> String {
    let kubectl = test.cluster.kubectl.within(SERVICE_ACCOUNT.0);
    kubectl.ok(["create", "secret", "generic", secret], "");
    let bound = format!("--bound-object-name={secret}");
    kubectl.ok(
        [
            "create",
            "token",
            SERVICE_ACCOUNT.1,
            "--bound-object-kind=Secret",
            &bound,
        ],
        "",
    )
}

/// A kubeconfig that names a file for the token, as a Pod's ServiceAccount has one, and that file.
fn with_token_file(test: &Test) -> (PathBuf, PathBuf) {
    let folder = &test.cluster.folder;
    let [config, file] = ["kubeconfig", "token"].map(|name| folder.join(format!("{}.{name}", test.namespace)));
    let mut login: Value = serde_yaml::from_str(&fs::read_to_string(test.kubeconfig()).unwrap()).unwrap();
    login["users"][0]["user"] = json!({ "tokenFile": file });
    fs::write(&config, login.to_string()).unwrap();
    (config, file)
}

#[test]
fn an_operator_whose_token_has_ended_goes_on_with_the_one_that_replaced_it_on_disk() {
    let mut test = Test::without_operator("token");
    let [first, second] = ["a", "b"].map(|end| format!("{}-{end}", test.namespace));
    let (config, file) = with_token_file(&test);
    fs::write(&file, token(&test, &first)).unwrap();
    test.connect_with(&config);
    test.start();
    let story = Story::of(test);

    let kubectl = story.test.cluster.kubectl.within(SERVICE_ACCOUNT.0);
    kubectl.ok(["delete", "secret", &first], "");
    let unauthorized = || story.test.log().contains("Unauthorized");
    let mut edits = 0;
    // A server believes a token for a while after it has ended.
    story
        .test
        .wait_until("the token has ended", Duration::from_mins(2), || {
            edits += 1;
            // It has a status to write.
            let change = json!({ "spec": { "drainSeconds": 1 + edits % 2 } }).to_string();
            story
                .test
                .kubectl(["patch", "release/web", "--type=merge", "--patch", &change]);
            holds(unauthorized(), "not in its log")
        });
    fs::write(&file, token(&story.test, &second)).unwrap();
    story.edit();
    story.arrives();
    kubectl.ok(["delete", "secret", &second], "");
}
