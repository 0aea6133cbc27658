//! The image: the static binary runs where there is nothing else, and is made into an image where something makes images.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::cluster::SERVICE_ACCOUNT;
use crate::support::kubectl::{Said, say};
use crate::support::manifest::{release, version};
use crate::support::operator::{BINARY, spawn};
use crate::support::{SOON, Test, skip_unless_local, wait_until};

/// Who it runs as, in the image.
const USER: &str = "65532:65532";

fn build() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/image/build.sh"))
}

/// A static binary, built as that of the image is, without what makes it fast: the one that all tests use, where they are
/// built so (`make test`).
fn binary() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        if cfg!(target_feature = "crt-static") {
            return BINARY.into();
        }
        let said = say(build().arg("binary").env("PROFILE", "dev"), "");
        assert!(said.ok, "{}", said.stderr);
        said.stdout.trim().into()
    });
    &BUILT
}

/// A folder for the binary alone, as the root of its file system, in which it may write nothing.
struct Root {
    folder: TempDir,
}

impl Root {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::copy(binary(), folder.path().join("iter8")).unwrap();
        Self { folder }
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The binary with these arguments, and with nothing but what is in the folder.
    fn command(&self, arguments: &[&str]) -> Command {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        // It changes its user, so the kernel would forget whom it is tied to; `timeout` ends it with itself.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--", "timeout", "300"])
            .env_clear();
        if is_root() {
            command.args(["chroot", "--userspec", USER]);
        } else {
            command.args(["unshare", "--user", "--map-root-user", "chroot"]);
        }
        command.arg(self.folder.path()).arg("/iter8").args(arguments);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Said {
        let said = say(&mut self.command(arguments), "");
        assert!(said.ok, "iter8 {arguments:?}: {}", said.stderr);
        said
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // So that it can be removed.
        let _ = fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755));
    }
}

fn is_root() -> bool {
    say(Command::new("id").arg("-u"), "").stdout.trim() == "0"
}

#[test]
fn the_static_binary_runs_in_an_empty_root() {
    let root = Root::new();
    let version = root.run(&["version"]).stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let crds = root.run(&["crdgen"]).stdout;
    assert!(crds.contains("releases.iter8.tools"), "{crds}");
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        if let Ok(None) = self.0.try_wait() {
            let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        }
        let _ = self.0.wait();
    }
}

/// It carries a Release through from the root, with these variables, and ends when it is told to.
#[track_caller]
fn operates(test: &Test, root: &Root, variables: &[(&str, &str)]) {
    let mut command = root.command(&["run", "--namespace", &test.namespace]);
    let log = fs::File::create(test.cluster.folder.join(format!("{}.log", test.namespace))).unwrap();
    command.envs(variables.iter().copied()).env("NO_COLOR", "1");
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let mut running = Running(spawn(command).unwrap());

    let web = release(
        "web",
        "deployment-istio",
        "blue-green",
        &[version("web:1"), version("web:2")],
    );
    test.apply(&web.to_string());
    test.wait_ready("release/web");
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);

    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = wait_until("it has ended", SOON, || {
        running.0.try_wait().unwrap().ok_or_else(|| test.log())
    });
    assert!(ended.success(), "{ended}: {}", test.log());
}

#[test]
fn the_static_binary_operates_from_an_empty_root_and_finds_a_server_by_its_name() {
    let test = Test::without_operator("static");
    let root = Root::new();
    let login = fs::read_to_string(test.kubeconfig()).unwrap();
    root.put("kubeconfig", &login.replace("//127.0.0.1:", "//localhost:"));
    root.put("etc/hosts", "127.0.0.1 localhost\n");
    operates(&test, &root, &[("KUBECONFIG", "/kubeconfig")]);
}

#[test]
fn in_a_pod_it_connects_with_the_service_account_of_that() {
    if skip_unless_local("a server with an address") {
        return;
    }
    let test = Test::without_operator("in a pod");
    let root = Root::new();
    let login: Value = serde_json::from_str(&fs::read_to_string(test.kubeconfig()).unwrap()).unwrap();
    let words = |value: &Value| value.as_str().unwrap().to_owned();
    let cluster = &login["clusters"][0]["cluster"];
    let certificate = STANDARD.decode(words(&cluster["certificate-authority-data"])).unwrap();
    // As the kubelet projects them into every container.
    for (name, content) in [
        ("token", words(&login["users"][0]["user"]["token"])),
        ("ca.crt", String::from_utf8(certificate).unwrap()),
        ("namespace", SERVICE_ACCOUNT.0.to_owned()),
    ] {
        root.put(
            &format!("var/run/secrets/kubernetes.io/serviceaccount/{name}"),
            &content,
        );
    }
    let server = words(&cluster["server"]);
    let (host, port) = server.trim_start_matches("https://").split_once(':').unwrap();
    let variables = [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)];
    operates(&test, &root, &variables);
}

#[test]
fn the_image_has_the_binary_a_user_who_is_not_root_and_a_list_of_what_it_is_made_of() {
    let said = say(build().arg("builder"), "");
    if !said.ok {
        println!("skipped: {}", said.stderr.trim());
        return;
    }
    let builder = said.stdout.trim();
    let image = format!("localhost/iter8-test:{}", std::process::id());
    let made = say(build().arg("image").env("PROFILE", "dev").env("IMAGE", &image), "");
    assert!(made.ok, "{}", made.stderr);
    let inspect: &[&str] = match builder {
        "buildah" => &["inspect", "--type", "image"],
        _ => &["image", "inspect"],
    };
    let said = say(Command::new(builder).args(inspect).arg(&image), "");
    assert!(said.ok, "{}", said.stderr);
    let removed = say(Command::new(builder).args(["rmi", &image]), "");
    assert!(removed.ok, "{}", removed.stderr);
    let inspected: Value = serde_json::from_str(&said.stdout).unwrap();
    let config = match builder {
        "buildah" => &inspected["OCIv1"]["config"],
        _ => &inspected[0]["Config"],
    };
    assert_eq!(config["User"], USER);
    assert_eq!(config["Entrypoint"][0], "/iter8");
    let version = &config["Labels"]["org.opencontainers.image.version"];
    assert_eq!(*version, env!("CARGO_PKG_VERSION"));
}
