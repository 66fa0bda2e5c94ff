//! One instance of a step, resolved.

use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::inputs::{MOST_EDGES, Resolving};
use super::steps::InstanceScope;
use crate::decode::{Decode, Field, Lazy, Named, Scalar};
use crate::diag::Diagnostic;
use crate::expr::{self, Complaint};
use crate::plan::{self, Image, Input, InputFrom, Limits, Network, Resources, Retries, Settings, Step};
use crate::scalar::{Text, VariableName};
use crate::syntax::{RetriesDef, Run, StepDef};
use crate::yaml::{Kind, Node};

/// How much of a condition is quoted where it is why a step was skipped, in characters: two lines of a terminal.
const SHOWN_CONDITION: usize = 160;

/// What a step has that says nothing.
pub(super) const DEFAULTS: Settings = Settings {
    image: Image::Host,
    env: Vec::new(),
    resources: RESOURCES,
    limits: Limits {
        cpu_millis: 0,
        memory_bytes: 0,
        processes: 0,
        disk_bytes: 0,
        output_bytes: 0,
        log_bytes: 0,
    },
    timeout: TIMEOUT,
    retries: RETRIES,
    network: Network::None,
    effects: false,
    allow_failure: false,
    reports: Vec::new(),
    secrets: Vec::new(),
    caches: Vec::new(),
    services: Vec::new(),
};

/// How long a step may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// How much it takes of its worker unless it says otherwise: one processor, no memory of its own.
const RESOURCES: Resources = Resources { cpu_millis: 1000, memory_bytes: 0 };
/// A machine that fails a step three times in a row is not going to get better.
const RETRIES: Retries = Retries { failure: 0, infra: 3 };

/// The most memory for the texts of all steps. A script of a megabyte in a matrix of 10,000 would take ten
/// gigabytes; 100,000 ordinary steps take a tenth of this.
const MOST_BYTES: usize = 1 << 30;

/// A step, and the instances that must come before it.
pub(super) struct Resolved {
    pub(super) step: Step,
    pub(super) before: Vec<u32>,
}

impl<'a> Compiler<'a> {
    /// Resolves an instance. Steps in it are instances; [`Compiler::order`] gives them their places.
    pub(super) fn resolve(&self, instance: u32) -> Resolved {
        let (named, row) = self.steps.of(instance);
        let scope = InstanceScope {
            cx: self.cx,
            params: &self.params,
            matrix: named.matrix.as_deref().map(|matrix| (matrix, row)),
        };
        let at = Resolving { step: named, scope };
        let mut step = self.blank(instance, named.key.span().line);
        let mut settings = Settings::clone(&step.settings);
        // Beyond these bounds nothing is resolved any more, only the order of what was.
        let within = self.edges.get() <= MOST_EDGES && self.bytes.get() <= MOST_BYTES;
        if within && let Some(definition) = StepDef::decode(self.cx, named.body) {
            self.fill(&mut step, &at, &definition);
            self.settings(&mut settings, &at, &definition);
            settings.caches = self.caches(&step, &at, definition.caches.as_ref());
            self.root((&mut step, &mut settings), &at, instance, &definition);
            self.count_bytes(&step, &settings, named.key);
            step.settings = self.shared.settings(settings);
        }
        let mut before: Vec<u32> = step.inputs.iter().filter_map(producer).collect();
        before.sort_unstable();
        before.dedup();
        let needs = step.needs.iter().copied();
        step.needs = needs.filter(|need| before.binary_search(need).is_err()).collect();
        before.extend(&step.needs);
        before.sort_unstable();
        Resolved { step, before }
    }

    fn count_bytes(&self, step: &Step, settings: &Settings, key: Node<'a>) {
        let script: usize = match &step.run {
            plan::Run::Script(script) => script.len() + 64,
            plan::Run::Arguments(arguments) => arguments.iter().map(|argument| argument.len() + 64).sum(),
        };
        let env = settings.env.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let inputs = step.inputs.iter().map(|input| &*input.path);
        let outputs = step.outputs.iter().map(|output| output.name.as_str());
        let secrets: usize = settings.secrets.iter().map(|secret| secret.source.text().len() + 256).sum();
        // Beside its characters, a string takes its place in a list and in the heap.
        let beside = settings.services.iter().flat_map(plan::Service::texts);
        let texts = env.chain(inputs).chain(outputs).chain(beside);
        let bytes: usize = texts.map(|text| text.len() + 64).sum();
        let bytes = bytes + script + secrets;
        let before = self.bytes.get();
        self.bytes.set(before + bytes);
        if before <= MOST_BYTES && before + bytes > MOST_BYTES {
            let message =
                format!("the steps' scripts, variables and paths take more than {} MiB", MOST_BYTES >> 20);
            self.cx.error(key, Complaint::new(message).help("give the matrices fewer values".to_owned()));
        }
    }

