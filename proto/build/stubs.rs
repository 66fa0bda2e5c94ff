//! Clients and servers of published APIs.

use std::io;
use std::path::Path;

use tonic_build::manual::{Builder, Method, Service};

use crate::services::{self, Call, Streams};

/// What clients encode and decode with.
const CODEC: &str = "tonic_prost::ProstCodec";

/// What servers do, to whom bytes that are no message are a mistake of the client.
const SERVER_CODEC: &str = "crate::codec::RequestCodec";

/// Writes clients into this directory, and servers into `servers` below it.
pub(crate) fn make(out: &Path) -> io::Result<()> {
    let servers = out.join("servers");
    std::fs::create_dir_all(&servers)?;
    Builder::new().build_server(false).out_dir(out).compile(&all(CODEC));
    Builder::new().build_client(false).out_dir(servers).compile(&all(SERVER_CODEC));
    Ok(())
}

fn all(codec: &str) -> Vec<Service> {
    let service = |service: &services::Service| {
        let made = Service::builder().package(service.package).name(service.name);
        service.calls.iter().fold(made, |made, call| made.method(method(call, codec))).build()
    };
    services::all().iter().map(service).collect()
}

fn method(call: &Call, codec: &str) -> Method {
    let method = Method::builder()
        .name(snake_case(&call.route))
        .route_name(&call.route)
        .input_type(format!("crate::{}", call.takes))
        .output_type(format!("crate::{}", call.gives))
        .codec_path(codec);
    match call.streams {
        Streams::Neither => method.build(),
        Streams::Client => method.client_streaming().build(),
        Streams::Server => method.server_streaming().build(),
    }
}

fn snake_case(route: &str) -> String {
    let mut name = String::new();
    for (index, letter) in route.char_indices() {
        if letter.is_uppercase() && index > 0 {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
