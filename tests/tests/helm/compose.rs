//! `compose.yaml`.

use std::collections::BTreeMap;

use cullet_tests::repository_root;
use serde_json::Value;

use super::pods::{Pod, Started};
use super::tools::documents;

fn compose() -> Value {
    let text = std::fs::read_to_string(repository_root().join("compose.yaml")).unwrap();
    documents(&text, &[]).unwrap().remove(0)
}

#[test]
fn what_a_service_names_is_there() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for key in service.as_object().unwrap().keys() {
            let known = [
                "build",
                "command",
                "depends_on",
                "image",
                "ports",
                "restart",
                "security_opt",
                "stop_grace_period",
                "volumes",
            ];
            assert!(known.contains(&key.as_str()), "{name}: {key}");
        }
        for volume in service["volumes"].as_array().unwrap() {
            let (volume, place) = volume.as_str().unwrap().split_once(':').unwrap();
            assert!(compose["volumes"].as_object().unwrap().contains_key(volume), "{name}: {volume}");
            assert!(["/data", "/store"].contains(&place), "{name}: {place}");
        }
        for other in service["depends_on"].as_array().into_iter().flatten() {
            assert!(services.contains_key(other.as_str().unwrap()), "{name}: {other}");
        }
        assert_eq!(service["build"], ".");
    }
    assert!(repository_root().join("Dockerfile").exists());
}

#[test]
fn the_program_comes_up_with_it() {
    let compose = compose();
    let pod = |(name, service): (&String, &Value)| {
        let arguments: Vec<String> = serde_json::from_value(service["command"].clone()).unwrap();
        let is_worker = arguments[0] == "worker";
        let host = format!("{name}:{}", if is_worker { 7401 } else { 7400 });
        let variables = BTreeMap::from([("CULLET_CACHE_DIR".to_owned(), "/data".to_owned())]);
        let files = BTreeMap::new();
        Pod { host, worker: is_worker.then(|| name.clone()), arguments, variables, files }
    };
    let pods: Vec<Pod> = compose["services"].as_object().unwrap().iter().map(pod).collect();
    assert_eq!(pods.iter().filter(|pod| pod.worker.is_some()).count(), 2);
    assert_eq!(pods.len(), 5);
    Started::start(pods).comes_up("compose.yaml");
}
