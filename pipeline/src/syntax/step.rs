//! Steps.

use serde_json::{Value as Json, json};

use super::words::{Condition, ImageText, InputText, StepText};
use super::{CacheDef, Deferred, MatrixDef, Run, SecretDef, ServiceDef};
use crate::decode::{Cx, Decode, Defs, Lazy, List, Named, OneOrMany, mismatch, object};
use crate::scalar::{Count, Cpu, Flag, Memory, NetworkMode, PathOrGlob, Period, Processes, Text};
use crate::yaml::{Kind, Node};

object! {
    /// What a step takes of its worker while it runs.
    pub(crate) struct ResourcesDef requires [] {
        /// Processors: `2`, `0.5` or `500m`. Default: 1.
        cpu: Lazy<'a, Cpu>,
        /// Memory: `512MiB`, `2GiB`. Default: no share of its own is kept for the step.
        memory: Lazy<'a, Memory>,
    }
}

object! {
    /// What a step may take at most.
    pub(crate) struct LimitsDef requires [] {
        /// Processor time: `2`, `0.5` or `500m` of one processor's. Default: what is there.
        cpu: Lazy<'a, Cpu>,
        /// Memory: `512MiB`, `2GiB`. Default: what is there.
        memory: Lazy<'a, Memory>,
        /// Processes and threads at a time. Default: 4096, which is the most.
        processes: Lazy<'a, Processes>,
        /// What it writes to the disk: `2GiB`. Default: what is there.
        disk: Lazy<'a, Memory>,
        /// All its outputs together: `500MiB`. Default: 100 GiB, which is the most.
        output: Lazy<'a, Memory>,
        /// Each of standard output and standard error: `1MiB`. Default: 64 MiB, which is the most.
        log: Lazy<'a, Memory>,
    }
}

object! {
    /// Reports among a step's files that the summary reads.
    pub(crate) struct ReportsDef requires [] {
        /// JUnit XML: a path, a glob, or a list of them.
        junit: OneOrMany<Lazy<'a, PathOrGlob>>,
    }
}

object! {
    /// How often a step is tried again.
    pub(crate) struct RetriesMap requires [] {
        /// After it failed by itself. Default: 0.
        failure: Lazy<'a, Count>,
        /// After the machine failed it. Default: 3.
        infra: Lazy<'a, Count>,
    }
}

/// Retries: how often after failures, or a [`RetriesMap`].
pub(crate) enum RetriesDef<'a> {
    Failure(Lazy<'a, Count>),
    Full(RetriesMap<'a>),
}

impl<'a> Decode<'a> for RetriesDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Map => RetriesMap::decode(cx, node).map(RetriesDef::Full),
            Kind::Int | Kind::Float | Kind::Str => Lazy::decode(cx, node).map(RetriesDef::Failure),
            _ => {
                mismatch(cx, node, "a number or a map", "write `retries: 1`".to_owned());
                None
            }
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [Lazy::<Count>::schema(defs), RetriesMap::schema(defs)] })
    }
}

object! {
    /// One step.
    pub(crate) struct StepDef requires ["run"] {
        /// What its root directory is made of: `host`, a name in `images`, a registry reference, `oci-layout:DIR` or
        /// `docker-archive:FILE`. Default: `host`.
        image: Lazy<'a, ImageText>,
        /// The step whose root directory it continues, as `STEP` or `STEP[AXIS=VALUE]`; then it has no `image`.
        from: Lazy<'a, StepText>,
        /// What is in its workspace: a path under `/workspace`, and SRC, SRC:SUBDIR or STEP.OUTPUT.
        inputs: Named<'a, Lazy<'a, InputText>>,
        /// What it executes: a script for `/bin/sh -eu -c`, or a list of arguments.
        run: Run<'a>,
        /// Its environment variables. Values are strings.
        env: Named<'a, Lazy<'a, Text>>,
        /// Mutable volumes that make it faster: an absolute path, and the name of a volume or a map
        /// with `volume`, `shared` and `locked`. Never part of the key.
        caches: Named<'a, CacheDef<'a>>,
        /// What is kept of its workspace: a name, and a path, a glob or a list of them, or `rootfs` for its root
        /// directory as an image.
        outputs: Named<'a, OneOrMany<Lazy<'a, PathOrGlob>>>,
        /// What it takes of its worker while it runs.
        resources: ResourcesDef<'a>,
        /// What it may take at most.
        limits: LimitsDef<'a>,
        /// When to stop it: `90s`, `10m`, `1h30m`. Default: `1h`.
        timeout: Lazy<'a, Period>,
        /// Steps that must succeed first although nothing of theirs is an input.
        needs: List<Lazy<'a, StepText>>,
        /// Values to repeat it for: one instance for each combination.
        matrix: Deferred<'a, MatrixDef<'a>>,
        /// What network it sees: `none` or `full`. Default: `none`.
        network: Lazy<'a, NetworkMode>,
        /// Programs that run beside it.
        services: Named<'a, ServiceDef<'a>>,
        /// Secrets that it finds as files.
        secrets: Named<'a, SecretDef<'a>>,
        /// Reports among its files that the summary reads.
        reports: ReportsDef<'a>,
        /// How often it is tried again: a number for failures of its own, or a map with `failure` and `infra`.
        retries: RetriesDef<'a>,
        /// Whether it runs at all: an expression. Default: `true`.
        condition as "if": Lazy<'a, Condition>,
        /// Acts on the outside world: never cached, never started twice on its own. Default: `false`.
        effects: Lazy<'a, Flag>,
        /// Its failure does not fail the run. Default: `false`.
        allow_failure: Lazy<'a, Flag>,
    }
}
