//! `cullet doctor`.

mod checks;
mod glass;

use std::io::Write;

use serde_json::json;

use crate::args::{DoctorArgs, Format};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::{Tone, clean};

use checks::{Check, Verdict};

/// Says what this machine can do, and what stands in the way.
pub(super) fn doctor(
    args: &DoctorArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let mut checks = checks::all(config);
    let usual = checks.len();
    checks.extend(glass::all(args, config));
    let text = match args.format {
        Format::Human => {
            let (usual, glass) = checks.split_at(usual);
            format!(
                "{}\nto break the glass (cullet run --break-glass):\n{}",
                describe(usual, config),
                describe(glass, config)
            )
        }
        Format::Json => object(&checks),
    };
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    let broken = checks.iter().any(|check| check.verdict == Verdict::Broken);
    Ok(if broken { ExitStatus::Infra } else { ExitStatus::Success })
}

fn describe(checks: &[Check], config: &Config) -> String {
    let style = config.terminal.stdout_style(config.color);
    let mut text = String::new();
    for check in checks {
        let mark = match check.verdict {
            Verdict::Good => style.paint(Tone::Good, style.tick()),
            Verdict::Limited => style.paint(Tone::Warn, "!"),
            Verdict::Broken => style.paint(Tone::Bad, style.cross()),
        };
        let finding = clean::line(&check.finding);
        text.push_str(&format!("{mark} {:<8} {finding}\n", check.name));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("  {:<8} {}\n", "", clean::line(remedy)));
        }
    }
    text
}

fn object(checks: &[Check]) -> String {
    let list: Vec<_> = checks
        .iter()
        .map(|check| {
            json!({
                "check": check.name,
                "verdict": check.verdict.word(),
                "finding": check.finding,
                "remedy": check.remedy,
            })
        })
        .collect();
    format!("{}\n", json!({ "version": env!("CARGO_PKG_VERSION"), "checks": list }))
}
