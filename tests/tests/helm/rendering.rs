//! What the chart renders, and what it refuses to.

use serde_json::{Value, json};

use super::chart::{SETTINGS, find, template};
use super::tools::helm;

fn rendered(name: &str) -> Vec<Value> {
    SETTINGS.iter().find(|setting| setting.name == name).unwrap().render()
}

#[test]
fn the_chart_is_clean() {
    let lint = helm(&["lint", "--strict", "helm/cullet"]);
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
}

#[test]
fn every_setting_is_valid_in_kubernetes() {
    for setting in &SETTINGS {
        let documents = setting.render();
        assert!(documents.len() >= 6, "{}", setting.name);
        for document in &documents {
            let labels = &document["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/instance"], "r", "{}: {document}", setting.name);
        }
    }
}

#[test]
fn wrong_values_are_refused() {
    for (set, words) in [
        ("nonsense=1", "nonsense"),
        ("worker.sandbox.tier=none", "/worker/sandbox/tier"),
        ("coordinator.replicas=2", "/coordinator/replicas"),
        ("coordinator.replicas=three", "/coordinator/replicas"),
        ("coordinator.leaseSeconds=0", "/coordinator/leaseSeconds"),
        ("store.s3.keep=long", "/store/s3/keep"),
        ("store.s3.maxSize=much", "/store/s3/maxSize"),
        ("coordinator.absenceGraceSeconds=86401", "/coordinator/absenceGraceSeconds"),
        ("coordinator.auditShare=2", "/coordinator/auditShare"),
        ("coordinator.limits.liveSteps=10000001", "/coordinator/limits/liveSteps"),
        ("coordinator.limits.liveRuns=0", "/coordinator/limits/liveRuns"),
        ("coordinator.limits.keepSteps=many", "/coordinator/limits/keepSteps"),
        ("coordinator.limits.perTenant.keepSteps=1", "keepSteps"),
        ("coordinator.limits.tenantWeights.a=0", "/coordinator/limits/tenantWeights/a"),
        ("coordinator.limits.tenantWeights.a=1001", "/coordinator/limits/tenantWeights/a"),
        ("coordinator.antiAffinity=maybe", "/coordinator/antiAffinity"),
        ("coordinator.service.port=0", "/coordinator/service/port"),
        ("coordinator.data.size=much", "/coordinator/data/size"),
        ("worker.replicas=-1", "/worker/replicas"),
        ("worker.drainSeconds=never", "/worker/drainSeconds"),
        ("worker.cache.bound=30", "/worker/cache/bound"),
        ("worker.limits.memory=4", "/worker/limits/memory"),
        ("worker.limits.cpu=many", "/worker/limits/cpu"),
        ("worker.limits.memroy=4GiB", "memroy"),
        ("worker.labels.image=x", "propertyName 'image'"),
        ("worker.cachee.size=1Gi", "cachee"),
        ("store.type=s3", "/store/s3/bucket"),
        ("store.type=gcs", "/store/type"),
        ("store.type=s3,store.s3.bucket=b,store.s3.prefix=a/", "/store/s3/prefix"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("worker.sandbox.tier=privileged", "set worker.directStore to false"),
        ("worker.registries.loginsSecret=a,worker.sandbox.tier=plain", "every step could read it"),
        ("worker.registries.login=a", "login"),
        ("worker.registries.proxy=https://proxy", "/worker/registries/proxy"),
        ("worker.registries.settings.a\\.b.mirrors[0]=mirror", "/worker/registries/settings/a.b/mirrors/0"),
        ("worker.registries.settings.a\\.b.plainHttp=maybe", "/worker/registries/settings/a.b/plainHttp"),
        ("worker.registries.settings.a b.plainHttp=true", "propertyName 'a b'"),
        ("worker.cache.volumesBound=5", "/worker/cache/volumesBound"),
        ("worker.extraEnv[0].value=x", "/worker/extraEnv/0"),
        ("worker.secrets.existingSecret=A B", "/worker/secrets/existingSecret"),
        ("worker.secrets.existingSecret=a,worker.sandbox.tier=plain", "every step could read all of it"),
        ("worker.signingKey.existingSecret=a,worker.sandbox.tier=plain", "every step could read the key"),
        ("coordinator.trust.existingSecret=A B", "/coordinator/trust/existingSecret"),
        (
            "worker.autoscaling.enabled=true,worker.autoscaling.minReplicas=9,worker.autoscaling.maxReplicas=3",
            "maxReplicas",
        ),
    ] {
        match template(&[set]) {
            Ok(_) => panic!("{set} is accepted"),
            Err(error) => assert!(error.contains(words), "{set}: {error}"),
        }
    }
}

#[test]
fn a_cluster_can_form_and_keeps_its_majority() {
    let documents = rendered("as it comes");
    let set = find(&documents, "StatefulSet", "r-cullet-coordinator").unwrap();
    let service = find(&documents, "Service", "r-cullet-coordinators").unwrap();
    // One is ready when all have found each other.
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let budget = find(&documents, "PodDisruptionBudget", "r-cullet-coordinator").unwrap();
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let single = rendered("as small as it gets");
    assert_eq!(find(&single, "PodDisruptionBudget", "r-cullet-coordinator"), None);
}

#[test]
fn limits_are_those_of_the_values() {
    let arguments = |setting: &str| {
        let set = find(&rendered(setting), "StatefulSet", "r-cullet-coordinator").unwrap().clone();
        let arguments = set["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap().clone();
        let limits = ["--max-", "--keep-", "--tenant-"];
        let texts = arguments.into_iter().map(|argument| argument.as_str().unwrap().to_owned());
        texts.filter(|text| limits.iter().any(|limit| text.starts_with(limit))).collect::<Vec<_>>()
    };
    let defaults =
        ["--max-live-runs=10000", "--max-live-steps=1000000", "--keep-runs=10000", "--keep-steps=200000"];
    assert_eq!(arguments("as it comes"), defaults);
    let all = [
        "--max-live-runs=500",
        "--max-live-steps=2000000",
        "--keep-runs=0",
        "--keep-steps=3000000",
        "--keep-runs-per-tenant=5",
        "--max-live-runs-per-tenant=50",
        "--max-live-steps-per-tenant=1000000",
        "--tenant-weight=release=3",
        "--tenant-weight=team one=2",
    ];
    assert_eq!(arguments("limits and weights"), all);
    // The program takes them all.
    let mut program = std::process::Command::new(cullet_tests::cullet_binary());
    let answer = program.args(["coordinator", "--help"]).args(all).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}

#[test]
fn secrets_are_where_the_worker_looks_for_them() {
    let documents = rendered("secrets for steps");
    let worker = find(&documents, "StatefulSet", "r-cullet-worker").unwrap();
    let pod = &worker["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--secrets=/secrets")));
    let named =
        |list: &Value| list.as_array().unwrap().iter().find(|one| one["name"] == "secrets").cloned().unwrap();
    let mount = json!({ "name": "secrets", "mountPath": "/secrets", "readOnly": true });
    assert_eq!(named(&pod["containers"][0]["volumeMounts"]), mount);
    assert_eq!(named(&pod["volumes"])["secret"]["secretName"], "ci");
}

