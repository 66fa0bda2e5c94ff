use std::collections::HashMap;

use super::*;
use crate::error::ErrorKind;

fn load(flags: &GlobalArgs, env: &[(&str, &str)]) -> Result<Config, CliError> {
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    Config::from_sources(flags, &|name| env.get(name).map(|value| (*value).to_owned()))
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "cache-size = \"1GiB\"\ncache-dir = \"here\"\nprogress = \"plain\"\njobs = 3\n")
        .unwrap();
    let path = path.to_str().unwrap();
    let flags = GlobalArgs { cache_size: Some(7), ..GlobalArgs::default() };

    let config = load(&flags, &[("CULLET_CONFIG", path), ("CULLET_CACHE_SIZE", "2MiB")]).unwrap();
    assert_eq!(config.cache_size, Some(7));
    let none = GlobalArgs::default();
    let config = load(&none, &[("CULLET_CONFIG", path), ("CULLET_CACHE_SIZE", "2MiB")]).unwrap();
    assert_eq!(config.cache_size, Some(2 << 20));
    let config = load(&none, &[("CULLET_CONFIG", path), ("CULLET_CACHE_SIZE", "")]).unwrap();
    assert_eq!(config.cache_size, Some(1 << 30));
    assert_eq!(config.cache_dir, dir.path().join("here"));
    assert_eq!((config.run.progress, config.run.cpu_millis), (Some(Progress::Plain), Some(3000)));
    let config = load(&none, &[("HOME", "/nowhere")]).unwrap();
    assert_eq!((config.cache_size, config.cache_dir), (None, PathBuf::from("/nowhere/.cache/cullet")));
}

#[test]
fn a_cluster_is_named_by_flag_environment_or_file_and_taken_back_by_an_empty_flag() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "cache-dir = \"x\"\ncluster = \"http://file:1\"\ntenant = \"web\"\n").unwrap();
    let path = path.to_str().unwrap();
    let none = GlobalArgs::default();
    let config = load(&none, &[("CULLET_CONFIG", path), ("CULLET_CLUSTER", "http://env:1")]).unwrap();
    assert_eq!(config.cluster(None).as_deref(), Some("http://env:1"));
    assert_eq!(config.cluster(Some("http://flag:1")).as_deref(), Some("http://flag:1"));
    assert_eq!(config.cluster(Some("")), None);
    let config = load(&none, &[("CULLET_CONFIG", path), ("TRACEPARENT", "00-1-2-01")]).unwrap();
    assert_eq!((config.cluster(None).as_deref(), config.tenant()), (Some("http://file:1"), Some("web")));
    assert_eq!(config.traceparent.as_deref(), Some("00-1-2-01"));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "jobs = 2\n  sise = 3\n").unwrap();
    let path = path.to_str().unwrap();
    let error = load(&GlobalArgs::default(), &[("CULLET_CONFIG", path)]).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("config.toml:2:3: unknown field `sise`"), "{message}");
    let error = load(&GlobalArgs::default(), &[("HOME", "/x"), ("CULLET_PROGRESS", "loud")]).unwrap_err();
    assert_eq!(error.to_string(), "CULLET_PROGRESS: 'loud' is not one of auto, tty, plain, json");
    let error = load(&GlobalArgs::default(), &[("CULLET_CONFIG", "/nowhere/c.toml")]).unwrap_err();
    assert!(error.to_string().contains("/nowhere/c.toml"), "{error}");
    let error = load(&GlobalArgs::default(), &[]).unwrap_err();
    assert!(error.to_string().contains("HOME"), "{error}");
}

#[test]
fn registries_are_reached_as_file_and_environment_say() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let text = "cache-dir = \"x\"\nregistry-ca = [\"ca.pem\"]\nregistry-proxy = \"http://proxy:1\"\n\
                [registries.\"docker.io\"]\nmirrors = [\"https://mirror\"]\n\
                [registries.\"lan:5000\"]\nplain-http = true\n[registries.\"localhost\"]\nplain-http = false\n";
    std::fs::write(&path, text).unwrap();
    std::fs::write(dir.path().join("ca.pem"), "pem").unwrap();
    let path = path.to_str().unwrap();
    let none = GlobalArgs::default();
    let config = load(&none, &[("CULLET_CONFIG", path), ("HOME", "/h")]).unwrap();
    assert_eq!(config.registries.docker_config, Some(PathBuf::from("/h/.docker/config.json")));
    let options = config.registries.options().unwrap();
    assert_eq!(options.authorities, [b"pem".to_vec()], "relative to the file");
    assert_eq!(options.mirrors["docker.io"], ["https://mirror"]);
    assert_eq!((options.plain_http, options.tls), (["lan:5000".into()].into(), ["localhost".into()].into()));
    assert_eq!(options.proxy.as_deref(), Some("http://proxy:1"));
    let env = [
        ("CULLET_CONFIG", path),
        ("DOCKER_CONFIG", "/d"),
        ("CULLET_REGISTRY_CA", "/nowhere/ca.pem"),
        ("CULLET_REGISTRY_PROXY", "http://other:2"),
    ];
    let registries = load(&none, &env).unwrap().registries;
    assert_eq!(registries.docker_config, Some(PathBuf::from("/d/config.json")));
    assert_eq!(registries.proxy.as_deref(), Some("http://other:2"));
    let refused = registries.options().unwrap_err();
    assert_eq!((refused.kind(), refused.to_string().contains("/nowhere/ca.pem")), (ErrorKind::Usage, true));
}

