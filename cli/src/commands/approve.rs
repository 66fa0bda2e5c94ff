//! `cullet approve`: another person's signature under a break-glass run.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};

use cullet_cache::SigningKey;

use crate::args::ApproveArgs;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::glass::{Request, Token};
use crate::ui::duration::now_ms;

/// Shows what is asked for, and prints the approval.
pub(super) fn approve(args: &ApproveArgs, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let request = Request::decode(&args.request).ok_or_else(|| {
        CliError::usage("this is no request that a break-glass run printed")
            .hint("copy all of it, in one piece")
    })?;
    let key = SigningKey::read(&args.signing_key)
        .map_err(|error| CliError::usage("--signing-key").because(error))?;
    diagnostics::report(&request.words().iter().map(|line| format!("{line}\n")).collect::<String>());
    if request.until < now_ms() / 1000 {
        return Err(CliError::usage("the request has expired")
            .hint("the run prints another one when it is started again"));
    }
    if key.public().to_string() == request.machine {
        return Err(CliError::usage(
            "this is the key of the machine that asks: somebody else has to approve",
        ));
    }
    // Who pipes the token somewhere has read the above, or does not mean to.
    if io::stdin().is_terminal() && io::stderr().is_terminal() && !agreed()? {
        return Err(CliError::usage("not approved"));
    }
    let token = Token::sign(&request, &key).encode();
    writeln!(out, "{token}").map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn agreed() -> Result<bool, CliError> {
    diagnostics::report("Approve? (yes/no) ");
    let mut answer = String::new();
    let read = io::stdin().lock().take(16).read_line(&mut answer);
    read.map_err(|error| CliError::usage("the answer cannot be read").because(error))?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}
