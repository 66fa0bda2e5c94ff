//! The way to a service.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::{Service, http::Uri};
use tonic::transport::{Channel, Endpoint, Error};

/// Bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send>>;

/// How connections are made: over TCP, unless a simulated network carries them.
#[derive(Clone, Default)]
pub struct Dial(Option<Over>);

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Dial(another network)" } else { "Dial(TCP)" })
    }
}

impl Dial {
    /// Over another network; `connect` is given the address of a service.
    pub fn over(connect: impl Fn(Uri) -> Connecting + Send + Sync + 'static) -> Self {
        Self(Some(Over(Arc::new(connect))))
    }

    /// Connects.
    ///
    /// # Errors
    /// Where nobody answers at the address, or not in the endpoint's time.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        match &self.0 {
            None => endpoint.connect().await,
            Some(over) => endpoint.connect_with_connector(over.clone()).await,
        }
    }

    /// Connects when the connection is first used.
    pub fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        match &self.0 {
            None => endpoint.connect_lazy(),
            Some(over) => endpoint.connect_with_connector_lazy(over.clone()),
        }
    }
}

#[derive(Clone)]
struct Over(Arc<dyn Fn(Uri) -> Connecting + Send + Sync>);

impl Service<Uri> for Over {
    type Response = TokioIo<Box<dyn Connection>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = (self.0)(address);
        Box::pin(async move { Ok(TokioIo::new(connecting.await?)) })
    }
}
