//! Connections that can break or fall silent, and the TLS on them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A hold on a connection.
#[derive(Clone)]
pub(super) struct Line {
    frozen: Arc<AtomicBool>,
    cut: watch::Sender<bool>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            frozen: Arc::default(),
            cut: watch::Sender::new(false),
        }
    }

    /// Nothing passes any more.
    pub(super) fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// It breaks.
    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Waits until it breaks.
    pub(super) async fn is_cut(&self) {
        // Ours is one of the senders: there is always one.
        let _ = self.cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// A stream that passes nothing any more once it is frozen.
    pub(super) fn wrap(&self, stream: TcpStream) -> Wire {
        let frozen = Arc::clone(&self.frozen);
        Wire { stream, frozen }
    }
}

/// A stream that can fall silent.
pub(super) struct Wire {
    stream: TcpStream,
    frozen: Arc<AtomicBool>,
}

impl Wire {
    fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_frozen() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_frozen() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_frozen() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// TLS with a new certificate for 127.0.0.1, and that certificate as PEM.
pub(super) fn tls(http2: bool) -> (TlsAcceptor, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    let pem = pem(made.cert.der());
    (TlsAcceptor::from(Arc::new(config)), pem.into_bytes())
}

fn pem(der: &[u8]) -> String {
    let text = serde_json::to_value(k8s_openapi::ByteString(der.to_vec())).unwrap();
    let lines: Vec<&[u8]> = text.as_str().unwrap().as_bytes().chunks(64).collect();
    let lines = String::from_utf8(lines.join(&b'\n')).unwrap();
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}
