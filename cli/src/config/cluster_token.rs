//! Who somebody is to a cluster.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{IntoRequest as _, Request};

use super::Env;
use crate::error::CliError;

/// A token as it is sent. It appears in no `Debug` output.
#[derive(Debug, Clone)]
pub struct ClusterToken(MetadataValue<Ascii>);

impl ClusterToken {
    /// What the environment says.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) fn of(env: &Env<'_>) -> Result<Option<Self>, CliError> {
        const NAME: &str = "CULLET_CLUSTER_TOKEN";
        let token = env.text(NAME).map(|text| text.trim().to_owned()).filter(|token| !token.is_empty());
        token
            .map(|token| Self::new(&token))
            .transpose()
            .map_err(|why| CliError::usage(format!("{NAME}: {why}")))
    }

    fn new(token: &str) -> Result<Self, &'static str> {
        const WRONG: &str =
            "it has characters that no token has: write it in ASCII, without spaces and control characters";
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WRONG);
        }
        let mut value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| WRONG)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Asks with the token, where there is one.
    pub fn ask<T>(token: Option<&Self>, message: T) -> Request<T> {
        let mut request = message.into_request();
        if let Some(Self(value)) = token {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_shown_nowhere() {
        let token = ClusterToken::new("canary-token").unwrap();
        let request = ClusterToken::ask(Some(&token), ());
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer canary-token");
        assert!(!format!("{token:?} {request:?}").contains("canary"));
        assert!(ClusterToken::ask(None, ()).metadata().is_empty());
        for wrong in ["a\nb", "a b", "\u{e4}"] {
            assert!(ClusterToken::new(wrong).is_err(), "{wrong}");
        }
    }
}
