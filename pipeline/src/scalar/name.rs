//! Names of steps, outputs, sources, images, parameters and matrix axes.

use crate::expr::Complaint;

/// The longest name: steps name directories, and file systems end at 255 bytes.
const LONGEST: usize = 100;

/// Whether a text may name something: letters, digits, `_` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(is_name_byte)
}

pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// What is wrong with a name, if anything; `what` is, for example, `step`.
pub(crate) fn check_name(what: &str, text: &str) -> Result<(), Complaint> {
    if is_name(text) {
        return Ok(());
    }
    let what =
        if what.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {what}") } else { format!("a {what}") };
    if text.len() > LONGEST {
        return Err(Complaint::new(format!("the name of {what} has at most {LONGEST} characters")));
    }
    let message = format!("`{}` cannot be the name of {what}", text.escape_debug());
    Err(Complaint::new(message).help("use letters, digits, `_` and `-`".to_owned()))
}
