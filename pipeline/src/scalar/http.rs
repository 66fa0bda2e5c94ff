//! What is asked of a server, and what it answers.

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;

/// A status code of HTTP.
pub(crate) struct Status;

impl Scalar for Status {
    type Value = u16;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a status from 100 to 599";

    fn parse(text: &str) -> Result<u16, Complaint> {
        let status = text.parse().ok().filter(|status| (100..=599).contains(status));
        status.ok_or_else(|| Complaint::new(format!("`{text}` is not {}", Self::EXPECTED)))
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 100, "maximum": 599 })
    }
}

/// What is asked for, as it is sent: a path, and a query if there is one.
pub(crate) struct UrlPath;

/// As long as any server takes.
const LONGEST: usize = 4096;

impl Scalar for UrlPath {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a path such as `/healthz`";

    fn parse(text: &str) -> Result<String, Complaint> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if text.starts_with('/') && plain && text.len() <= LONGEST {
            return Ok(text.to_owned());
        }
        let message = format!("`{}` is not {}", text.escape_debug(), Self::EXPECTED);
        let help =
            "it begins with `/`; anything but plain characters is written as `%` and hexadecimal digits";
        Err(Complaint::new(message).help(help.to_owned()))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^/[!-\"$-~]*$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_can_be_sent() {
        for path in ["/", "/healthz", "/a/b?c=d&e=%20"] {
            assert_eq!(UrlPath::parse(path).unwrap(), path);
        }
        for path in ["", "a", "/a b", "/\r\nHost: x", "/ä", "/#a", "http://a/"] {
            assert!(UrlPath::parse(path).is_err(), "{path}");
        }
        assert_eq!((Status::parse("204").unwrap(), Status::parse("99").is_err()), (204, true));
    }
}
