//! The services of a step.

use std::time::Duration;

use super::Compiler;
use super::inputs::Resolving;
use crate::decode::{Field, Named};
use crate::diag::Diagnostic;
use crate::expr::Complaint;
use crate::plan::{Check, Image, Network, Ready, Service};
use crate::scalar::check_name;
use crate::syntax::{ReadyDef, ServiceDef};
use crate::yaml::Node;

/// The most services of one step: each takes as many descriptors and a thread of its worker as a step does.
const MOST: usize = 16;

/// How long a service may take to be ready unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait after a check that has failed: less than a person notices, more than checks take.
const INTERVAL: Duration = Duration::from_millis(200);
/// What asks more often only keeps the service from getting ready.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

impl<'a> Compiler<'a> {
    /// Services, sorted by name. The step must have no network but the one with them.
    pub(super) fn services(
        &self,
        at: &Resolving<'_, 'a>,
        field: &Field<'a, Named<'a, ServiceDef<'a>>>,
        network: Network,
    ) -> Vec<Service> {
        let defined = &field.value.0;
        if network == Network::Full && !defined.is_empty() {
            let message = "a step with services cannot have `network: full`";
            let help = "their ports would be those of the machine, where something else may listen: leave one of the two out";
            self.cx.sink.push(Diagnostic::error(field.key.span(), message).help(help.to_owned()));
        }
        if defined.len() > MOST {
            let message = format!("a step has at most {MOST} services");
            self.cx.sink.push(Diagnostic::error(field.key.span(), message));
        }
        let mut services: Vec<Service> =
            defined.iter().filter_map(|(key, service)| self.service(at, *key, service)).collect();
        services.sort_by(|one, other| one.name.cmp(&other.name));
        services
    }

    fn service(&self, at: &Resolving<'_, 'a>, key: Node<'a>, service: &ServiceDef<'a>) -> Option<Service> {
        let name = key.text().to_owned();
        if let Err(complaint) = check_name("service", &name) {
            self.cx.error(key, complaint);
        }
        // All of it is looked at, whatever is wrong with some of it.
        let image = service.image.as_ref().and_then(|image| {
            let text = image.value.get(self.cx, &at.scope)?;
            self.image(image.value.node, &text)
        });
        let run = service.run.as_ref().map(|run| self.run(at, &run.value));
        let env = service.env.as_ref().map(|env| self.env(at, &env.value)).unwrap_or_default();
        let ready = service.ready.as_ref().map(|ready| self.ready(at, ready));
        let image = match image? {
            Image::Reference(reference) => reference,
            Image::Host => {
                let message = "a service runs in an image, not on the machine's own root";
                let help = "name one in `images:`, or write a full reference".to_owned();
                self.cx.error(service.image.as_ref()?.value.node, Complaint::new(message).help(help));
                return None;
            }
        };
        let (run, ready) = (
            run.map_or(Some(None), |run| run.map(Some))?,
            ready.map_or(Some(None), |ready| ready.map(Some))?,
        );
        Some(Service { name, image, run, env, ready, secrets: Vec::new() })
    }

    fn ready(&self, at: &Resolving<'_, 'a>, field: &Field<'a, ReadyDef<'a>>) -> Option<Ready> {
        let ReadyDef { tcp, http, exec, timeout, interval } = &field.value;
        let (mut longest, mut pause) = (TIMEOUT, INTERVAL);
        self.set(&mut longest, at, timeout.as_ref());
        self.set(&mut pause, at, interval.as_ref());
        if let Some(interval) = interval.as_ref().filter(|_| pause < SHORTEST_INTERVAL) {
            let message = format!("an interval is at least {SHORTEST_INTERVAL:?}");
            self.cx.error(interval.value.node, Complaint::new(message));
        }
        let tcp = tcp.as_ref().map(|port| port.value.get(self.cx, &at.scope).map(Check::Tcp));
        let http = http.as_ref().map(|http| {
            let (mut path, mut status) = ("/".to_owned(), 0);
            self.set(&mut path, at, http.value.path.as_ref());
            self.set(&mut status, at, http.value.status.as_ref());
            let port = http.value.port.as_ref()?.value.get(self.cx, &at.scope)?;
            Some(Check::Http { port, path, status: Some(status).filter(|status| *status > 0) })
        });
        let exec = exec.as_ref().map(|exec| self.run(at, &exec.value).map(Check::Exec));
        let mut checks = [tcp, http, exec].into_iter().flatten();
        let (first, second) = (checks.next(), checks.next());
        if first.is_none() || second.is_some() {
            let message = "a service is ready in exactly one way";
            let help = "give one of `tcp`, `http` and `exec`".to_owned();
            self.cx.sink.push(Diagnostic::error(field.key.span(), message).help(help));
        }
        Some(Ready { check: first??, timeout: longest, interval: pause })
    }
}
