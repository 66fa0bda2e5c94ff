//! Actions of clients of the Remote Execution API: what their platform properties mean here.

use std::time::Duration;

use crate::Action;
use crate::action::{ENVIRONMENT, ROOT_LAYERS};

/// The image that an action runs in, as most clients name it.
const CONTAINER_IMAGE: &str = "container-image";

/// What may stand in front of the reference.
const DOCKER: &str = "docker://";

/// What says that an action runs in no image.
const NO_IMAGE: &str = "none";

/// How long an action may take that does not say it.
pub const USUAL_TIMEOUT: Duration = Duration::from_secs(3600);

impl Action {
    /// Whether a client of the Remote Execution API made it: what it declares as an output may be missing, may be a link and may
    /// point anywhere, and directories that lead to outputs are there when it begins.
    pub fn is_remote(&self) -> bool {
        self.property(ENVIRONMENT).is_none()
    }

    /// The reference of the image that a client named; none where it named none.
    pub fn container_image(&self) -> Option<&str> {
        let named = self.property(CONTAINER_IMAGE)?;
        let reference = named.strip_prefix(DOCKER).unwrap_or(named);
        (!reference.is_empty() && reference != NO_IMAGE).then_some(reference)
    }

    /// After how long it is stopped.
    pub fn stopped_after(&self) -> Duration {
        if self.timeout.is_zero() { USUAL_TIMEOUT } else { self.timeout }
    }

    /// The first platform property with which it would get what only pipelines may ask for: secrets, services, layers of a root.
    pub fn reserved_property(&self) -> Option<&str> {
        let reserved = |name: &str| name.starts_with("secret") || name == "services" || name == ROOT_LAYERS;
        self.platform.iter().map(|(name, _)| name.as_str()).find(|name| reserved(name))
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;
    use cullet_proto::reapi;
    use prost::Message as _;

    use super::*;
    use crate::OutputPath;

    fn decoded(command: &reapi::Command, platform: &[(&str, &str)]) -> Action {
        let function = DigestFunction::Sha256;
        let command = command.encode_to_vec();
        let property = |(name, value): &(&str, &str)| reapi::Property {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let properties: Vec<_> = platform.iter().map(property).collect();
        let digest = |bytes: &[u8]| Some(crate::action::to_wire(&function.digest(bytes)));
        let action = reapi::Action {
            command_digest: digest(&command),
            input_root_digest: digest(b""),
            platform: (!properties.is_empty()).then_some(reapi::Platform { properties }),
            ..Default::default()
        };
        Action::decode(function, &action.encode_to_vec(), &command).unwrap()
    }

    #[test]
    fn outputs_of_clients_of_every_version_may_be_missing() {
        let paths = |action: Action| {
            let path = |OutputPath { path, globs, optional }: OutputPath| {
                assert!(optional && !globs);
                path
            };
            action.outputs.into_iter().map(path).collect::<Vec<_>>()
        };
        let [file, directory, path] = ["f", "d", "p"].map(|name| vec![name.to_owned()]);
        let old = reapi::Command { output_files: file, output_directories: directory, ..Default::default() };
        assert_eq!(paths(decoded(&old, &[])), ["f", "d"]);
        let new = reapi::Command { output_paths: path, ..old };
        assert_eq!(paths(decoded(&new, &[])), ["p"]);
    }

    #[test]
    fn the_platform_of_the_command_counts_where_the_action_has_none() {
        let properties = vec![reapi::Property { name: "Pool".to_owned(), value: "old".to_owned() }];
        let command = reapi::Command { platform: Some(reapi::Platform { properties }), ..Default::default() };
        assert_eq!(decoded(&command, &[]).property("Pool"), Some("old"));
        assert_eq!(decoded(&command, &[("Pool", "new")]).property("Pool"), Some("new"));
    }

    #[test]
    fn images_of_clients_are_known_by_their_digests() {
        let image = |value: &str| decoded(&Default::default(), &[("container-image", value)]);
        let digest = format!("sha256:{}", "0".repeat(64));
        let named = image(&format!("docker://example.org/x@{digest}"));
        assert_eq!(named.container_image(), Some(&*format!("example.org/x@{digest}")));
        assert_eq!(named.image(), Some(&*digest));
        assert_eq!(image("docker://example.org/x:1").image(), None);
        assert_eq!(image("none").container_image(), None);
        assert_eq!(image("").container_image(), None);
    }

    #[test]
    fn what_only_pipelines_may_ask_for_is_seen() {
        let reserved = |name: &str| {
            let action = decoded(&Default::default(), &[("Pool", "a"), (name, "x")]);
            action.reserved_property().map(str::to_owned)
        };
        for name in ["secret", "secret-in-env", "services", "rootLayers"] {
            assert_eq!(reserved(name).as_deref(), Some(name));
        }
        assert_eq!(reserved("container-image"), None);
    }
}
