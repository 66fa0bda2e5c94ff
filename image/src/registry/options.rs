//! How registries are reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};

use super::repository::{Endpoint, Repository};
use super::{Credentials, RegistryError, RegistryProblem};
use crate::{Digest, FilePart, LocalBlobs, RegistryReference};

/// Settings for all registries. Names of registries are those of references, with the port: `docker.io`,
/// `registry.example.com:5000`.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// By registry, addresses that have the same repositories and are asked before it, in order: `https://HOST[:PORT]`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries that speak plain HTTP. Those on a loopback address do anyway, unless [`Self::tls`] has them.
    pub plain_http: BTreeSet<String>,
    /// Registries on a loopback address that speak TLS.
    pub tls: BTreeSet<String>,
    /// Authorities that are trusted besides those of the machine, each in PEM.
    pub authorities: Vec<Vec<u8>>,
    /// What need not be asked for: images that are meant by their digests and are here.
    pub local: Option<Arc<dyn LocalBlobs>>,
    /// Who asks.
    pub credentials: Credentials,
    /// A proxy for everything that is not on a loopback address: `http://HOST:PORT`.
    pub proxy: Option<String>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long an answer, or its next piece, may take.
    pub read_timeout: Duration,
    /// How often a request is tried again that failed in a way that may pass.
    pub retries: u32,
    /// The first pause before that; each further one is twice as long.
    pub pause: Duration,
    /// The longest pause, also where the registry asks for a longer one: then it is an error, which says how long.
    pub longest_pause: Duration,
}

impl Default for RegistryOptions {
    /// Five retries with doubling pauses get over half a minute of failures. Half a minute without a byte is no slow
    /// connection but none.
    fn default() -> Self {
        Self {
            mirrors: BTreeMap::new(),
            plain_http: BTreeSet::new(),
            tls: BTreeSet::new(),
            authorities: Vec::new(),
            local: None,
            credentials: Credentials::None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            retries: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// A client for all registries. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Registries {
    pub(super) http: reqwest::Client,
    /// The same without redirects.
    pub(super) tokens: reqwest::Client,
    pub(super) options: Arc<RegistryOptions>,
}

/// How often a blob may be moved: registries send clients to a storage, which may send them to its next copy.
const REDIRECTS: usize = 5;
/// Docker Hub answers elsewhere than its name says.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

impl Registries {
    /// Makes the client.
    ///
    /// # Errors
    /// [`RegistryProblem::Settings`] for an authority, a proxy or a mirror that makes no sense.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        for (registry, mirrors) in &options.mirrors {
            for mirror in mirrors {
                host(mirror).map_err(|problem| settings(registry, problem))?;
            }
        }
        let with = |redirects| {
            let made = client(&options, redirects, true);
            made.map_err(|error| settings("any registry", format!("{error:#}")))
        };
        let (http, tokens) = (with(Policy::custom(redirect))?, with(Policy::none())?);
        Ok(Self { http, tokens, options: Arc::new(options) })
    }

    /// Where the blobs are that are on this machine, if this one is.
    pub(crate) fn local(&self, digest: &Digest) -> Option<(Arc<dyn LocalBlobs>, FilePart)> {
        let local = self.options.local.as_ref()?;
        Some((Arc::clone(local), local.find(digest)?))
    }

    /// Whether the image with this manifest need not be fetched.
    pub fn has_local(&self, manifest: &Digest) -> bool {
        self.local(manifest).is_some()
    }

    /// Where a repository is.
    pub(crate) fn repository(&self, reference: &RegistryReference) -> Repository {
        let registry = &reference.registry;
        let mirrors = self.options.mirrors.get(registry).into_iter().flatten();
        let mirrors = mirrors.filter_map(|base| Some(Endpoint::new(host(base).ok()?, base.clone())));
        let mut endpoints: Vec<Endpoint> = mirrors.collect();
        endpoints.push(self.endpoint(registry));
        let clients = (self.http.clone(), self.tokens.clone());
        Repository::new(clients, Arc::clone(&self.options), endpoints, reference.repository.clone())
    }

    /// No repository: what a registry says of itself.
    pub(super) fn whole(&self, registry: &str) -> Repository {
        let clients = (self.http.clone(), self.tokens.clone());
        let endpoints = vec![self.endpoint(registry)];
        Repository::new(clients, Arc::clone(&self.options), endpoints, String::new())
    }

