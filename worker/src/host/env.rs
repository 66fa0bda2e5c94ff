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
    complete(declared, defaults)
}

/// Adds the image's `ENV` to what the step declares, and `PATH` where neither has it, as container engines do. `HOME` is
/// in the image's `/etc/passwd`.
pub fn complete_image_env(
    declared: Vec<(String, String)>,
    image: &[(String, String)],
) -> Vec<(String, String)> {
    let path = ("PATH".to_owned(), SYSTEM_PATH.join(":"));
    complete(declared, image.iter().cloned().chain([path]))
}

fn complete(
    declared: Vec<(String, String)>,
    defaults: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    let mut env = declared;
    for (name, value) in defaults {
        if !env.iter().any(|(declared, _)| *declared == name) {
            env.push((name, value));
        }
    }
    env
}
