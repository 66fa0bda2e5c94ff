//! Where coordinators are, as a person writes it.

use std::str::FromStr;

use tonic::transport::Uri;

use super::ClusterError;

/// Addresses of coordinators, at least one, each as `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses(Vec<String>);

/// Addresses that are named at once. A cluster has three coordinators, or five.
const MOST: usize = 16;

impl Addresses {
    /// In the order in which they were named, each once.
    pub(crate) fn urls(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Addresses {
    type Err = ClusterError;

    /// From `URL[,URL…]`.
    fn from_str(text: &str) -> Result<Self, ClusterError> {
        let mut urls: Vec<String> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let url =
                address(part).map_err(|reason| ClusterError::Address { address: part.to_owned(), reason })?;
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        match urls.len() {
            0 => Err(ClusterError::Address { address: text.to_owned(), reason: "it names none" }),
            1..=MOST => Ok(Self(urls)),
            _ => Err(ClusterError::Address { address: text.to_owned(), reason: "it names more than 16" }),
        }
    }
}

/// One address in its usual form.
pub(crate) fn address(text: &str) -> Result<String, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("coordinators do not speak TLS"),
        _ => return Err("it does not begin with http://"),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err("there is something after its port");
    }
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.as_str().contains('@') {
        return Err("a user in it means nothing");
    }
    match uri.port_u16() {
        Some(1..) if !authority.host().is_empty() => Ok(format!("http://{authority}")),
        _ => Err("it names no port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        let parse = |text: &str| text.parse::<Addresses>().map(|addresses| addresses.0);
        assert_eq!(parse("http://c-0:7400").unwrap(), ["http://c-0:7400"]);
        let several = parse(" http://c-0:7400/, http://[::1]:7400,http://c-0:7400,").unwrap();
        assert_eq!(several, ["http://c-0:7400", "http://[::1]:7400"]);
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, words) in [
            ("", "names none"),
            ("c-0", "does not begin with http://"),
            ("c-0:7400", "does not begin with http://"),
            ("http://c-0", "names no port"),
            ("http://c-0:0", "names no port"),
            ("https://c-0:7400", "TLS"),
            ("http://c-0:7400/path", "after its port"),
            ("http://me@c-0:7400", "user"),
            ("http://c 0:7400", "no URL"),
        ] {
            let error = text.parse::<Addresses>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
