//! The kinds of scalars there are: how their text becomes a value.

mod amount;
mod choice;
mod duration;
mod glob;
mod http;
mod name;
mod path;
mod tagged;
mod text;

pub(crate) use amount::{Cpu, Memory};
pub use amount::{parse_cpu, parse_memory};
pub(crate) use choice::{
    CacheSharing, Count, Flag, ImageForm, NetworkMode, Port, Processes, Seconds, Sharing,
};
pub(crate) use duration::Period;
pub use duration::parse_duration;
pub(crate) use glob::{Glob, PathOrGlob, Pattern, ROOTFS};
pub(crate) use http::{Status, UrlPath};
pub(crate) use name::{check_name, is_name, is_name_byte};
pub(crate) use path::{AbsolutePath, RelativePath, normalise};
pub(crate) use tagged::ImageName;
pub(crate) use text::{Argument, Text, VariableName};