    fn blank(&self, instance: u32, line: u32) -> Step {
        Step {
            name: self.steps.name(instance).into(),
            line,
            run: plan::Run::Arguments(Box::default()),
            inputs: Box::default(),
            outputs: self.shared.outputs(Vec::new()),
            needs: Box::default(),
            skip: None,
            settings: Arc::clone(&self.shared.defaults),
        }
    }

    fn fill(&self, step: &mut Step, at: &Resolving<'_, 'a>, definition: &StepDef<'a>) {
        if let Some(run) = definition.run.as_ref().and_then(|run| self.run(at, &run.value)) {
            step.run = run;
        }
        if let Some(inputs) = &definition.inputs {
            step.inputs = self.inputs(at, &inputs.value).into();
        }
        if let Some(outputs) = &definition.outputs {
            step.outputs = self.shared.outputs(self.outputs(at, &outputs.value));
        }
        if let Some(needs) = &definition.needs {
            step.needs = self.needs(at, &needs.value).into();
        }
        if let Some(condition) = &definition.condition {
            step.skip = self.skip(at, condition.value).map(Into::into);
        }
    }

    fn settings(&self, settings: &mut Settings, at: &Resolving<'_, 'a>, definition: &StepDef<'a>) {
        if let Some(env) = &definition.env {
            settings.env = self.shared.env(self.env(at, &env.value));
        }
        if let Some(reports) = definition.reports.as_ref().and_then(|field| field.value.junit.as_ref()) {
            settings.reports = self.reports(at, &reports.value);
        }
        self.demands(settings, at, definition);
        self.limits(settings, at, definition);
        self.effects(settings, definition);
        if let Some(secrets) = &definition.secrets {
            settings.secrets = self.secrets(at, &secrets.value, &settings.env);
        }
        if let Some(services) = &definition.services {
            let of_step = definition.secrets.as_ref().map(|field| &field.value);
            settings.services = self.services(at, services, settings.network);
            self.secrets_of_services(at, services, of_step, settings);
        }
    }

    fn limits(&self, settings: &mut Settings, at: &Resolving<'_, 'a>, definition: &StepDef<'a>) {
        let kept_free = settings.resources.memory_bytes;
        let Some(limits) = definition.limits.as_ref().map(|field| &field.value) else { return };
        self.set(&mut settings.limits.cpu_millis, at, limits.cpu.as_ref());
        self.set(&mut settings.limits.memory_bytes, at, limits.memory.as_ref());
        self.set(&mut settings.limits.processes, at, limits.processes.as_ref());
        self.set(&mut settings.limits.disk_bytes, at, limits.disk.as_ref());
        self.set(&mut settings.limits.output_bytes, at, limits.output.as_ref());
        self.set(&mut settings.limits.log_bytes, at, limits.log.as_ref());
        if let Some(memory) = limits.memory.as_ref().filter(|_| settings.limits.memory_bytes < kept_free) {
            let message = "it may take less memory than `resources` keeps free for it".to_owned();
            let help = "raise one or lower the other".to_owned();
            self.cx.error(memory.value.node, Complaint::new(message).help(help));
        }
    }

    fn demands(&self, settings: &mut Settings, at: &Resolving<'_, 'a>, definition: &StepDef<'a>) {
        let resources = definition.resources.as_ref().map(|field| &field.value);
        self.set(&mut settings.resources.cpu_millis, at, resources.and_then(|map| map.cpu.as_ref()));
        self.set(&mut settings.resources.memory_bytes, at, resources.and_then(|map| map.memory.as_ref()));
        self.set(&mut settings.timeout, at, definition.timeout.as_ref());
        self.set(&mut settings.network, at, definition.network.as_ref());
        self.set(&mut settings.effects, at, definition.effects.as_ref());
        self.set(&mut settings.allow_failure, at, definition.allow_failure.as_ref());
        match definition.retries.as_ref().map(|field| &field.value) {
            None => {}
            Some(RetriesDef::Failure(count)) => {
                settings.retries.failure = count.get(self.cx, &at.scope).unwrap_or_default();
            }
            Some(RetriesDef::Full(map)) => {
                self.set(&mut settings.retries.failure, at, map.failure.as_ref());
                self.set(&mut settings.retries.infra, at, map.infra.as_ref());
            }
        }
    }

