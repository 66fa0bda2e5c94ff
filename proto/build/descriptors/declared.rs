//! What is declared in a Rust file with the attributes of prost. A field names its type as Rust does.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    OneofDescriptorProto,
};
use syn::{Attribute, Expr, Fields, GenericArgument, Item, ItemEnum, ItemStruct, Lit, PathArguments};

use crate::published::{ELSEWHERE, WELL_KNOWN};

/// A message or an enumeration, and where it is published.
pub(super) struct Declared {
    pub(super) file: &'static str,
    pub(super) package: &'static str,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Message(DescriptorProto),
    Enumeration(EnumDescriptorProto),
}

/// What an attribute says of a field.
#[derive(Default)]
struct Said {
    kind: Option<Type>,
    /// Of an enumeration, which.
    enumeration: Option<String>,
    is_repeated: bool,
    tag: i32,
    /// The enumeration in Rust that has its variants.
    oneof: Option<String>,
}

/// Adds all that a file declares.
pub(super) fn read(
    text: &str,
    package: &'static str,
    file: &'static str,
    all: &mut Vec<Declared>,
) -> syn::Result<()> {
    let items = syn::parse_file(text)?.items;
    for item in &items {
        let (name, kind) = match item {
            Item::Struct(item) if derives(&item.attrs, "Message") => {
                (item.ident.to_string(), Kind::Message(message(item, &items)?))
            }
            Item::Enum(item) if derives(&item.attrs, "Enumeration") => {
                (item.ident.to_string(), Kind::Enumeration(enumeration(item)?))
            }
            _ => continue,
        };
        if WELL_KNOWN.iter().any(|(known, ..)| *known == name) {
            continue;
        }
        let elsewhere = ELSEWHERE.iter().find(|(known, ..)| *known == name);
        let (package, file) = elsewhere.map_or((package, file), |(_, package, file)| (*package, *file));
        all.push(Declared { file, package, kind });
    }
    Ok(())
}

fn derives(attributes: &[Attribute], what: &str) -> bool {
    let mut does = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let _ = attribute.parse_nested_meta(|meta| {
            does |= meta.path.segments.last().is_some_and(|last| last.ident == what);
            Ok(())
        });
    }
    does
}

fn message(item: &ItemStruct, items: &[Item]) -> syn::Result<DescriptorProto> {
    let mut message = DescriptorProto { name: Some(item.ident.to_string()), ..DescriptorProto::default() };
    let Fields::Named(fields) = &item.fields else { return Ok(message) };
    for field in &fields.named {
        let said = said(&field.attrs)?;
        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let Some(oneof) = said.oneof else {
            message.field.push(descriptor(name, said, &field.ty, None));
            continue;
        };
        let index = message.oneof_decl.len() as i32;
        message.oneof_decl.push(OneofDescriptorProto { name: Some(name), options: None });
        let variants = items.iter().find_map(|item| match item {
            Item::Enum(item) if item.ident == oneof => Some(&item.variants),
            _ => None,
        });
        for variant in variants.into_iter().flatten() {
            let Some(of) = variant.fields.iter().next() else { continue };
            let name = variant.ident.to_string().to_lowercase();
            message.field.push(descriptor(name, self::said(&variant.attrs)?, &of.ty, Some(index)));
        }
    }
    Ok(message)
}

fn descriptor(name: String, said: Said, of: &syn::Type, oneof_index: Option<i32>) -> FieldDescriptorProto {
    let kind = said.kind.unwrap_or(Type::Bytes);
    let type_name = if kind == Type::Message { innermost(of) } else { said.enumeration };
    FieldDescriptorProto {
        name: Some(name),
        number: Some(said.tag),
        label: Some(if said.is_repeated { Label::Repeated } else { Label::Optional }.into()),
        r#type: Some(kind.into()),
        type_name,
        oneof_index,
        ..FieldDescriptorProto::default()
    }
}

/// What an `Option` or a `Vec` is of.
fn innermost(of: &syn::Type) -> Option<String> {
    let syn::Type::Path(path) = of else { return None };
    let last = path.path.segments.last()?;
    if let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        return innermost(inner);
    }
    Some(last.ident.to_string())
}

fn enumeration(item: &ItemEnum) -> syn::Result<EnumDescriptorProto> {
    let mut value = Vec::new();
    for variant in &item.variants {
        let wrong = || syn::Error::new(variant.ident.span(), "a variant has a number");
        let (_, number) = variant.discriminant.as_ref().ok_or_else(wrong)?;
        let Expr::Lit(syn::ExprLit { lit: Lit::Int(number), .. }) = number else { return Err(wrong()) };
        value.push(EnumValueDescriptorProto {
            name: Some(screaming(&variant.ident.to_string())),
            number: Some(number.base10_parse()?),
            options: None,
        });
    }
    Ok(EnumDescriptorProto { name: Some(item.ident.to_string()), value, ..EnumDescriptorProto::default() })
}

fn screaming(name: &str) -> String {
    let mut all = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            all.push('_');
        }
        all.extend(letter.to_uppercase());
    }
    all
}

fn said(attributes: &[Attribute]) -> syn::Result<Said> {
    let mut said = Said::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("prost")) {
        attribute.parse_nested_meta(|meta| {
            let word = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let value = match meta.value() {
                Ok(value) => value.parse::<syn::LitStr>()?.value(),
                Err(_) => String::new(),
            };
            match &*word {
                "string" => said.kind = Some(Type::String),
                "bytes" => said.kind = Some(Type::Bytes),
                "bool" => said.kind = Some(Type::Bool),
                "int32" => said.kind = Some(Type::Int32),
                "int64" => said.kind = Some(Type::Int64),
                "uint32" => said.kind = Some(Type::Uint32),
                "uint64" => said.kind = Some(Type::Uint64),
                "message" => said.kind = Some(Type::Message),
                "enumeration" => (said.kind, said.enumeration) = (Some(Type::Enum), Some(value)),
                "repeated" => said.is_repeated = true,
                "oneof" => said.oneof = Some(value),
                "tag" => said.tag = value.parse().map_err(|_| meta.error("a tag is a number"))?,
                "optional" | "tags" => {}
                _ => return Err(meta.error("this script knows no such attribute of prost")),
            }
            Ok(())
        })?;
    }
    Ok(said)
}
