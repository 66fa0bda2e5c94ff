//! Services.

use super::Run;
use super::words::ImageText;
use crate::decode::{Lazy, List, Named, object};
use crate::scalar::{Period, Port, Status, Text, UrlPath};

object! {
    /// How a service says that it is ready: one of `tcp`, `http` and `exec`.
    pub(crate) struct ReadyDef requires [] {
        /// It accepts connections at this port.
        tcp: Lazy<'a, Port>,
        /// It answers a GET.
        http: HttpDef<'a>,
        /// A script, or a program and its arguments, that exits 0 in its container.
        exec: Run<'a>,
        /// How long it may take. Default: `1m`.
        timeout: Lazy<'a, Period>,
        /// How long to wait after a check that has failed. Default: `200ms`.
        interval: Lazy<'a, Period>,
    }
}

object! {
    /// What a service answers.
    pub(crate) struct HttpDef requires ["port"] {
        /// Where it listens.
        port: Lazy<'a, Port>,
        /// What is asked for. Default: `/`.
        path: Lazy<'a, UrlPath>,
        /// The status that it has to answer. Default: any from 200 to 399.
        status: Lazy<'a, Status>,
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
        ready: ReadyDef<'a>,
        /// Names of secrets of the step that it finds as files as well.
        secrets: List<Lazy<'a, Text>>,
    }
}
