//! Values of flags.

use clap::ValueEnum;
use cullet_cache::Scope;
use tonic::transport::Uri;

/// For people or for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Indented lines.
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// For programs.
    Json,
}

/// Which of a step's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogStreams {
    /// As they were written.
    Both,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A scope of usual runs. What is in quarantine is for those that break the glass, and for nobody else.
pub fn parse_scope(text: &str) -> Result<Scope, String> {
    match text.parse::<Scope>() {
        Ok(Scope::Quarantine(_)) => Err(format!("'{text}' is only for runs with --break-glass")),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// `NAME=VALUE`; the value may be empty and may hold further `=`.
pub fn parse_param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as profile=debug".to_owned()),
    }
}

/// Thousandths of a processor from `4` or `1.5`.
pub fn parse_cpus(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not a number of processors: write 1 or more, such as 4 or 1.5");
    let cpus: f64 = text.trim().parse().map_err(|_| wrong())?;
    // 10,000 processors: beyond any machine, and far from overflow.
    if (1.0..=10_000.0).contains(&cpus) { Ok((cpus * 1000.0) as u32) } else { Err(wrong()) }
}

/// `http://HOST:PORT`, from that or from `HOST:PORT`.
pub fn parse_url(text: &str) -> Result<String, String> {
    let wrong = || format!("'{text}' is not where something listens: expected host:port or http://host:port");
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
    let is_usable = uri.scheme_str() == Some("http")
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none();
    match (is_usable, uri.authority()) {
        (true, Some(authority)) if uri.port_u16().is_some() => Ok(format!("http://{authority}")),
        _ => Err(wrong()),
    }
}

/// A name for a request: something, and not more than coordinators keep.
pub(super) fn parse_request_id(text: &str) -> Result<String, String> {
    match text.len() {
        1..=128 => Ok(text.to_owned()),
        _ => Err("write 1 to 128 bytes".to_owned()),
    }
}

/// Who pays, as a coordinator takes it.
pub fn parse_tenant(text: &str) -> Result<String, String> {
    match text.len() {
        1..=255 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        1..=255 => Err(format!("{text:?} has control characters")),
        _ => Err("write 1 to 255 bytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_a_name_that_can_be_shown() {
        assert_eq!(parse_tenant("team a/\u{e4}").as_deref(), Ok("team a/\u{e4}"));
        for wrong in ["", "a\nb", "\0", "\u{9b}x", &"x".repeat(256)] {
            assert!(parse_tenant(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn parameters_keep_everything_after_the_first_equals_sign() {
        assert_eq!(parse_param("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_param("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_param("a").is_err() && parse_param("=b").is_err());
    }

    #[test]
    fn processors_are_at_least_one() {
        assert_eq!(parse_cpus("1.5"), Ok(1500));
        for wrong in ["0", "0.5", "-1", "nan", "inf", "", "many"] {
            assert!(parse_cpus(wrong).is_err(), "{wrong}");
        }
    }
    #[test]
    fn addresses_have_one_form() {
        for (text, url) in [
            ("c-0:7400", "http://c-0:7400"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1"),
            ("[::1]:7070", "http://[::1]:7070"),
        ] {
            assert_eq!(parse_url(text).as_deref(), Ok(url));
        }
        for wrong in
            ["", "host", "http://", "https://h:1", "h:port", "http://:80", "h:99999", "h:1/x", "h:1?x"]
        {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }
}
