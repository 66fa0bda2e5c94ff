//! Pipelines of trivial steps.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// Steps in one layer.
const WIDTH: usize = 50;

/// How the steps depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Layers of 50 steps; each reads the source and outputs of two steps of the layer before.
    Layers,
    /// Each reads the source and the output of the step before.
    Chain,
    /// Each reads the source.
    Fan,
}

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Chain => "chain",
            Self::Fan => "fan",
        }
    }

    /// Which outputs a step reads.
    fn producers(self, step: usize) -> Vec<usize> {
        match self {
            Self::Fan => Vec::new(),
            Self::Chain => step.checked_sub(1).into_iter().collect(),
            Self::Layers => {
                let (layer, place) = (step / WIDTH, step % WIDTH);
                let Some(before) = layer.checked_sub(1) else { return Vec::new() };
                let mut producers = vec![before * WIDTH + place, before * WIDTH + (place * 7 + 3) % WIDTH];
                producers.dedup();
                producers
            }
        }
    }
}

/// What the step's only output holds.
pub(crate) fn output_of(step: usize) -> String {
    format!("{step}\n")
}

/// Writes a pipeline file with its source beside it.
pub(crate) fn write(dir: &Path, shape: Shape, steps: usize) -> Result<PathBuf> {
    let source = dir.join("src");
    fs::create_dir_all(&source)?;
    fs::write(source.join("input"), "input\n")?;
    let mut text = "cullet: 1\nname: replay\nsources:\n  src: { path: src }\nsteps:\n".to_owned();
    for step in 0..steps {
        let mut inputs = "src: src".to_owned();
        for (name, producer) in ["a", "b"].iter().zip(shape.producers(step)) {
            write!(inputs, ", {name}: s{producer}.out")?;
        }
        writeln!(text, "  s{step}:\n    inputs: {{ {inputs} }}")?;
        writeln!(text, "    run: echo {step} > out\n    outputs: {{ out: out }}")?;
    }
    let file = dir.join(format!("{}-{steps}.yaml", shape.name()));
    fs::write(&file, text)?;
    Ok(file)
}