    fn endpoint(&self, registry: &str) -> Endpoint {
        Endpoint::new(registry, format!("{}://{}", self.scheme(registry), place(registry)))
    }

    /// A client for long uploads: its requests wait for an answer as long as whoever sends them does.
    pub(super) fn upload_client(&self) -> Result<reqwest::Client, RegistryError> {
        let made = client(&self.options, Policy::custom(redirect), false);
        made.map_err(|error| settings("any registry", format!("{error:#}")))
    }

    fn scheme(&self, registry: &str) -> &'static str {
        let loopback = is_loopback(registry) && !self.options.tls.contains(registry);
        if loopback || self.options.plain_http.contains(registry) { "http" } else { "https" }
    }
}

fn settings(registry: &str, problem: String) -> RegistryError {
    RegistryError {
        registry: registry.to_owned(),
        repository: "any repository".to_owned(),
        what: "connection".to_owned(),
        problem: Box::new(RegistryProblem::Settings { problem }),
    }
}

fn place(registry: &str) -> &str {
    if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry }
}

fn client(
    options: &RegistryOptions,
    redirects: Policy,
    answers_soon: bool,
) -> Result<reqwest::Client, reqwest::Error> {
    // The provider of a process is chosen once; whoever comes second finds the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cullet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .redirect(redirects)
        // Nothing is taken from the environment here.
        .no_proxy();
    if answers_soon {
        builder = builder.read_timeout(options.read_timeout);
    }
    if let Some(proxy) = &options.proxy {
        let direct = reqwest::NoProxy::from_string("localhost,127.0.0.0/8,::1");
        builder = builder.proxy(reqwest::Proxy::all(proxy)?.no_proxy(direct));
    }
    let mut authorities = Vec::new();
    for pem in &options.authorities {
        authorities.extend(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    builder.tls_certs_merge(authorities).build()
}

/// Follows to wherever a registry keeps its blobs, but never from TLS to plain HTTP. Credentials stay behind, which
/// reqwest sees to.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let downgrade =
        attempt.url().scheme() != "https" && attempt.previous().iter().any(|url| url.scheme() == "https");
    if downgrade {
        attempt.error("a redirect from TLS to plain HTTP")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}

/// Host and port of a mirror's address.
fn host(base: &str) -> Result<&str, String> {
    let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
    host.filter(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
        .ok_or_else(|| format!("the mirror `{base}` is not http[s]://HOST[:PORT]"))
}

pub(super) fn is_loopback(registry: &str) -> bool {
    let host =
        registry.rsplit_once(':').filter(|_| !registry.ends_with(']')).map_or(registry, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[test]
fn plain_http_only_for_loopback_or_where_configured() {
    let mut options = RegistryOptions::default();
    options.plain_http.insert("registry.lan:5000".to_owned());
    options.tls.insert("localhost:5443".to_owned());
    options.mirrors.insert("docker.io".to_owned(), vec!["https://mirror.example.com".to_owned()]);
    let registries = Registries::new(options).unwrap();
    for (registry, scheme) in [
        ("docker.io", "https"),
        ("localhost", "http"),
        ("localhost:5000", "http"),
        ("localhost:5443", "https"),
        ("127.0.0.1:5000", "http"),
        ("[::1]:5000", "http"),
        ("[::1]", "http"),
        ("127.0.0.1.example.com", "https"),
        ("registry.lan:5000", "http"),
        ("registry.lan", "https"),
    ] {
        assert_eq!(registries.scheme(registry), scheme, "{registry}");
    }
    let reference = |text: &str| match text.parse() {
        Ok(crate::Reference::Registry(reference)) => reference,
        other => panic!("{other:?}"),
    };
    let bases = registries.repository(&reference("debian:12")).bases();
    assert_eq!(bases, ["https://mirror.example.com", "https://registry-1.docker.io"]);
    for wrong in ["mirror.example.com", "https://", "https://a/b", "ftp://a"] {
        let mirrors = [("docker.io".to_owned(), vec![wrong.to_owned()])].into();
        let refused = Registries::new(RegistryOptions { mirrors, ..RegistryOptions::default() });
        assert!(matches!(*refused.unwrap_err().problem, RegistryProblem::Settings { .. }), "{wrong}");
    }
    let authorities = vec![b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----".to_vec()];
    assert!(Registries::new(RegistryOptions { authorities, ..RegistryOptions::default() }).is_err());
}
