//! What steps see of the machine's own directories. One list for the two who must agree on it: the sandbox shows
//! nothing else, and the fingerprint covers all of it.

use std::path::{Component, Path, PathBuf};

/// Entries of `/` that are shown whole. Everything else (homes, data, /run with its sockets, whatever a machine's
/// owner put into `/`) is not part of a step's key and so not of its view.
pub(crate) const SYSTEM: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr"];

/// The parts of `/var` that belong to installed software: package databases and generated catalogues.
pub(crate) const VAR: [&str; 10] = [
    "var/lib/dpkg",
    "var/lib/rpm",
    "var/lib/pacman",
    "var/lib/ghc",
    "var/lib/texmf",
    "var/lib/sgml-base",
    "var/lib/xml-core",
    "var/lib/emacsen-common",
    "var/lib/gems",
    "var/cache/fontconfig",
];

/// Entries of `/etc` that programs read to find and configure software; `*` at the end or the start stands for
/// any text. Accounts, services, keys, mounts, the network and the time zone of a machine are not among them.
const ETC: [&str; 99] = [
    "*-release",
    "ImageMagick*",
    "OpenCL",
    "R",
    "alternatives",
    "ant*",
    "apk",
    "bash.bashrc",
    "bashrc",
    "bindresvport.blacklist",
    "ca-certificates",
    "ca-certificates.conf",
    "clang*",
    "conda",
    "crypto-policies",
    "csh.*",
    "debconf.conf",
    "debian_version",
    "debuginfod",
    "docbook*",
    "dotnet",
    "dpkg",
    "egl",
    "emacs*",
    "environment",
    "ethertypes",
    "fish",
    "fonts",
    "gai.conf",
    "gdb",
    "ghostscript",
    "gitattributes",
    "gitconfig",
    "glvnd",
    "gnutls",
    "gradle",
    "groff",
    "gtk-*",
    "host.conf",
    "inputrc",
    "issue",
    "java*",
    "jvm*",
    "ld-musl-*",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "libnl*",
    "libreoffice",
    "libvirt-common",
    "locale.alias",
    "locale.conf",
    "login.defs",
    "lua*",
    "magic",
    "magic.mime",
    "mailcap",
    "man_db.conf",
    "manpath.config",
    "maven",
    "mime.types",
    "mke2fs.conf",
    "mono",
    "mtab",
    "mysql",
    "netconfig",
    "networks",
    "npmrc",
    "nsswitch.conf",
    "openal",
    "openldap",
    "paperspecs",
    "papersize",
    "perl",
    "php*",
    "pip.conf",
    "pkcs11",
    "pki",
    "postgresql-common",
    "profile",
    "profile.d",
    "protocols",
    "python*",
    "rpc",
    "rpm",
    "ruby*",
    "services",
    "sgml",
    "shells",
    "skel",
    "ssl",
    "static",
    "terminfo",
    "texmf",
    "vim",
    "vulkan",
    "wgetrc",
    "xml",
];

/// Shells' and desktops' own, by prefix as well; apart from [`ETC`] only to keep that list in order.
const ETC_MORE: [&str; 5] = ["X11", "xattr.conf", "xdg", "zsh*", "zlogin"];

/// Directories below a shown one that stay empty: keys.
pub(crate) const COVERED: [&str; 2] = ["etc/ssl/private", "etc/pki/tls/private"];

/// Trees that steps see only where a tool that they can run lies there: they can be huge, and anything may be in
/// them. Of `/opt` one entry is shown at a time.
const APART: [&str; 3] = ["opt", "nix", "gnu"];

/// Whether steps see this entry of `/etc` as the machine has it.
pub(crate) fn is_etc_shown(name: &str) -> bool {
    ETC.iter().chain(&ETC_MORE).any(|pattern| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(start), _) => name.starts_with(start),
        (_, Some(end)) => name.ends_with(end),
        _ => name == *pattern,
    })
}

/// Whether `path` is visible because of the machine's own directories.
pub(crate) fn is_system(path: &Path) -> bool {
    first(path).is_some_and(|first| SYSTEM.contains(&first))
}

/// The directory to show for `path` when it lies in a tree that is hidden otherwise, such as `/opt/NAME`.
pub(crate) fn apart(path: &Path) -> Option<PathBuf> {
    let first = first(path).filter(|first| APART.contains(first))?;
    let names = if first == "opt" { 3 } else { 2 };
    Some(path.components().take(names).collect())
}

fn first(path: &Path) -> Option<&str> {
    match path.components().nth(1) {
        Some(Component::Normal(name)) if path.is_absolute() => name.to_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_of_software_is_shown_and_that_of_the_machine_is_not() {
        for shown in
            ["alternatives", "os-release", "java-17-openjdk", "python3", "ssl", "X11", "ld.so.conf.d"]
        {
            assert!(is_etc_shown(shown), "{shown}");
        }
        for hidden in
            ["shadow", "passwd-", "ssh", "fstab", "localtime", "cron.d", "systemd", "sudoers", "sslx"]
        {
            assert!(!is_etc_shown(hidden), "{hidden}");
        }
    }

    #[test]
    fn one_entry_of_opt_is_shown_at_a_time_and_a_store_whole() {
        let apart = |path: &str| apart(Path::new(path)).map(|dir| dir.display().to_string());
        assert_eq!(apart("/opt/jdk/bin").as_deref(), Some("/opt/jdk"));
        assert_eq!(apart("/nix/store/x/bin").as_deref(), Some("/nix"));
        assert_eq!(apart("/usr/bin"), None);
        assert_eq!(apart("opt/x"), None);
    }
}
