//! Flags, choices and small numbers.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;
use crate::plan::{ImageFormat, Network};
use crate::yaml::Kind;

/// `true` or `false`.
pub(crate) struct Flag;

impl Scalar for Flag {
    type Value = bool;
    const ACCEPTS: Accepts = Accepts::Bools;
    const EXPECTED: &'static str = "true or false";

    fn parse(text: &str) -> Result<bool, Complaint> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Complaint::new(format!("`{text}` is neither true nor false"))
                .help("YAML 1.2 has no yes, no, on and off".to_owned())),
        }
    }

    fn hint(_: &str, _: Kind) -> Option<String> {
        None
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// `none` or `full`.
pub(crate) struct NetworkMode;

impl Scalar for NetworkMode {
    type Value = Network;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "`none` or `full`";

    fn parse(text: &str) -> Result<Network, Complaint> {
        match text {
            "none" => Ok(Network::None),
            "full" => Ok(Network::Full),
            _ => Err(Complaint::new(format!("`{text}` is no kind of network"))
                .help("it is `none` or `full`".to_owned())),
        }
    }

    fn hint(_: &str, _: Kind) -> Option<String> {
        None
    }

    fn schema() -> Json {
        json!({ "enum": ["none", "full"] })
    }
}

/// How a cache is shared.
pub(crate) struct Sharing;

/// What a [`Sharing`] says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheSharing {
    /// One step at a time has it.
    pub(crate) locked: bool,
    /// Other machines have it too.
    pub(crate) travels: bool,
}

impl Scalar for Sharing {
    type Value = CacheSharing;
    const ACCEPTS: Accepts = Accepts::Bools;
    const EXPECTED: &'static str = "true, false, `free` or `locked`";

    fn parse(text: &str) -> Result<CacheSharing, Complaint> {
        let (locked, travels) = match text {
            "free" | "false" => (false, false),
            "locked" => (true, false),
            "true" => (false, true),
            _ => {
                let complaint = Complaint::new(format!("`{text}` is no way to share a cache"));
                return Err(complaint.help("it is true, false, `free` or `locked`".to_owned()));
            }
        };
        Ok(CacheSharing { locked, travels })
    }

    fn hint(_: &str, _: Kind) -> Option<String> {
        None
    }

    fn schema() -> Json {
        json!({ "enum": [true, false, "free", "locked"] })
    }
}

/// `oci-layout` or `docker-archive`.
pub(crate) struct ImageForm;

impl Scalar for ImageForm {
    type Value = ImageFormat;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "`oci-layout` or `docker-archive`";

    fn parse(text: &str) -> Result<ImageFormat, Complaint> {
        match text {
            "oci-layout" => Ok(ImageFormat::OciLayout),
            "docker-archive" => Ok(ImageFormat::DockerArchive),
            _ => Err(Complaint::new(format!("`{}` is no format of images", text.escape_debug()))
                .help("it is `oci-layout` or `docker-archive`".to_owned())),
        }
    }

    fn schema() -> Json {
        json!({ "enum": ["oci-layout", "docker-archive"] })
    }
}

/// The most retries; what fails ten times is broken.
const MOST_RETRIES: u8 = 10;

/// How often to try again: 0 to 10.
pub(crate) struct Count;

impl Scalar for Count {
    type Value = u8;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a number from 0 to 10";

    fn parse(text: &str) -> Result<u8, Complaint> {
        within(text, 0..=MOST_RETRIES, Self::EXPECTED)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0, "maximum": MOST_RETRIES })
    }
}

/// A whole number of the range; `expected` names it in the complaint.
fn within<T: FromStr + PartialOrd>(
    text: &str,
    range: RangeInclusive<T>,
    expected: &str,
) -> Result<T, Complaint> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| Complaint::new(format!("`{text}` is not {expected}")))
}

/// The most processes and threads that a step may have at all.
const MOST_PROCESSES: u32 = 4096;

/// How many processes and threads a step may have at a time.
pub(crate) struct Processes;

impl Scalar for Processes {
    type Value = u32;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a number from 1 to 4096";

    fn parse(text: &str) -> Result<u32, Complaint> {
        within(text, 1..=MOST_PROCESSES, Self::EXPECTED)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": MOST_PROCESSES })
    }
}

/// A time, in seconds since the Unix epoch.
pub(crate) struct Seconds;

impl Scalar for Seconds {
    type Value = u32;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "seconds since 1970, a number from 0 to 4294967295";

    fn parse(text: &str) -> Result<u32, Complaint> {
        within(text, 0..=u32::MAX, Self::EXPECTED)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
    }
}

/// A TCP port.
pub(crate) struct Port;

impl Scalar for Port {
    type Value = u16;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a port from 1 to 65535";

    fn parse(text: &str) -> Result<u16, Complaint> {
        within(text, 1..=u16::MAX, Self::EXPECTED)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}
