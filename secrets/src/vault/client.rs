//! Requests to a server.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use zeroize::Zeroizing;

use super::{VaultOptions, answer};
use crate::SecretError;

/// The most bytes of an answer: every version of Vault keeps less than a mebibyte under one path.
const MOST_ANSWER: usize = 2 << 20;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    options: VaultOptions,
}

/// Why something was not read.
pub(super) enum Refused {
    /// This token may not.
    Forbidden(String),
    /// Anything else.
    Other(SecretError),
}

impl From<Refused> for SecretError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Forbidden(why) => Self::Missing(why),
            Refused::Other(error) => error,
        }
    }
}

impl Client {
    pub(super) fn new(mut options: VaultOptions) -> Result<Self, String> {
        let address = options.address.trim_end_matches('/').to_owned();
        let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@', ' '])) {
            return Err("the address is not http[s]://HOST[:PORT]".to_owned());
        }
        options.address = address;
        // The provider of a process is chosen once; whoever comes second finds the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut authorities = Vec::new();
        for pem in &options.authorities {
            let bundle = reqwest::Certificate::from_pem_bundle(pem);
            authorities.extend(bundle.map_err(|error| format!("an authority is no certificate: {error}"))?);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("cullet/", env!("CARGO_PKG_VERSION")))
            .timeout(options.timeout)
            // A token goes nowhere but to the address that was given.
            .redirect(Policy::none())
            .no_proxy()
            .tls_certs_merge(authorities)
            .build()
            .map_err(|error| format!("no connections can be made: {error}"))?;
        Ok(Self { http, options })
    }

    /// A path as people find it again.
    pub(super) fn named(&self, place: &str) -> String {
        format!("{place} of {}", self.options.address)
    }

    pub(super) async fn read(&self, place: &str, token: &str) -> Result<Zeroizing<Vec<u8>>, Refused> {
        self.ask(Method::GET, place, Some(token), None).await
    }

    pub(super) async fn log_in(
        &self,
        mount: &str,
        role: &str,
        secret: &str,
    ) -> Result<Zeroizing<String>, SecretError> {
        let body = serde_json::json!({ "role_id": role, "secret_id": secret }).to_string();
        let place = format!("auth/{mount}/login");
        let answer = self.ask(Method::POST, &place, None, Some(Zeroizing::new(body))).await?;
        let token = answer::token(&answer);
        token.ok_or_else(|| SecretError::Missing(format!("{} gives no token", self.named(&place))))
    }

    async fn ask(
        &self,
        method: Method,
        place: &str,
        token: Option<&str>,
        body: Option<Zeroizing<String>>,
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let headers = self.headers(token)?;
        let mut pause = self.options.pause;
        let mut left = self.options.retries;
        loop {
            let url = format!("{}/v1/{place}", self.options.address);
            let mut request = self.http.request(method.clone(), url).headers(headers.clone());
            if let Some(body) = &body {
                request = request.body(body.as_bytes().to_vec());
            }
            let trouble = match send(request).await {
                Ok((status, body)) if status.is_success() => return Ok(body),
                Ok((status, body)) if is_passing(status) => {
                    format!("{} answers {status}{}", self.named(place), answer::errors(&body))
                }
                Ok((status, body)) => return Err(self.refused(place, status, &body)),
                Err(problem) => format!("{} cannot be asked: {problem}", self.named(place)),
            };
            if left == 0 {
                return Err(Refused::Other(SecretError::Trouble(trouble)));
            }
            left -= 1;
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    fn headers(&self, token: Option<&str>) -> Result<HeaderMap, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        let given = [("x-vault-token", token), ("x-vault-namespace", self.options.namespace.as_deref())];
        for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Refused::Other(SecretError::Missing(format!("what is to be sent as {name} is no header")))
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
    }

    fn refused(&self, place: &str, status: StatusCode, body: &[u8]) -> Refused {
        let place = self.named(place);
        let said = answer::errors(body);
        let missing = |text: String| Refused::Other(SecretError::Missing(text));
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                Refused::Forbidden(format!("the token may not read {place}{said}"))
            }
            StatusCode::NOT_FOUND => missing(format!("there is nothing at {place}{said}")),
            _ if status.is_redirection() => missing(format!(
                "{place} sends elsewhere ({status}), and a token is sent to no other address: name that of the server \
                 that answers"
            )),
            _ => missing(format!("{place} answers {status}{said}")),
        }
    }
}

/// Busy, sealed, about to choose a leader, or not yet up to date: all may pass.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PRECONDITION_FAILED | StatusCode::REQUEST_TIMEOUT
        )
}

/// Status and body.
async fn send(request: reqwest::RequestBuilder) -> Result<(StatusCode, Zeroizing<Vec<u8>>), String> {
    let mut answer = request.send().await.map_err(|error| chain(&error.without_url()))?;
    let status = answer.status();
    let mut body = Zeroizing::new(Vec::new());
    while let Some(piece) = answer.chunk().await.map_err(|error| chain(&error.without_url()))? {
        if body.len() + piece.len() > MOST_ANSWER {
            return Err(format!("its answer has more than {MOST_ANSWER} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok((status, body))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
