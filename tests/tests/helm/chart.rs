//! Rendering the chart.

use serde_json::Value;

use super::tools::{documents, helm};

/// Kubernetes from the oldest to the newest that the chart is for.
const VERSIONS: [&str; 2] = ["1.31.0", "1.34.1"];

/// One way to set the values: a name for messages, and arguments.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    sets: &'static [&'static str],
}

/// Every branch of every template is in one of them.
pub(crate) const SETTINGS: [Setting; 13] = [
    Setting { name: "as it comes", sets: &[] },
    Setting {
        name: "a bucket with a secret",
        sets: &[
            "store.type=s3,store.s3.bucket=b,store.s3.prefix=team/ci,store.s3.region=eu-central-1",
            "store.s3.endpoint=http://objects:9000,store.s3.existingSecret=keys",
        ],
    },
    Setting {
        name: "a bucket that the service account opens",
        sets: &[
            "store.type=s3,store.s3.bucket=b,worker.sandbox.tier=privileged",
            "serviceAccount.annotations.role=ci",
        ],
    },
    Setting {
        name: "as small as it gets",
        sets: &[
            "coordinator.replicas=1,coordinator.antiAffinity=soft,worker.replicas=1,worker.sandbox.tier=plain",
            "worker.cache.persistent=false,networkPolicy.enabled=false,store.directory.existingClaim=mine",
        ],
    },
    Setting { name: "the full sandbox", sets: &["worker.sandbox.tier=full"] },
    Setting {
        name: "blobs through coordinators, as root",
        sets: &["worker.directStore=false,worker.sandbox.tier=privileged"],
    },
    Setting {
        name: "growing and shrinking",
        sets: &["worker.autoscaling.enabled=true,worker.autoscaling.metricLabels.cluster=ci"],
    },
    Setting {
        name: "five coordinators with storage classes and labels",
        sets: &[
            "coordinator.replicas=5,coordinator.data.storageClassName=fast,worker.cache.storageClassName=fast",
            "store.directory.storageClassName=shared,worker.labels.gpu=none,worker.labels.zone=a b",
            "coordinator.service.type=LoadBalancer,coordinator.service.annotations.x=y",
        ],
    },
    Setting {
        name: "images of steps",
        sets: &[
            "worker.registries.loginsSecret=pull,worker.registries.authoritiesConfigMap=company",
            "worker.registries.proxy=http://proxy:3128,worker.cache.volumesBound=5GiB,worker.cache.volumeBound=1 GiB",
            "worker.registries.settings.docker\\.io.mirrors[0]=https://mirror.example.com",
            "worker.registries.settings.docker\\.io.mirrors[1]=http://mirror:5000",
            "worker.registries.settings.registry\\.lan:5000.plainHttp=true",
            "worker.extraEnv[0].name=NO_COLOR,worker.extraEnv[0].value=yes",
            "worker.extraVolumes[0].name=tools,worker.extraVolumes[0].emptyDir.medium=Memory",
            "worker.extraVolumeMounts[0].name=tools,worker.extraVolumeMounts[0].mountPath=/tools",
            "worker.podAnnotations.a=b",
        ],
    },
    Setting { name: "secrets for steps", sets: &["worker.secrets.existingSecret=ci"] },
    Setting {
        name: "who is believed",
        sets: &[
            "coordinator.trust.existingSecret=ci-trust,worker.signingKey.existingSecret=ci-signing",
            "coordinator.auditShare=0.01",
        ],
    },
    Setting {
        name: "limits and weights",
        sets: &[
            "coordinator.limits.liveRuns=500,coordinator.limits.liveSteps=2000000,coordinator.limits.keepRuns=0",
            "coordinator.limits.keepSteps=3000000,coordinator.limits.perTenant.liveRuns=50",
            "coordinator.limits.perTenant.liveSteps=1000000,coordinator.limits.perTenant.keepRuns=5",
            "coordinator.limits.tenantWeights.release=3,coordinator.limits.tenantWeights.team one=2",
            "worker.limits.memory=4GiB,worker.limits.cpu=1.5,worker.limits.processes=500,worker.limits.disk=10GiB",
        ],
    },
    Setting {
        name: "where and how pods run",
        sets: &[
            "coordinator.nodeSelector.disk=ssd,worker.nodeSelector.kind=ci,coordinator.podAnnotations.a=b",
            "worker.podAnnotations.a=b,coordinator.priorityClassName=high,worker.priorityClassName=low",
            "coordinator.tolerations[0].key=ci,coordinator.tolerations[0].operator=Exists",
            "worker.tolerations[0].key=ci,worker.tolerations[0].operator=Exists",
            "image.pullSecrets[0]=registry,worker.image.repository=ci/tools,worker.image.tag=v3,image.tag=v2",
            "networkPolicy.clients[0].ipBlock.cidr=10.0.0.0/8,serviceAccount.existingName=somebody",
            "worker.resources.limits=null,coordinator.resources.limits=null",
        ],
    },
];

impl Setting {
    /// Its documents, valid in every version that the chart is for.
    pub(crate) fn render(&self) -> Vec<Value> {
        let rendered = template(self.sets).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        documents(&rendered, &VERSIONS).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// What the chart gives with these values, or why it gives nothing.
pub(crate) fn template(sets: &[&str]) -> Result<String, String> {
    let mut arguments = vec!["template", "r", "helm/cullet"];
    sets.iter().for_each(|set| arguments.extend(["--set", *set]));
    let output = helm(&arguments);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The document of this kind and name.
pub(crate) fn find<'a>(documents: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    documents.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name)
}
