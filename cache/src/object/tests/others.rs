//! Buckets of servers that other people wrote: moto, which stands for S3, Azurite for Azure, and fake-gcs-server for Google's
//! storage.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;

use super::server;
use crate::object::{ObjectOptions, Service};

/// The account that every Azurite has, and its key, which is in its documentation.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server with an empty bucket called `bucket`. Ended when it is dropped.
pub(super) struct Other {
    pub(super) service: Service,
    variables: BTreeMap<String, String>,
    process: Child,
    dir: tempfile::TempDir,
}

impl Other {
    /// All that are installed. `./test` installs the first two and says so.
    pub(super) async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        if let Some(packages) = named("CULLET_MOTO", "see cache/moto.sh", true) {
            all.push(moto(&packages).await);
        }
        if let Some(packages) = named("CULLET_AZURITE", "see cache/azurite.sh", true) {
            all.push(azurite(&packages).await);
        }
        if let Some(program) =
            named("CULLET_FAKE_GCS", "Go installs it, github.com/fsouza/fake-gcs-server", false)
        {
            all.push(google(&program).await);
        }
        all
    }

    /// How to reach it, with an empty spool.
    pub(super) fn options(&self) -> ObjectOptions {
        let spool = self.dir.path().join(format!("spool-{}", fastrand::u64(..)));
        ObjectOptions { variables: self.variables.clone(), ..ObjectOptions::new(spool) }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a variable names. None where it is not set, which CI must not leave out silently.
fn named(variable: &str, hint: &str, needed: bool) -> Option<PathBuf> {
    let value = std::env::var_os(variable);
    if value.is_none() {
        assert!(!needed || std::env::var_os("CI").is_none(), "{variable} is not set: {hint}");
        println!("left out, as {variable} is not set: {hint}");
    }
    value.map(PathBuf::from)
}

async fn moto(packages: &Path) -> Other {
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]).env("PYTHONPATH", packages);
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let address = said(process.stderr.take().unwrap(), " * Running on ");
    made(client().put(format!("{address}/bucket"))).await;
    let variables = server::options(&address, PathBuf::new()).variables;
    Other { service: Service::S3, variables, process, dir: tempfile::tempdir().unwrap() }
}

async fn azurite(packages: &Path) -> Other {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("node");
    command.arg(packages.join("node_modules/azurite/dist/src/blob/main.js"));
    command.args([
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        "0",
        "--inMemoryPersistence",
        "--disableTelemetry",
    ]);
    command.args(["--silent", "--skipApiVersionCheck"]).current_dir(dir.path()).stdin(Stdio::null());
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let address = said(process.stdout.take().unwrap(), "successfully listens on ");
    let endpoint = format!("{address}/{ACCOUNT}");
    make_container(&endpoint).await;
    let variables = [
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
        ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
    ];
    Other { service: Service::Azure, variables: owned(&variables), process, dir }
}

/// Signed with the account's key, as "Authorize with Shared Key" in Azure's REST API has it.
async fn make_container(endpoint: &str) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let resource = format!("/{ACCOUNT}/{ACCOUNT}/bucket\nrestype:container");
    let signed = format!("PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-12-02\n{resource}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(KEY).unwrap());
    let signature = BASE64.encode(hmac::sign(&key, signed.as_bytes()));
    let request = client().put(format!("{endpoint}/bucket?restype=container")).header("x-ms-date", date);
    let request = request.header("x-ms-version", "2021-12-02").header("content-length", "0");
    made(request.header("authorization", format!("SharedKey {ACCOUNT}:{signature}"))).await;
}

async fn google(program: &Path) -> Other {
    let dir = tempfile::tempdir().unwrap();
    // It cannot be told to take a free port and say which.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(program);
    command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string(), "-backend", "memory"]);
    command.args(["-public-host", &format!("127.0.0.1:{port}"), "-external-url", &address]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().unwrap();
    for _ in 0..100 {
        if client().get(format!("{address}/storage/v1/b")).send().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    made(client().post(format!("{address}/storage/v1/b")).body(r#"{"name": "bucket"}"#)).await;
    let variables = [("GOOGLE_BASE_URL", address.as_str()), ("GOOGLE_BEARER_TOKEN", "any")];
    Other { service: Service::Google, variables: owned(&variables), process, dir }
}

fn owned(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn made(request: reqwest::RequestBuilder) {
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// What stands behind these words in what a server prints. Where it prints more, that goes nowhere, or it would wait for
/// somebody to read it.
fn said(output: impl Read + Send + 'static, told: &str) -> String {
    let mut lines = BufReader::new(output).lines();
    let address =
        lines.by_ref().find_map(|line| line.unwrap().split_once(told).map(|(_, url)| url.to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    address.expect("it says where it listens").trim().to_owned()
}
