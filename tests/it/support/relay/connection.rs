//! The connections of clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::exchange;
use super::wire::Line;

pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if shared.closed.load(Ordering::Relaxed) {
            continue;
        }
        let line = Line::new();
        if shared.silent.load(Ordering::Relaxed) {
            line.freeze();
        }
        shared.lines.lock().unwrap().push(line.clone());
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            tokio::select! {
                () = talk(client, tls, shared, line.clone()) => {}
                () = line.is_cut() => {}
            }
        });
    }
}

/// One connection, to its end: so the client hears of an error.
async fn talk(client: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>, line: Line) {
    client.set_nodelay(true).unwrap();
    let Ok(stream) = tls.accept(line.wrap(client)).await else {
        return;
    };
    let service = service_fn(move |request| exchange::exchange(Arc::clone(&shared), line.clone(), request));
    let builder = Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
