//! As much of etcd's API as one put takes (`etcdserverpb.KV/Put`, etcd API v3).

use std::time::{Duration, Instant};

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::Result;

/// `etcdserverpb.PutRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`; nothing in it is of interest.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct PutResponse {}

/// What a transition has, by rule of thumb.
const VALUE_BYTES: usize = 256;

/// Has so many clients put, one after the other each, for so long. Gives puts a second, and the seconds of each.
pub(super) async fn puts(url: &str, clients: usize, time: Duration) -> Result<(f64, Vec<f64>)> {
    let begin = Instant::now();
    let putting: Vec<_> = (0..clients)
        .map(|client| {
            let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect_lazy();
            Ok(tokio::spawn(put_on(channel, client, begin + time)))
        })
        .collect::<Result<_>>()?;
    let mut times = Vec::new();
    for client in putting {
        times.append(&mut client.await??);
    }
    Ok((times.len() as f64 / begin.elapsed().as_secs_f64(), times))
}

async fn put_on(channel: Channel, client: usize, until: Instant) -> Result<Vec<f64>> {
    let mut grpc = Grpc::new(channel);
    let mut times = Vec::new();
    while Instant::now() < until {
        let key = format!("{client}/{}", times.len() % 1000).into_bytes();
        let request = PutRequest { key, value: vec![b'x'; VALUE_BYTES] };
        let began = Instant::now();
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
        let codec: ProstCodec<PutRequest, PutResponse> = ProstCodec::default();
        grpc.unary(tonic::Request::new(request), path, codec).await?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(times)
}