#[test]
fn a_shared_cache_is_named_by_flag_environment_or_file_and_is_only_read_unless_said_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "cache-dir = \"x\"\n[cache]\nshared = \"team\"\n").unwrap();
    let path = path.to_str().unwrap();
    let none = GlobalArgs::default();
    let file = ("CULLET_CONFIG", path);
    let shared = |env: &[(&str, &str)], flag: Option<&str>| {
        load(&none, env).unwrap().shared_cache(flag).unwrap().map(|shared| (shared.location, shared.mode))
    };
    let team = dir.path().join("team").display().to_string();
    assert_eq!(shared(&[file], None), Some((team.clone(), SharedCacheMode::Read)), "relative to the file");
    let env = [file, ("CULLET_SHARED_CACHE", "s3://b/p"), ("CULLET_SHARED_CACHE_MODE", "write")];
    assert_eq!(shared(&env, None), Some(("s3://b/p".to_owned(), SharedCacheMode::Write)));
    assert_eq!(shared(&env, Some("/srv/c")), Some(("/srv/c".to_owned(), SharedCacheMode::Write)));
    let here = std::env::current_dir().unwrap().join("c").display().to_string();
    assert_eq!(
        shared(&env, Some("c")),
        Some((here, SharedCacheMode::Write)),
        "relative to where it is started"
    );
    assert_eq!(shared(&env, Some("")), None);
    assert_eq!(shared(&[file, ("CULLET_SHARED_CACHE", "")], None), Some((team, SharedCacheMode::Read)));
    assert_eq!(shared(&[("HOME", "/h")], None), None);
    let aws = [file, ("AWS_REGION", "eu"), ("CULLET_SHARED_CACHE", "s3://b")];
    let config = load(&none, &aws).unwrap().shared_cache(None).unwrap().unwrap();
    assert_eq!(config.variables["AWS_REGION"], "eu");
}

#[test]
fn whose_results_are_read_is_said_by_environment_or_file_and_otherwise_they_are_of_who_is_logged_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let key = format!("ed25519:{}", "0a".repeat(32));
    let text = |more: &str| format!("[cache]\nshared = \"team\"\n{more}");
    let none = GlobalArgs::default();
    let of = |more: &str, env: &[(&str, &str)]| {
        std::fs::write(&path, text(more)).unwrap();
        let env =
            [&[("CULLET_CONFIG", path.to_str().unwrap()), ("HOME", "/h"), ("USER", "ada")], env].concat();
        load(&none, &env).map(|config| config.shared_cache(None).unwrap().unwrap().trust)
    };
    let usual = of("", &[]).unwrap();
    assert_eq!((usual.scope.to_string().as_str(), usual.local_scope()), ("user/ada", None));
    assert_eq!((&usual.trusted, &usual.signing_key), (&None, &None));
    let said =
        of(&format!("scope = \"protected\"\ntrusted-keys = [\"{key}\"]\nsigning-key = \"k.pem\"\n"), &[])
            .unwrap();
    assert_eq!(said.scope, cullet_cache::Scope::Protected);
    assert_eq!(said.local_scope(), Some(&said.scope), "apart from what this person made");
    assert_eq!(said.trusted, Some(vec![key.parse().unwrap()]));
    assert_eq!(said.signing_key, Some(dir.path().join("k.pem")), "relative to the file");
    assert!(said.options().unwrap_err().to_string().contains("signing-key"));
    let env = [("CULLET_SCOPE", "branch/x")];
    assert_eq!(of("scope = \"protected\"\n", &env).unwrap().scope.to_string(), "branch/x");
    let trust = |env: &[(&str, &str)], flag: Option<&str>| {
        let flag = flag.map(|text| text.parse().unwrap());
        let config = load(&none, &[&[("HOME", "/h"), ("USER", "ada")], env].concat()).unwrap();
        let trust = config.trust(flag.as_ref());
        (trust.local_scope().map(ToString::to_string), trust.asked.map(|scope| scope.to_string()))
    };
    let both = |scope: &str| (Some(scope.to_owned()), Some(scope.to_owned()));
    assert_eq!(trust(&[], None), (None, None), "a cluster is not asked for that of this person");
    assert_eq!(trust(&env, None), both("branch/x"));
    assert_eq!(trust(&env, Some("branch/y")), both("branch/y"));
    assert_eq!(trust(&env, Some("user/ada")), (None, Some("user/ada".to_owned())));
    let refused = |more: &str, env: &[(&str, &str)]| of(more, env).unwrap_err().to_string();
    let at = refused("scope = \"everybody\"\n", &[]);
    assert!(at.contains("config.toml:3:9: 'everybody' is no scope"), "{at}");
    let at = refused("trusted-keys = [\"rsa:1\"]\n", &[]);
    assert!(at.contains("config.toml:3:17: 'rsa:1' is no public key"), "{at}");
    let at = refused("", &[("CULLET_SCOPE", "x")]);
    assert!(at.starts_with("CULLET_SCOPE: 'x' is no scope"), "{at}");
    let at = refused("", &[("CULLET_SCOPE", "quarantine/ada")]);
    assert!(at.contains("only for runs with --break-glass"), "{at}");
    let at = refused("scope = \"quarantine/ada\"\n", &[]);
    assert!(at.contains("config.toml:3:9: 'quarantine/ada' is only for"), "{at}");
    // Who breaks the glass reads what is usual, and writes elsewhere; here as well, that is what is usual.
    let broken = usual.clone().quarantined(&"quarantine/ada".parse().unwrap());
    let options = broken.options().unwrap();
    assert_eq!((options.scope.to_string().as_str(), options.usual), ("quarantine/ada", Some(usual.scope)));
    assert_eq!(broken.local_scope(), None);
}

