//! Many clients that do one thing over and over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};

use crate::Result;

/// How long each load lasts, and how long it goes on before it is measured.
const LASTS: Duration = Duration::from_secs(2);
const WARMING: Duration = Duration::from_millis(500);

/// Connections of many clients together: as Bazel has them.
const CONNECTIONS: usize = 8;

/// Connections to a server.
pub(super) async fn connect(url: &str) -> Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
        channels.push(endpoint.initial_stream_window_size(1 << 20).connect().await?);
    }
    Ok(channels)
}

/// Calls a second of so many clients, each of which calls again when it has an answer.
pub(super) async fn rate<F, A>(channels: &[Channel], clients: usize, call: F) -> Result<f64>
where
    F: Fn(Channel, u64) -> A + Send + Sync + 'static,
    A: Future<Output = Result<()>> + Send,
{
    let call = Arc::new(call);
    let (warm, end) = (Instant::now() + WARMING, Instant::now() + WARMING + LASTS);
    let tasks = (0..clients).map(|client| {
        let (channel, call) = (channels[client % channels.len()].clone(), Arc::clone(&call));
        tokio::spawn(async move {
            let (mut counted, mut number) = (0_u64, (client as u64) << 32);
            while Instant::now() < end {
                call(channel.clone(), number).await?;
                number += 1;
                counted += u64::from(Instant::now() >= warm);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(counted)
        })
    });
    let mut all = 0;
    for task in tasks.collect::<Vec<_>>() {
        all += task.await??;
    }
    Ok(all as f64 / LASTS.as_secs_f64())
}
