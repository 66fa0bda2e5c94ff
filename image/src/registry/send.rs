//! One request and what its answer means.

use std::time::{Duration, SystemTime};

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::RegistryProblem;
use super::auth::{self, Challenge, Proof};
use super::repository::{Access, Endpoint, Repository};

impl Repository {
    /// What a token has to allow: also to read where blobs of a push may be taken from.
    fn scopes(&self, access: Access) -> Vec<String> {
        // Who asks for no repository has to be somebody, and that is all.
        if self.name.is_empty() {
            return Vec::new();
        }
        let own = format!("repository:{}:{}", self.name, access.actions());
        let others = self.mounts.iter().filter(|_| access == Access::Push);
        std::iter::once(own).chain(others.map(|other| format!("repository:{other}:pull"))).collect()
    }

    /// Sends a request, a second time with credentials where the registry asks for them. Whatever is no success is a
    /// problem. Credentials are for the registry alone: where it sends on to a storage, nobody there can ask for them.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        access: Access,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, RegistryProblem> {
        let known = endpoint.proof(access);
        let with = |proof: Option<&Proof>| proof.map_or_else(&request, |proof| proof.add(request()));
        let response = with(known.as_ref()).send().await.map_err(RegistryProblem::transport)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return checked(response, None).await;
        }
        is_asked_by(endpoint, &response)?;
        // A token that was known has expired, or there was none yet.
        let Some(challenge) = Challenge::of(&response) else { return checked(response, None).await };
        let credential = self.options.credentials.find(&endpoint.name).await;
        let credential = credential.map_err(|problem| RegistryProblem::Settings { problem })?;
        let who = credential.as_ref().and_then(super::credentials::Credential::user);
        let proof = match challenge {
            Challenge::Bearer { realm, service } => {
                let scopes = self.scopes(access);
                let at = (endpoint.base.as_str(), &*scopes);
                auth::token(&self.tokens, (&realm, service.as_deref()), credential.as_ref(), at).await?
            }
            Challenge::Basic => match credential {
                Some(super::credentials::Credential::Basic { user, password }) => {
                    Proof::Basic { user, password }
                }
                _ => return checked(response, who).await,
            },
        };
        endpoint.keep(access, proof.clone());
        let response = with(Some(&proof)).send().await.map_err(RegistryProblem::transport)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            is_asked_by(endpoint, &response)?;
        }
        checked(response, who).await
    }
}

/// Whether a refusal is the endpoint's own and not of whoever it sends on to.
fn is_asked_by(endpoint: &Endpoint, response: &Response) -> Result<(), RegistryProblem> {
    let at = response.url();
    if Url::parse(&endpoint.base).is_ok_and(|base| base.origin() == at.origin()) {
        return Ok(());
    }
    let storage = at.host_str().unwrap_or_default();
    let problem =
        format!("it sends on to {storage}, which wants a login of its own (401); none is sent there");
    Err(RegistryProblem::Answer { problem })
}

/// The answer if it is a success, otherwise what it means. `who` sent credentials.
pub(super) async fn checked(response: Response, who: Option<String>) -> Result<Response, RegistryProblem> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let after_s = retry_after(&response).map(|after| after.as_secs());
    let said = said(response).await;
    Err(match status {
        StatusCode::UNAUTHORIZED => RegistryProblem::Unauthorized { who, said },
        StatusCode::FORBIDDEN => RegistryProblem::Forbidden { said },
        StatusCode::NOT_FOUND => RegistryProblem::NotFound { said },
        // Only overload says when to come back; what says so is overloaded.
        status
            if status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::SERVICE_UNAVAILABLE && after_s.is_some() =>
        {
            RegistryProblem::Limited { status: status.as_u16(), after_s, said }
        }
        status => RegistryProblem::Status { status: status.as_u16(), said },
    })
}

/// Source: RFC 9110, "Retry-After".
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// How long a short body may take, however it trickles in.
const SHORT_BODY: Duration = Duration::from_secs(60);

/// The fewest bytes in a second that a longer body has to come with.
const PACE: u64 = 128 << 10;

/// All of a body, which is kept in memory.
pub(super) async fn read_body(response: Response, limit: u64) -> Result<Vec<u8>, RegistryProblem> {
    let time = SHORT_BODY.max(Duration::from_secs(limit / PACE));
    let read = tokio::time::timeout(time, read_on(response, limit)).await;
    read.unwrap_or(Err(RegistryProblem::Slow { received: limit, seconds: time.as_secs() }))
}

async fn read_on(mut response: Response, limit: u64) -> Result<Vec<u8>, RegistryProblem> {
    // What it says is only taken for true as far as it may be.
    let announced = response.content_length().unwrap_or(0);
    if announced > limit {
        return Err(RegistryProblem::TooLong { limit });
    }
    let mut bytes = Vec::with_capacity(announced as usize);
    while let Some(piece) = response.chunk().await.map_err(RegistryProblem::transport)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > limit {
            return Err(RegistryProblem::TooLong { limit });
        }
    }
    Ok(bytes)
}

/// The most bytes of an error that are read, and the most characters that are shown of it.
const ERROR_BYTES: u64 = 16 << 10;
const ERROR_SHOWN: usize = 200;

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says of an error, if it says it as the specification wants ("Error Codes"); a page for people is
/// left out.
async fn said(response: Response) -> String {
    let Ok(bytes) = read_body(response, ERROR_BYTES).await else { return String::new() };
    let Ok(Errors { errors }) = serde_json::from_slice(&bytes) else { return String::new() };
    let text = errors.first().map_or_else(String::new, |item| match item.message.as_str() {
        "" => item.code.clone(),
        message => message.to_owned(),
    });
    text.chars().filter(|c| !c.is_control()).take(ERROR_SHOWN).collect()
}
