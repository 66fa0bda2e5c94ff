//! What comes of an attempt.

use std::fmt::Write as _;
use std::io;

/// A name, and what is tried.
pub(crate) type Attempt = (&'static str, fn() -> Outcome);

/// What came of it.
pub(crate) enum Outcome {
    /// It was possible.
    Could,
    /// The kernel did not refuse it: it found something wrong with what was asked, such as an address.
    Reached(i32),
    Refused(String),
    /// At these places it was possible.
    CouldAt(Vec<String>),
}

/// What the kernel says to those who may not, or cannot from where they are.
const REFUSALS: [i32; 19] = [
    libc::EPERM,
    libc::EACCES,
    libc::EROFS,
    libc::ENOENT,
    libc::ENOSYS,
    libc::ENODEV,
    libc::ENXIO,
    libc::EXDEV,
    libc::ELOOP,
    libc::ESRCH,
    libc::EAGAIN,
    libc::ENOTDIR,
    libc::EOPNOTSUPP,
    libc::EAFNOSUPPORT,
    libc::ECONNREFUSED,
    libc::ENETUNREACH,
    libc::EPROTONOSUPPORT,
    libc::ENOMEM,
    libc::EBUSY,
];

impl Outcome {
    pub(crate) fn lines(&self, name: &str) -> String {
        let mut lines = String::new();
        let _ = match self {
            Self::Could => writeln!(lines, "could {name}"),
            Self::Reached(errno) => {
                writeln!(lines, "could {name} ({})", io::Error::from_raw_os_error(*errno))
            }
            Self::Refused(why) => writeln!(lines, "could not {name} ({why})"),
            Self::CouldAt(places) if places.is_empty() => writeln!(lines, "could not {name} (anywhere)"),
            Self::CouldAt(places) => {
                places.iter().try_for_each(|place| writeln!(lines, "could {name} {place}"))
            }
        };
        lines
    }
}

impl<T> From<io::Result<T>> for Outcome {
    fn from(result: io::Result<T>) -> Self {
        match result.map_err(|error| error.raw_os_error().unwrap_or(libc::EPERM)) {
            Ok(_) => Self::Could,
            Err(errno) if REFUSALS.contains(&errno) => {
                Self::Refused(io::Error::from_raw_os_error(errno).to_string())
            }
            Err(errno) => Self::Reached(errno),
        }
    }
}

/// For attempts that have a condition of their own.
pub(crate) fn whether(could: bool, why_not: &str) -> Outcome {
    if could { Outcome::Could } else { Outcome::Refused(why_not.to_owned()) }
}
