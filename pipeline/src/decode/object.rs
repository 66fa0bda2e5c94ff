//! Maps with known keys, each defined once.

use super::Cx;
use crate::diag::Diagnostic;
use crate::expr::Complaint;
use crate::yaml::{Kind, Node};

/// A key that is present, and its value.
pub(crate) struct Field<'a, T> {
    pub(crate) key: Node<'a>,
    pub(crate) value: T,
}

/// Defines a struct, its decoder and its schema from one list of keys. A doc comment is the key's description in
/// the schema; a literal after `as` is the key where it is no identifier; `requires` names keys that must be
/// there.
macro_rules! object {
    (
        $(#[doc = $about:literal])+
        pub(crate) struct $name:ident requires [$($required:literal),*] {
            $( $(#[doc = $doc:literal])+ $field:ident $(as $key:literal)? : $type:ty, )+
        }
    ) => {
        $(#[doc = $about])+
        pub(crate) struct $name<'a> {
            $( $(#[doc = $doc])+ pub(crate) $field: Option<$crate::decode::Field<'a, $type>>, )+
        }

        impl<'a> $crate::decode::Decode<'a> for $name<'a> {
            fn decode(cx: $crate::decode::Cx<'a>, node: $crate::yaml::Node<'a>) -> Option<Self> {
                const KEYS: &[&str] = &[$($crate::decode::object!(@key $field $($key)?)),+];
                if node.kind() != $crate::yaml::Kind::Map {
                    $crate::decode::mismatch(cx, node, "a map", format!("its keys are {}", KEYS.join(", ")));
                    return None;
                }
                let mut object = $name { $($field: None),+ };
                for (key, value) in node.pairs() {
                    match key.text() {
                        $( $crate::decode::object!(@key $field $($key)?) => {
                            object.$field = $crate::decode::Decode::decode(cx, value)
                                .map(|value| $crate::decode::Field { key, value });
                        } )+
                        _ => $crate::decode::unknown_key(cx, key, KEYS),
                    }
                }
                let required: &[&str] = &[$($required),*];
                required.iter().for_each(|key| $crate::decode::missing(cx, node, key));
                Some(object)
            }

            fn schema(defs: &mut $crate::decode::Defs) -> serde_json::Value {
                let reference = serde_json::json!({ "$ref": concat!("#/$defs/", stringify!($name)) });
                if defs.contains_key(stringify!($name)) {
                    return reference;
                }
                // Reserved before the fields are described, in case one of them holds this type again.
                defs.insert(stringify!($name).to_owned(), serde_json::Value::Null);
                let mut properties = serde_json::Map::new();
                $( properties.insert(
                    $crate::decode::object!(@key $field $($key)?).to_owned(),
                    $crate::schema::described(
                        <$type as $crate::decode::Decode<'a>>::schema(defs),
                        &[$($doc),+],
                    ),
                ); )+
                let required: &[&str] = &[$($required),*];
                defs.insert(stringify!($name).to_owned(), serde_json::json!({
                    "type": "object",
                    "description": $crate::schema::prose(&[$($about),+]),
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                }));
                reference
            }
        }
    };
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
}

pub(crate) use object;

/// Reports a key that the map does not have.
pub(crate) fn unknown_key<'a>(cx: Cx<'a>, key: Node<'a>, keys: &[&str]) {
    if matches!(key.kind(), Kind::Seq | Kind::Map) {
        return; // The parser has said so already.
    }
    let name = key.text();
    let help = if name == "<<" {
        "merge keys are not part of YAML 1.2".to_owned()
    } else {
        cx.sink
            .did_you_mean(name, keys.iter().copied())
            .unwrap_or_else(|| format!("the keys here are {}", keys.join(", ")))
    };
    cx.error(key, Complaint::new(format!("unknown key `{name}`")).help(help));
}

/// Reports a required key if the map lacks it.
pub(crate) fn missing<'a>(cx: Cx<'a>, node: Node<'a>, key: &str) {
    if node.get(key).is_none() {
        // A block map begins at its first key, which is the best place there is to point at.
        cx.sink.push(Diagnostic::error(node.span(), format!("the key `{key}` is missing")));
    }
}
