//! The environment of the `host` image.

use super::HostTools;

/// Directories of every machine, after the tools'.
pub(super) const SYSTEM_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Adds what the image defines and the step does not declare, as a container image's `ENV` would.
pub fn complete_env(declared: Vec<(String, String)>, tools: &HostTools) -> Vec<(String, String)> {
    let mut defaults =
        vec![("PATH".to_owned(), tools.path_variable()), ("HOME".to_owned(), "/tmp".to_owned())];
    defaults.extend(tools.env.iter().cloned());
    let mut env = declared;
    for (name, value) in defaults {
        if !env.iter().any(|(declared, _)| *declared == name) {
            env.push((name, value));
        }
    }
    env
}
