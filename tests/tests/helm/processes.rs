//! The real program with everything that the chart would start.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bucket::Bucket;
use super::chart::{SETTINGS, find};
use super::pods::{Pod, REGISTRIES, Started};

/// What a node would have, where there are no limits.
const NODE: [(&str, &str); 2] = [("limits.cpu", "8"), ("limits.memory", "17179869184")];

/// The pods of a set, as Kubernetes makes them.
fn pods(documents: &[Value], part: &str, port: u16, bucket: &Bucket) -> Vec<Pod> {
    let set = find(documents, "StatefulSet", &format!("r-cullet-{part}")).unwrap();
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let replicas = if part == "worker" { 1 } else { set["spec"]["replicas"].as_u64().unwrap() };
    let pod = |ordinal| {
        let name = format!("r-cullet-{part}-{ordinal}");
        let variables = variables(container, &name, bucket);
        let expand = |text: &str| {
            let replace =
                |text: String, (name, value): (&String, &String)| text.replace(&format!("$({name})"), value);
            variables.iter().fold(text.to_owned(), replace)
        };
        let arguments = container["args"].as_array().unwrap().iter();
        let arguments = arguments.map(|argument| expand(argument.as_str().unwrap())).collect();
        let host = format!("{name}.{}.default.svc:{port}", set["spec"]["serviceName"].as_str().unwrap());
        let files = if part == "worker" { settings(documents) } else { BTreeMap::new() };
        Pod { host, worker: (part == "worker").then_some(name), arguments, variables, files }
    };
    (0..replicas).map(pod).collect()
}

/// The configuration file of workers, where the chart renders one.
fn settings(documents: &[Value]) -> BTreeMap<String, String> {
    let map = find(documents, "ConfigMap", "r-cullet-registries");
    let text = map.map(|map| map["data"]["config.toml"].as_str().unwrap().to_owned());
    text.map(|text| (format!("{REGISTRIES}settings/config.toml"), text)).into_iter().collect()
}

fn variables(container: &Value, pod: &str, bucket: &Bucket) -> BTreeMap<String, String> {
    let value = |variable: &Value| -> String {
        let name = variable["name"].as_str().unwrap();
        let from = &variable["valueFrom"];
        if let Some(value) = variable["value"].as_str() {
            return if name == "AWS_ENDPOINT_URL" { bucket.url() } else { value.to_owned() };
        }
        if let Some(field) = from["fieldRef"]["fieldPath"].as_str() {
            return if field == "metadata.name" { pod } else { "default" }.to_owned();
        }
        if let Some(resource) = from["resourceFieldRef"]["resource"].as_str() {
            let limit = &container["resources"]["limits"][resource.trim_start_matches("limits.")];
            let limit = limit.as_str().map(bytes);
            let node = NODE.iter().find(|(name, _)| *name == resource).unwrap().1;
            return limit.unwrap_or_else(|| node.to_owned());
        }
        assert!(from["secretKeyRef"]["key"].is_string(), "{variable}");
        "secret".to_owned()
    };
    let variables = container["env"].as_array().unwrap().iter();
    variables.map(|variable| (variable["name"].as_str().unwrap().to_owned(), value(variable))).collect()
}

/// `4Gi` as Kubernetes says it to a container; a number of processors as it is.
fn bytes(limit: &str) -> String {
    match limit.strip_suffix("Gi") {
        Some(number) => (number.parse::<u64>().unwrap() << 30).to_string(),
        None => limit.to_owned(),
    }
}

#[test]
fn the_program_comes_up_with_everything_that_the_chart_renders() {
    let bucket = Bucket::start();
    let mut seen = BTreeSet::new();
    for setting in &SETTINGS {
        let documents = setting.render();
        let mut all = pods(&documents, "coordinator", 7400, &bucket);
        all.extend(pods(&documents, "worker", 7401, &bucket));
        // A bucket that the service account opens: its webhook would add what reaches it.
        if all.iter().any(|pod| pod.arguments.iter().any(|argument| argument.contains("s3://"))) {
            for pod in &mut all {
                for (name, value) in bucket.variables() {
                    pod.variables.entry(name).or_insert(value);
                }
            }
        }
        // Each configuration once.
        if seen.insert(format!("{all:?}")) {
            Started::start(all).comes_up(setting.name);
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
    assert!(bucket.objects() > 0, "nothing came to the bucket");
}
