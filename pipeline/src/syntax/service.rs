//! Services: checked here, executed by a later version.

use super::Run;
use super::words::ImageText;
use crate::decode::{Lazy, Named, object};
use crate::scalar::{Period, Port, Text};

object! {
    /// How a service says that it is ready.
    pub(crate) struct Ready requires ["tcp"] {
        /// It accepts connections at this port.
        tcp: Lazy<'a, Port>,
        /// How long it may take. Default: `1m`.
        timeout: Lazy<'a, Period>,
    }
}

object! {
    /// A program that runs beside a step.
    pub(crate) struct ServiceDef requires ["image"] {
        /// Its image, as for a step.
        image: Lazy<'a, ImageText>,
        /// What to execute. Default: what the image says.
        run: Run<'a>,
        /// Its environment variables.
        env: Named<'a, Lazy<'a, Text>>,
        /// When it is ready. Default: as soon as it has started.
        ready: Ready<'a>,
    }
}
