//! Strings that are taken as they are.

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;

/// A string, such as a variable's value.
pub(crate) struct Text;

impl Scalar for Text {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a string";

    fn parse(text: &str) -> Result<String, Complaint> {
        without_nul(text)
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

/// An argument of a program. Numbers are taken as they are written.
pub(crate) struct Argument;

impl Scalar for Argument {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::All;
    const EXPECTED: &'static str = "a string";

    fn parse(text: &str) -> Result<String, Complaint> {
        without_nul(text)
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

/// The kernel ends arguments and variables at the first NUL.
fn without_nul(text: &str) -> Result<String, Complaint> {
    if text.contains('\0') {
        return Err(Complaint::new("a NUL character cannot be passed to a program"));
    }
    Ok(text.to_owned())
}

/// The name of an environment variable. Keys of a map, so their schema is that of the map.
pub(crate) struct VariableName;

impl Scalar for VariableName {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "the name of a variable";

    fn parse(text: &str) -> Result<String, Complaint> {
        if text.is_empty() || text.contains(['=', '\0']) {
            let message = format!("`{}` cannot be the name of a variable", text.escape_debug());
            return Err(Complaint::new(message).help("it may not be empty nor contain `=`".to_owned()));
        }
        Ok(text.to_owned())
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[^=]+$" })
    }
}
