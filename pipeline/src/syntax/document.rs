//! The file itself.

use super::words::{PlatformText, Title};
use super::{Deferred, ImageDef, ParamDef, RunOutputDef, SourceDef, StepDef, Version};
use crate::decode::{Lazy, Named, object};
use crate::scalar::Seconds;

object! {
    /// A pipeline of Cullet.
    pub(crate) struct Document requires ["cullet", "steps"] {
        /// Version of the language; always 1.
        cullet: Version,
        /// Name of the pipeline, for people. Default: `pipeline`.
        name: Lazy<'a, Title>,
        /// Parameters: a default, or a map with `default`, `description` and `values`. Set with `--param NAME=VALUE`.
        params: Named<'a, ParamDef<'a>>,
        /// Names for images: a reference, or a map with `reference` and `digest`.
        images: Named<'a, ImageDef<'a>>,
        /// Trees of files on the submitting machine: a path, or a map with `path`, `include` and `exclude`.
        sources: Named<'a, SourceDef<'a>>,
        /// What steps take for the current time if they want their results to be the same each time: the variable
        /// `SOURCE_DATE_EPOCH` of every step that does not declare it, in seconds since 1970. Default: not set.
        source_date_epoch: Lazy<'a, Seconds>,
        /// What all steps run on, and what their images are for: `linux/ARCHITECTURE`, in the words of images. Default:
        /// this machine's or, on a cluster, that of its workers.
        platform: Lazy<'a, PlatformText>,
        /// The steps by name.
        steps: Named<'a, Deferred<'a, StepDef<'a>>>,
        /// What `--output DIR` writes after the run: a path relative to DIR, and STEP.OUTPUT, or a map
        /// with `from` and `format`.
        outputs: Named<'a, RunOutputDef<'a>>,
    }
}
