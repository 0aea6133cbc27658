//! A connection that carries nothing out while this replica does not lead.
//!
//! The fence is asked before a request is sent. A process that is frozen between that and the socket, and wakes after
//! another has taken over, would still write: so the socket asks too, for every byte.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

use crate::cluster::apply::Fence;

/// Makes connections that ask the fence; without one they are as any other.
#[derive(Clone)]
pub(super) struct Gate<C> {
    pub(super) connector: C,
    pub(super) fence: Option<Fence>,
}

impl<C> Service<Uri> for Gate<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Gated<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, fence) = (self.connector.call(uri), self.fence.clone());
        Box::pin(async move {
            let io = connecting.await?;
            Ok(Gated { io, fence })
        })
    }
}

/// A connection that asks the fence.
pub(super) struct Gated<T> {
    io: T,
    fence: Option<Fence>,
}

impl<T> Gated<T> {
    fn check(&self) -> io::Result<()> {
        match &self.fence {
            Some(fence) if fence().is_none() => Err(io::Error::other("this replica does not lead")),
            _ => Ok(()),
        }
    }
}

impl<T: Read + Unpin> Read for Gated<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Gated<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, bytes)
    }
}

impl<T: Connection> Connection for Gated<T> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;
    use crate::cluster::lease::Term;

    #[tokio::test]
    async fn nothing_leaves_when_the_term_is_over() {
        let (mut server, ours) = tokio::io::duplex(64);
        let term = Term::default();
        term.lasts_until(Instant::now() + Duration::from_mins(1));
        let gated = Gated {
            io: TokioIo::new(ours),
            fence: Some(term.fence()),
        };
        let mut gated = TokioIo::new(gated);
        gated.write_all(b"first").await.unwrap();
        term.end();
        assert!(gated.write_all(b"second").await.is_err());
        drop(gated);
        let mut came = Vec::new();
        server.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, b"first");
    }
}