#[test]
fn what_breaking_the_glass_takes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let of = |text: &str| {
        std::fs::write(&path, format!("[break-glass]\n{text}")).unwrap();
        let env = [("CULLET_CONFIG", path.to_str().unwrap()), ("HOME", "/h"), ("USER", "ada")];
        load(&GlobalArgs::default(), &[&env[..], &[("CULLET_BREAK_GLASS_REASON", "down")]].concat())
    };
    let usual = of("").unwrap();
    assert_eq!(usual.glass.dir, usual.cache_dir.join("break-glass"));
    assert_eq!((usual.glass.approvals, usual.glass.reason.as_deref()), (1, Some("down")));
    assert_eq!(usual.quarantine().to_string(), "quarantine/ada");
    let key = format!("ed25519:{}", "3d".repeat(32));
    let said =
        of(&format!("dir = \"j\"\nsigning-key = \"k\"\napprovals = 0\napprovers = [\"{key} grace\"]\n"));
    let said = said.unwrap().glass;
    assert_eq!((said.dir, said.signing_key), (dir.path().join("j"), Some(dir.path().join("k"))));
    assert_eq!((said.approvals, said.approvers[0].name.as_str()), (0, "grace"));
    let error = of("approvers = [\"grace\"]\n").unwrap_err().to_string();
    assert!(error.contains("config.toml:2:") && error.contains("whose it is"), "{error}");
}

#[test]
fn what_is_no_place_for_a_shared_cache_is_refused_where_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let none = GlobalArgs::default();
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = load(&none, &[("CULLET_CONFIG", path.to_str().unwrap()), ("HOME", "/h")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.to_string()
    };
    let at = refused("jobs = 1\n[cache]\n  shared = \"gopher://x\"\n");
    assert!(at.contains("config.toml:3:12: 'gopher://' cannot be a shared cache"), "{at}");
    assert!(refused("[cache]\nmode = \"steal\"\n").contains("config.toml:2:8: unknown variant `steal`"));
    assert!(refused("[cache]\nshard = \"x\"\n").contains("config.toml:2:1: unknown field `shard`"));
    let load = |env: &[(&str, &str)]| load(&none, &[&[("HOME", "/h")], env].concat());
    let error = load(&[("CULLET_SHARED_CACHE", "s3://")]).unwrap_err().to_string();
    assert!(error.starts_with("CULLET_SHARED_CACHE: 's3://' cannot be a shared cache"), "{error}");
    let error = load(&[("CULLET_SHARED_CACHE_MODE", "x")]).unwrap_err().to_string();
    assert_eq!(error, "CULLET_SHARED_CACHE_MODE: 'x' is not one of read, write");
    let error = load(&[]).unwrap().shared_cache(Some("s3://k:secret@b")).unwrap_err();
    assert!(error.to_string().starts_with("--shared-cache: ") && !error.to_string().contains("secret"));
    assert_eq!(error.kind(), ErrorKind::Usage);
}
