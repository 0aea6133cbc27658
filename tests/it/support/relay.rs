//! A connection between the operator and the API server that a test can disturb.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;

use super::api::RUNTIME;
use super::kubectl::Kubectl;
use super::operator::{spawn, tied_to_this_process};

/// Speaks plain HTTP with clients and passes their requests on through `kubectl proxy`, with the rights of a kubeconfig.
pub struct Relay {
    /// For clients.
    pub kubeconfig: PathBuf,
    hold: watch::Sender<bool>,
    failing: watch::Sender<Option<Failing>>,
    failed: Failed,
    proxy: Child,
    task: AbortHandle,
}

/// First lines of requests.
type Failed = Arc<std::sync::Mutex<Vec<String>>>;

/// Whether reads or writes fail, and what stands in their first lines.
type Failing = (bool, String);

/// What a relay does to requests.
#[derive(Clone)]
struct Faults {
    hold: watch::Receiver<bool>,
    failing: watch::Receiver<Option<Failing>>,
    failed: Failed,
    streaming_lists: bool,
}

impl Relay {
    /// Passes everything on, with the rights of this kubeconfig.
    pub fn start(kubectl: &Kubectl, rights: &Path) -> Self {
        Self::with(kubectl, rights, true)
    }

    /// Like an API server without streaming lists: it refuses them.
    pub fn without_streaming_lists(kubectl: &Kubectl, rights: &Path) -> Self {
        Self::with(kubectl, rights, false)
    }

    fn with(kubectl: &Kubectl, rights: &Path, streaming_lists: bool) -> Self {
        let mut command = tied_to_this_process(kubectl.binary.to_str().unwrap());
        command.arg("--kubeconfig").arg(rights).args(["proxy", "--port=0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut proxy = spawn(command).expect("kubectl proxy does not start");
        // Starting to serve on 127.0.0.1:41213
        let mut said = String::new();
        let out = proxy.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        let upstream = said.trim().rsplit(' ').next().unwrap().to_owned();
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let kubeconfig = rights.with_file_name(format!("relay-{port}.kubeconfig"));
        fs::write(&kubeconfig, config(port)).unwrap();
        let hold = watch::Sender::new(false);
        let (failing, failed) = (watch::Sender::new(None), Failed::default());
        let faults = Faults {
            hold: hold.subscribe(),
            failing: failing.subscribe(),
            failed: Arc::clone(&failed),
            streaming_lists,
        };
        let task = RUNTIME.spawn(serve(listener, upstream, faults)).abort_handle();
        Self {
            kubeconfig,
            hold,
            failing,
            failed,
            proxy,
            task,
        }
    }

    /// From now on the answers to writes are held back, though the writes are carried out.
    pub fn hold_answers_to_writes(&self) {
        self.hold.send_replace(true);
    }

    /// From now on writes with this in their first line are not carried out, and answered as by an API server that has
    /// lost its etcd for a moment; `None`: no more.
    pub fn fail_writes(&self, of: Option<&str>) {
        self.failing.send_replace(of.map(|of| (false, of.to_owned())));
    }

    /// The same of reads.
    pub fn fail_reads(&self, of: Option<&str>) {
        self.failing.send_replace(of.map(|of| (true, of.to_owned())));
    }

    /// The first lines of the requests that failed so.
    pub fn failed(&self) -> Vec<String> {
        self.failed.lock().unwrap().clone()
    }

    /// Lets through what was held back.
    pub fn let_go(&self) {
        self.hold.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        // One that has ended already cannot be killed, and need not be.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

fn config(port: u16) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "relay", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
        "users": [{ "name": "relay", "user": {} }],
        "contexts": [{ "name": "relay", "context": { "cluster": "relay", "user": "relay" } }],
        "current-context": "relay",
    });
    config.to_string()
}

async fn serve(listener: TcpListener, upstream: String, faults: Faults) {
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, faults) = (upstream.clone(), faults.clone());
        tokio::spawn(async move {
            // An error closes the connection: so the client hears of it.
            let _ = connection(client, &upstream, faults).await;
        });
    }
}

/// One connection of a client, with one to the server for its own.
async fn connection(client: TcpStream, upstream: &str, faults: Faults) -> io::Result<()> {
    let (mut requests, answers) = client.into_split();
    let (from, mut server) = TcpStream::connect(upstream).await?.into_split();
    let answers = Arc::new(Mutex::new(answers));
    let writes = watch::Sender::new(false);
    let back = pass_back(from, Arc::clone(&answers), faults.hold, writes.subscribe());
    let forth = async {
        while let Some((head, body)) = request(&mut requests).await? {
            if !faults.streaming_lists && head.contains("sendInitialEvents=true") {
                answers.lock().await.write_all(REFUSAL.as_bytes()).await?;
                continue;
            }
            let first = head.lines().next().unwrap_or_default();
            let is_read = head.starts_with("GET ");
            let fails = |(reads, of): &Failing| *reads == is_read && first.contains(of);
            if faults.failing.borrow().as_ref().is_some_and(fails) {
                faults.failed.lock().unwrap().push(first.to_owned());
                answers.lock().await.write_all(FAILURE.as_bytes()).await?;
                continue;
            }
            writes.send_replace(!head.starts_with("GET "));
            server.write_all(head.as_bytes()).await?;
            server.write_all(&body).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = forth => ended,
        ended = back => ended,
    }
}

/// As a server with feature `WatchList` switched off answers.
const REFUSAL: &str = "HTTP/1.1 422 Unprocessable Entity\r\nContent-Type: application/json\r\nContent-Length: 137\r\n\r\n\
{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"reason\":\"Invalid\",\"code\":422,\
\"message\":\"sendInitialEvents is forbidden for watch\"}";

/// As a server answers whose etcd elects.
const FAILURE: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 104\r\n\r\n\
{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":500,\"message\":\"etcdserver: leader changed\"}";

async fn pass_back(
    mut from: OwnedReadHalf,
    to: Arc<Mutex<OwnedWriteHalf>>,
    mut hold: watch::Receiver<bool>,
    writes: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let of_a_write = *writes.borrow();
        if of_a_write && hold.wait_for(|hold| !hold).await.is_err() {
            return Ok(());
        }
        to.lock().await.write_all(&buffer[..read]).await?;
    }
}

/// The next request: its head, with the empty line, and its body. `None`: the client has closed the connection.
async fn request(from: &mut OwnedReadHalf) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match from.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}

#[test]
fn the_refusal_of_a_streaming_list_is_as_long_as_it_says() {
    let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
    assert!(
        head.ends_with(&format!("Content-Length: {}", body.len())),
        "{}",
        body.len()
    );
}