#[test]
fn policy_and_keys_are_where_they_are_looked_for() {
    let documents = rendered("who is believed");
    for (set, secret, name, place, argument) in [
        ("coordinator", "ci-trust", "trust", "/trust", "--trust=/trust/trust.toml"),
        ("worker", "ci-signing", "signing", "/signing", "--signing-key=/signing/worker.pem"),
    ] {
        let set = format!("r-cullet-{set}");
        let pod = &find(&documents, "StatefulSet", &set).unwrap()["spec"]["template"]["spec"];
        let named = |list: &Value| list.as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        let container = &pod["containers"][0];
        assert!(container["args"].as_array().unwrap().contains(&json!(argument)), "{container}");
        let mount = json!({ "name": name, "mountPath": place, "readOnly": true });
        assert_eq!(named(&container["volumeMounts"]), Some(mount));
        assert_eq!(named(&pod["volumes"]).unwrap()["secret"]["secretName"], secret);
        // Nothing of it where nobody asks for it: everybody is believed.
        let usual = rendered("as it comes");
        let usual = find(&usual, "StatefulSet", &set).unwrap().to_string();
        assert!(!usual.contains(place) && !usual.contains(argument), "{usual}");
    }
    let coordinator = find(&documents, "StatefulSet", "r-cullet-coordinator").unwrap();
    let arguments = &coordinator["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.as_array().unwrap().contains(&json!("--audit-share=0.01")), "{arguments}");
}

#[test]
fn images_come_from_where_the_values_say() {
    let documents = rendered("images of steps");
    let worker = find(&documents, "StatefulSet", "r-cullet-worker").unwrap();
    let pod = &worker["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let named = |list: &Value, name: &str| {
        list.as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
    };
    let variable = |name: &str| named(&container["env"], name)["value"].as_str().map(str::to_owned);
    // Each variable names a place that is mounted from what the values name.
    for (name, place, volume, source) in [
        ("DOCKER_CONFIG", "/registries/logins", "registry-logins", json!("pull")),
        ("CULLET_REGISTRY_CA", "/registries/authorities/ca.pem", "registry-authorities", json!("company")),
        (
            "CULLET_CONFIG",
            "/registries/settings/config.toml",
            "registry-settings",
            json!("r-cullet-registries"),
        ),
    ] {
        assert_eq!(variable(name).as_deref(), Some(place));
        let mount = named(&container["volumeMounts"], volume);
        assert!(
            place.starts_with(mount["mountPath"].as_str().unwrap()) && mount["readOnly"] == true,
            "{name}"
        );
        let volume = named(&pod["volumes"], volume);
        assert!(
            volume["secret"]["secretName"] == source || volume["configMap"]["name"] == source,
            "{volume}"
        );
    }
    let item = json!([{ "key": ".dockerconfigjson", "path": "config.json" }]);
    assert_eq!(named(&pod["volumes"], "registry-logins")["secret"]["items"], item);
    assert_eq!(variable("CULLET_REGISTRY_PROXY").as_deref(), Some("http://proxy:3128"));
    assert_eq!(variable("NO_COLOR").as_deref(), Some("yes"));
    assert_eq!(named(&container["volumeMounts"], "tools")["mountPath"], "/tools");
    let arguments = container["args"].as_array().unwrap();
    for argument in ["--volumes-size=5GiB", "--volume-size=1 GiB"] {
        assert!(arguments.contains(&json!(argument)), "{arguments:?}");
    }
    let annotations = &worker["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["a"] == "b" && annotations["checksum/registries"].is_string(), "{annotations}");

    // The program takes the file.
    let settings = find(&documents, "ConfigMap", "r-cullet-registries").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, settings["data"]["config.toml"].as_str().unwrap()).unwrap();
    let looked = |file: &std::path::Path| {
        let mut program = std::process::Command::new(cullet_tests::cullet_binary());
        program.args(["cache", "stats"]).env("CULLET_CACHE_DIR", dir.path()).env("CULLET_CONFIG", file);
        program.output().unwrap()
    };
    let answer = looked(&file);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    let mirrors = r#"mirrors = ["https://mirror.example.com","http://mirror:5000"]"#;
    let plain = "[registries.\"registry.lan:5000\"]\nplain-http = true";
    assert!(
        text.contains("[registries.\"docker.io\"]") && text.contains(mirrors) && text.contains(plain),
        "{text}"
    );
    std::fs::write(&file, text.replace("mirrors", "mirror")).unwrap();
    assert!(!looked(&file).status.success());
}

#[test]
fn a_worker_has_the_time_to_drain() {
    for setting in &SETTINGS {
        let documents = setting.render();
        let worker = find(&documents, "StatefulSet", "r-cullet-worker").unwrap();
        let pod = &worker["spec"]["template"]["spec"];
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        let drain = arguments.iter().find_map(|argument| argument.as_str()?.strip_prefix("--drain="));
        let drain: u64 = drain.unwrap().parse().unwrap();
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > drain + 45, "{}", setting.name);
    }
}

