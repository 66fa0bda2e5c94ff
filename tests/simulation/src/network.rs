//! The simulated network, as the product's connections and servers want it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cullet_proto::{Connecting, Connection, Dial};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use turmoil::net::{TcpListener, TcpStream};

/// Where every process of a simulation listens, on a host of its own.
pub(crate) const PORT: u16 = 7070;

/// The address of a host's process.
pub(crate) fn url(host: &str) -> String {
    format!("http://{host}:{PORT}")
}

/// The way through the simulated network.
pub(crate) fn dial() -> Dial {
    Dial::over(|uri| {
        let target = uri.host().map(str::to_owned).zip(uri.port_u16());
        let connecting: Connecting = Box::pin(async move {
            let target = target.ok_or_else(|| io::Error::other("no host or port"))?;
            let stream: Box<dyn Connection> = Box::new(TcpStream::connect(target).await?);
            Ok(stream)
        });
        connecting
    })
}

/// Has the host's clock jump, and everything that waits for it happen at once, when its process stood still. Never returns.
pub(crate) async fn go_on(stood: &Cell<Duration>) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let stood = stood.take();
        if !stood.is_zero() {
            tokio::time::advance(stood).await;
        }
    }
}

/// Connections to this host.
pub(crate) async fn incoming() -> io::Result<impl Stream<Item = io::Result<Incoming>>> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    Ok(Box::pin(futures_util::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Incoming(stream));
        Some((accepted, listener))
    })))
}

/// One of them.
pub(crate) struct Incoming(TcpStream);

impl Connected for Incoming {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
