//! Descriptors of the messages and services that are declared in Rust, for server reflection: what stands there once is said once.

mod declared;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
};

use self::declared::{Declared, Kind, read};
use self::names::{Names, inside, last, of_call};
use crate::published::SOURCES;
use crate::services::{self, Service, Streams};

/// A file for each published one of which there is something here.
pub(crate) fn files() -> Result<Vec<FileDescriptorProto>, Box<dyn Error>> {
    let mut declared = Vec::new();
    for (source, package, file) in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        let text = std::fs::read_to_string(source)?;
        read(&text, package, file, &mut declared).map_err(|error| format!("{source}: {error}"))?;
    }
    let services = services::all();
    let names = Names::of(&declared, &services);
    let mut files = Files::default();
    for one in declared {
        files.declare(one, &names, &services)?;
    }
    for service in &services {
        files.serve(service, &names)?;
    }
    Ok(files.0.into_values().collect())
}

/// Files by their names.
#[derive(Default)]
struct Files(BTreeMap<&'static str, FileDescriptorProto>);

impl Files {
    fn file(&mut self, name: &'static str, package: &str) -> &mut FileDescriptorProto {
        self.0.entry(name).or_insert_with(|| FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some(package.to_owned()),
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        })
    }

    /// Adds a message as often as it is published, or an enumeration.
    fn declare(
        &mut self,
        declared: Declared,
        names: &Names,
        services: &[Service],
    ) -> Result<(), Box<dyn Error>> {
        let file = self.file(declared.file, declared.package);
        match declared.kind {
            Kind::Message(message) => {
                for published in names::published(message.name(), services) {
                    let (message, needs) = names.resolved(message.clone(), &published)?;
                    import(file, needs);
                    place(file, &published, message);
                }
            }
            Kind::Enumeration(one) => {
                let (outer, name) = inside(one.name()).ok_or("an enumeration is inside of a message")?;
                let one = EnumDescriptorProto { name: Some(name.to_owned()), ..one };
                message_of(file, outer).enum_type.push(one);
            }
        }
        Ok(())
    }

    /// Adds a service to the file that has its package.
    fn serve(&mut self, service: &Service, names: &Names) -> Result<(), Box<dyn Error>> {
        let source = SOURCES.iter().find(|(_, package, _)| *package == service.package);
        let (_, package, file) = source.ok_or("no source has the package of a service")?;
        let file = self.file(file, package);
        let mut needs = BTreeSet::new();
        let mut full = |path: &str, route: &str| {
            let name = last(path);
            let (full, file) = names.full(&of_call(name, route).unwrap_or_else(|| name.to_owned()))?;
            needs.insert(file);
            Ok::<_, Box<dyn Error>>(full)
        };
        let mut method = Vec::new();
        for call in &service.calls {
            method.push(MethodDescriptorProto {
                name: Some(call.route.clone()),
                input_type: Some(full(&call.takes, &call.route)?),
                output_type: Some(full(&call.gives, &call.route)?),
                client_streaming: Some(call.streams == Streams::Client),
                server_streaming: Some(call.streams == Streams::Server),
                ..MethodDescriptorProto::default()
            });
        }
        import(file, needs);
        let name = Some(service.name.to_owned());
        file.service.push(ServiceDescriptorProto { name, method, ..ServiceDescriptorProto::default() });
        Ok(())
    }
}

/// Has a file import others.
fn import(file: &mut FileDescriptorProto, needs: BTreeSet<&'static str>) {
    for need in needs {
        if file.name() != need && file.dependency.iter().all(|there| there != need) {
            file.dependency.push(need.to_owned());
        }
    }
}

/// Puts a message where it is published.
fn place(file: &mut FileDescriptorProto, published: &str, message: DescriptorProto) {
    if let Some((outer, name)) = inside(published) {
        let message = DescriptorProto { name: Some(name.to_owned()), ..message };
        message_of(file, outer).nested_type.push(message);
    } else {
        // There may be something inside of it already.
        let there = message_of(file, published);
        (there.field, there.oneof_decl) = (message.field, message.oneof_decl);
    }
}

fn message_of<'a>(file: &'a mut FileDescriptorProto, name: &str) -> &'a mut DescriptorProto {
    let there = file.message_type.iter().position(|message| message.name() == name);
    let index = there.unwrap_or(file.message_type.len());
    if there.is_none() {
        file.message_type.push(DescriptorProto { name: Some(name.to_owned()), ..DescriptorProto::default() });
    }
    &mut file.message_type[index]
}