#[test]
fn pods_get_what_their_tier_needs_and_no_more() {
    for (name, privileged, seccomp, proc_mount) in [
        ("as it comes", false, json!("Unconfined"), Value::Null),
        ("the full sandbox", false, json!("Unconfined"), json!("Unmasked")),
        ("blobs through coordinators, as root", true, Value::Null, Value::Null),
        ("as small as it gets", false, json!("RuntimeDefault"), Value::Null),
    ] {
        let documents = rendered(name);
        let pod = |part: &str| {
            let set = find(&documents, "StatefulSet", &format!("r-cullet-{part}")).unwrap();
            set["spec"]["template"]["spec"].clone()
        };
        let worker = &pod("worker")["containers"][0]["securityContext"];
        assert_eq!(worker["privileged"] == true, privileged, "{name}");
        assert_eq!(worker["seccompProfile"]["type"], seccomp, "{name}");
        assert_eq!(worker["procMount"], proc_mount, "{name}");
        if !privileged {
            assert_eq!(worker["capabilities"]["drop"], json!(["ALL"]), "{name}");
            assert_eq!(pod("worker")["securityContext"]["runAsNonRoot"], true, "{name}");
        }
        // What Kubernetes demands of a pod with an unmasked /proc.
        assert_eq!(pod("worker")["hostUsers"] == false, proc_mount == "Unmasked", "{name}");
        assert_eq!(pod("coordinator")["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod("coordinator")["automountServiceAccountToken"], false, "{name}");
    }
}
