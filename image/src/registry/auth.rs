//! What a registry wants to see with a request.
//!
//! Source: RFC 9110, "HTTP Authentication"; Docker's "Token Authentication Specification" and "OAuth2 Token
//! Authentication".

use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;

use super::RegistryProblem;
use super::credentials::Credential;
use super::options::is_loopback;
use super::send::read_body;

/// Goes with every request to one registry, once that is known to be needed.
#[derive(Clone)]
pub(super) enum Proof {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Proof {
    pub(super) fn add(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic { user, password } => request.basic_auth(user, Some(password)),
            Self::Bearer(token) => request.bearer_auth(token),
        }
    }
}

/// How a registry asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// What a refusal asks for; a token is preferred.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let headers = response.headers().get_all(reqwest::header::WWW_AUTHENTICATE);
        let found = headers.iter().filter_map(|header| header.to_str().ok()).flat_map(Self::read);
        found.min_by_key(|challenge| *challenge == Self::Basic)
    }

    fn read(header: &str) -> Vec<Self> {
        let challenges = http_auth::ChallengeParser::new(header).filter_map(Result::ok);
        let known = challenges.filter_map(|challenge| {
            let parameter = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(Self::Bearer { realm: parameter("realm")?, service: parameter("service") });
            }
            challenge.scheme.eq_ignore_ascii_case("basic").then_some(Self::Basic)
        });
        known.collect()
    }
}

/// The most bytes of an answer with a token; they have a few thousand.
const LONGEST: u64 = 1 << 20;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Gets a token for these scopes. `base` is where the registry is; `http` follows no redirects, which could take what
/// is sent here anywhere.
pub(super) async fn token(
    http: &reqwest::Client,
    (realm, service): (&str, Option<&str>),
    credential: Option<&Credential>,
    (base, scopes): (&str, &[String]),
) -> Result<Proof, RegistryProblem> {
    let odd = |problem: String| RegistryProblem::Answer { problem };
    let mut address = Url::parse(realm).map_err(|_| odd(format!("it gives tokens at `{realm}`")))?;
    if !is_protected(&address, base) {
        return Err(odd(format!("it wants credentials sent to {realm}, which is not protected")));
    }
    let request = match credential {
        Some(Credential::Identity(identity)) => {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("client_id", "cullet"),
                ("scope", &scopes.join(" ")),
                ("refresh_token", identity),
            ];
            let mut body = Url::parse("form:").map_err(|error| odd(error.to_string()))?;
            body.query_pairs_mut().extend_pairs(form);
            let body = body.query().unwrap_or_default().to_owned();
            http.post(address).header("content-type", "application/x-www-form-urlencoded").body(body)
        }
        other => {
            let service = service.map(|service| ("service", service));
            let scopes = scopes.iter().map(|scope| ("scope", scope));
            address.query_pairs_mut().extend_pairs(service).extend_pairs(scopes);
            let request = http.get(address);
            match other {
                Some(Credential::Basic { user, password }) => request.basic_auth(user, Some(password)),
                _ => request,
            }
        }
    };
    let response = request.send().await.map_err(RegistryProblem::transport)?;
    if response.status().is_redirection() {
        return Err(odd(format!("{realm}, where it gives tokens, sends on to elsewhere")));
    }
    let response = super::send::checked(response, credential.and_then(Credential::user)).await?;
    let bytes = read_body(response, LONGEST).await?;
    let token: Token =
        serde_json::from_slice(&bytes).map_err(|_| odd("what should be a token is not".into()))?;
    let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
    token.map(Proof::Bearer).ok_or_else(|| odd("it gave no token".to_owned()))
}

/// Whether credentials may be sent there: with TLS to whatever place the registry names, as Docker does it, since it is
/// the registry that they are for; without, only to the machine of a registry that has none itself, or to this one.
fn is_protected(realm: &Url, base: &str) -> bool {
    let base = Url::parse(base).ok();
    let unprotected = base.filter(|base| base.scheme() == "http");
    match (realm.scheme(), realm.host_str()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => {
            unprotected.is_some_and(|base| base.host_str() == Some(host) || is_loopback(host))
        }
        _ => false,
    }
}

impl Credential {
    /// Whose it is, for messages.
    pub(super) fn user(&self) -> Option<String> {
        match self {
            Self::Basic { user, .. } => Some(user.clone()),
            Self::Identity(_) => Some("<token>".to_owned()),
        }
    }
}

#[test]
fn challenges_of_registries_in_use() {
    let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
        realm: realm.to_owned(),
        service: service.map(str::to_owned),
    };
    let hub = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a:pull""#;
    assert_eq!(
        Challenge::read(hub),
        [bearer("https://auth.example.com/token", Some("registry.example.com"))]
    );
    assert_eq!(Challenge::read(r#"basic realm="x""#), [Challenge::Basic]);
    assert_eq!(Challenge::read(r#"Negotiate, Bearer realm="r""#), [bearer("r", None)]);
    assert_eq!(Challenge::read("Bearer service=x"), []);
    assert_eq!(Challenge::read("\"garbage"), []);
}

#[test]
fn credentials_go_without_protection_only_where_the_registry_has_none() {
    for (base, realm, good) in [
        ("https://registry.example.com", "https://auth.example.com/token", true),
        ("https://registry.example.com", "http://registry.example.com/token", false),
        ("https://registry.example.com", "http://localhost/token", false),
        ("http://registry.lan:5000", "http://registry.lan:5001/token", true),
        ("http://registry.lan:5000", "https://elsewhere.example.com/token", true),
        ("http://registry.lan:5000", "http://elsewhere.example.com/token", false),
        ("http://127.0.0.1:5000", "http://localhost:5001/token", true),
        ("http://127.0.0.1:5000", "http://127.0.0.1.example.com/token", false),
        ("http://127.0.0.1:5000", "ftp://127.0.0.1/token", false),
        ("http://127.0.0.1:5000", "data:token", false),
    ] {
        assert_eq!(is_protected(&Url::parse(realm).unwrap(), base), good, "{base} {realm}");
    }
}
