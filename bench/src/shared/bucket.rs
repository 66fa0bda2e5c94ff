//! A bucket on this machine whose every answer takes a while, as those of one elsewhere do.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server::conn::http1};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use crate::Result;

/// What it is called.
pub(super) const NAME: &str = "bucket";

/// A process that serves a directory of buckets. It ends with this.
pub(super) struct Bucket {
    process: Child,
    pub(super) address: String,
}

impl Bucket {
    /// Serves the directory; each answer takes so long.
    pub(super) fn serve(dir: &Path, delay: Duration) -> Result<Self> {
        std::fs::create_dir_all(dir.join(NAME))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("__bucket").arg(dir).arg(delay.as_millis().to_string());
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }

    /// What a client needs to know of it.
    pub(super) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.address.clone()),
            ("AWS_ACCESS_KEY_ID", "id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It serves nobody else.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The process: prints where it listens.
pub(crate) fn child(dir: &Path, delay: &str) -> Result<()> {
    let delay = Duration::from_millis(delay.parse()?);
    let mut builder =
        S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir).map_err(|error| format!("{error:?}"))?);
    builder.set_auth(SimpleAuth::from_single("id", "secret"));
    let service = builder.build();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let service = service.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let service = service.clone();
                    async move {
                        if !delay.is_zero() {
                            tokio::time::sleep(delay).await;
                        }
                        service.call(request.map(s3s::Body::from)).await
                    }
                });
                drop(http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await);
            });
        }
    })
}
