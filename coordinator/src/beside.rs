//! The services of a step, as they are part of its key.

use cullet_cache::services::{self, Check, Ready, Service};
use cullet_pipeline::plan::{self, Settings};

use crate::images::Images;

/// The platform property for the services of a step; none without any.
pub(crate) fn property(settings: &Settings, images: &Images) -> Option<(String, String)> {
    services::property(settings.services.iter().map(|service| of_plan(service, images)).collect())
}

fn of_plan(service: &plan::Service, images: &Images) -> Service {
    let reference = &service.image;
    Service {
        name: service.name.clone(),
        // Whoever submits a plan has checked that all have one; this is no key of anything.
        image: images.digest(reference).map_or_else(|| format!("unresolved:{reference}"), str::to_owned),
        command: service.run.as_ref().map(plan::Run::arguments),
        env: service.env.clone(),
        ready: service.ready.as_ref().map(ready),
        secrets: service.secrets.clone(),
    }
}

fn ready(ready: &plan::Ready) -> Ready {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let check = match &ready.check {
        plan::Check::Tcp(port) => Check::Tcp { port: *port },
        plan::Check::Http { port, path, status } => {
            Check::Http { port: *port, path: path.clone(), status: *status }
        }
        plan::Check::Exec(run) => Check::Exec { command: run.arguments() },
    };
    Ready { check, timeout_ms: millis(ready.timeout), interval_ms: millis(ready.interval) }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::template::{Machine, step_action};

    fn key(services: &str, digest: char) -> String {
        let text = format!(
            "cullet: 1\nimages: {{ i: a/b }}\nsteps:\n  s: {{ run: x, secrets: {{ T: env }}, services: {services} }}\n"
        );
        let plan = cullet_pipeline::load("f", &text).unwrap().plan(&[], &[]).unwrap();
        let digest = format!("sha256:{}", digest.to_string().repeat(64));
        let images = Images::of([("a/b".to_owned(), digest)]).unwrap();
        images.check(&plan).unwrap();
        let machine = Machine::here(DigestFunction::Blake3, "h".to_owned(), None);
        step_action(&plan.steps[0], &machine, &images).encode(DigestFunction::Blake3).digest.to_string()
    }

    #[test]
    fn what_a_service_is_is_in_the_key_and_how_it_is_written_is_not() {
        let whole =
            "{ a: { image: i }, b: { image: i, env: { X: '1', Y: '2' }, ready: { tcp: 1, timeout: 60s } } }";
        let same = "{ b: { ready: { timeout: 1m, tcp: 1 }, env: { Y: '2', X: '1' }, image: a/b }, a: { image: a/b } }";
        assert_eq!(key(whole, '0'), key(same, '0'));
        let others = [
            "{}",
            "{ a: { image: i } }",
            "{ b: { image: i } }",
            "{ a: { image: i, run: x } }",
            "{ a: { image: i, run: [x] } }",
            "{ a: { image: i, env: { X: '1' } } }",
            "{ a: { image: i, secrets: [T] } }",
            "{ a: { image: i, ready: { tcp: 1 } } }",
            "{ a: { image: i, ready: { tcp: 2 } } }",
            "{ a: { image: i, ready: { http: { port: 2 } } } }",
            "{ a: { image: i, ready: { http: { port: 2, status: 200 } } } }",
            "{ a: { image: i, ready: { exec: x } } }",
        ];
        let mut keys: Vec<String> = others.iter().map(|services| key(services, '0')).collect();
        keys.push(key(others[1], '1'));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
        assert_eq!(key("{}", '0'), key("{}", '1'), "nobody has that image");
    }
}