    /// Sets a value if its key is there and well.
    pub(super) fn set<S: Scalar>(
        &self,
        place: &mut S::Value,
        at: &Resolving<'_, 'a>,
        field: Option<&Field<'a, Lazy<'a, S>>>,
    ) {
        if let Some(value) = field.and_then(|field| field.value.get(self.cx, &at.scope)) {
            *place = value;
        }
    }

    pub(super) fn run(&self, at: &Resolving<'_, 'a>, run: &Run<'a>) -> Option<plan::Run> {
        match run {
            Run::Script(lazy) => {
                let script = lazy.get(self.cx, &at.scope)?;
                if script.trim().is_empty() {
                    self.cx.error(lazy.node, Complaint::new("there is nothing to run"));
                }
                Some(plan::Run::Script(script.into()))
            }
            Run::Arguments(node, lazies) => {
                let get = |lazy: &Lazy<'a, _>| lazy.get(self.cx, &at.scope).map(Into::into);
                let arguments: Box<[Box<str>]> = lazies.iter().filter_map(get).collect();
                let program = lazies.first().map(|lazy| lazy.node.text());
                if node.len() == 0 || program.is_some_and(|text| text.trim().is_empty()) {
                    self.cx.error(*node, Complaint::new("there is no program to run"));
                }
                Some(plan::Run::Arguments(arguments))
            }
        }
    }

    /// Variables, sorted by name.
    pub(super) fn env(
        &self,
        at: &Resolving<'_, 'a>,
        defined: &Named<'a, Lazy<'a, Text>>,
    ) -> Vec<(String, String)> {
        let mut env = Vec::with_capacity(defined.0.len());
        for (key, lazy) in &defined.0 {
            let name = VariableName::parse(key.text()).map_err(|complaint| self.cx.error(*key, complaint));
            let value = lazy.get(self.cx, &at.scope);
            if let (Ok(name), Some(value)) = (name, value) {
                env.push((name, value));
            }
        }
        env.sort();
        env
    }

    fn skip<S>(&self, at: &Resolving<'_, 'a>, condition: Lazy<'a, S>) -> Option<String> {
        let node = condition.node;
        if node.kind() == Kind::Bool {
            return node.text().eq_ignore_ascii_case("false").then(|| "`if` is false".to_owned());
        }
        match expr::condition(node.text(), &at.scope) {
            Ok((Some(false), text)) => {
                let shown: String = text.chars().take(SHOWN_CONDITION).collect();
                let more = if shown.len() < text.len() { "…" } else { "" };
                Some(format!("`if` is false: {shown}{more}"))
            }
            Ok(_) => None,
            Err(fault) => {
                self.cx.fault(node, fault);
                None
            }
        }
    }

    /// A step that acts on the outside world is not started again by anything but a person.
    fn effects(&self, settings: &mut Settings, definition: &StepDef<'a>) {
        if !settings.effects {
            return;
        }
        let wanted = definition
            .retries
            .as_ref()
            .filter(|_| settings.retries.failure > 0 || settings.retries.infra > 0);
        if let Some(retries) = wanted {
            let problem = Diagnostic::error(
                retries.key.span(),
                "a step with `effects: true` is never started twice on its own",
            );
            self.cx.sink.push(problem.help("leave `retries` out".to_owned()));
        }
        settings.retries = Retries { failure: 0, infra: 0 };
        if let Some(outputs) = &definition.outputs {
            let message = "outputs of a step with `effects: true` are never cached";
            self.warn(outputs.key, message.to_owned(), "make them in a step of their own, without `effects`");
        }
    }
}

fn producer(input: &Input) -> Option<u32> {
    match &input.from {
        InputFrom::Output(output) => Some(output.step),
        InputFrom::Source { .. } => None,
    }
}
