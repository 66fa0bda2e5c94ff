//! Verdicts for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{FileDifference, Found, Verdict};
use crate::ui::{Style, Tone, clean};

/// Lines for a person.
pub(crate) fn human(verdicts: &[Verdict], style: Style) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let step = clean::line(&verdict.step);
        let _ = match &verdict.found {
            Found::Same => {
                writeln!(text, "{} {step}", style.paint(Tone::Good, format!("{} same", style.tick())))
            }
            Found::Ended(how) => {
                writeln!(
                    text,
                    "{} {step}: {}",
                    style.paint(Tone::Bad, format!("{} differs", style.cross())),
                    clean::line(how)
                )
            }
            Found::Nothing(why) => {
                let mark = style.paint(Tone::Bad, format!("{} not executed twice", style.cross()));
                writeln!(text, "{mark} {step}: {why}")
            }
            Found::Differs { files, more } => {
                let mark = style.paint(Tone::Bad, format!("{} differs", style.cross()));
                let _ = writeln!(text, "{mark} {step}");
                files.iter().for_each(|file| difference(&mut text, file, style));
                if *more { writeln!(text, "    … and more files") } else { Ok(()) }
            }
        };
    }
    let count = |test: fn(&Found) -> bool| verdicts.iter().filter(|verdict| test(&verdict.found)).count();
    let twice = count(|found| !matches!(found, Found::Nothing(_)));
    let differing = count(|found| !matches!(found, Found::Same | Found::Nothing(_)));
    let steps = |count: usize| if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
    let _ = match (twice, differing) {
        (0, _) => writeln!(text, "nothing was executed twice"),
        (all, 0) => writeln!(text, "{} executed twice, all the same", steps(all)),
        (all, _) => writeln!(text, "{} executed twice, {differing} not the same", steps(all)),
    };
    text
}

fn difference(text: &mut String, file: &FileDifference, style: Style) {
    let _ = writeln!(text, "    {}: {}", clean::line(&file.path), file.what);
    for sentence in file.how.causes.iter().filter_map(|cause| cause.sentence()) {
        let _ = writeln!(text, "      {}", style.paint(Tone::Warn, format!("looks like {sentence}")));
    }
    for line in &file.how.excerpt {
        let _ = writeln!(text, "      {}", style.paint(Tone::Faint, line.clone()));
    }
}

/// One object for all, for a program.
pub(crate) fn json(verdicts: &[Verdict]) -> Value {
    let file = |file: &FileDifference| {
        let causes: Vec<&str> = file.how.causes.iter().map(|cause| cause.word()).collect();
        json!({ "path": file.path, "what": file.what, "causes": causes, "excerpt": file.how.excerpt })
    };
    let verdict = |verdict: &Verdict| match &verdict.found {
        Found::Same => json!({ "step": verdict.step, "same": true }),
        Found::Ended(how) => json!({ "step": verdict.step, "same": false, "ended": how }),
        Found::Nothing(why) => {
            let how = format!("it was not executed twice: {why}");
            json!({ "step": verdict.step, "same": false, "ended": how })
        }
        Found::Differs { files, more } => {
            let files: Vec<Value> = files.iter().map(file).collect();
            json!({ "step": verdict.step, "same": false, "files": files, "more": more })
        }
    };
    let same = verdicts.iter().all(|verdict| matches!(verdict.found, Found::Same));
    json!({ "same": same, "steps": verdicts.iter().map(verdict).collect::<Vec<_>>() })
}
