//! Who runs the examples, and where.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cullet_tests::{Checkout, Outcome, User, within};

use super::engine::Engine;
use super::guest::Guest;
use super::support::{shell, skip};

/// A place where steps run in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    SandboxOfRoot,
    SandboxOfUser,
    Docker,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::SandboxOfRoot, Self::SandboxOfUser, Self::Docker];
}

/// Several times what a run takes on a busy machine.
const LIMIT: [&str; 2] = ["--kill-after=30", "900"];

/// Each place's user, with a cache of their own.
pub(crate) struct People {
    root: User,
    docker: User,
    engine: Arc<Engine>,
    guest: Guest,
}

impl People {
    /// None where somebody is missing, which is said.
    pub(crate) fn gather() -> Option<Self> {
        let engine = Engine::shared()?;
        let Some(guest) = Guest::arrive("cullet: 1\n") else {
            skip("only root can become somebody else");
            return None;
        };
        Some(Self { root: User::new(), docker: User::new(), engine, guest })
    }

    /// Gives everybody the project, and says where it is for each.
    pub(crate) fn bring(&self, checkout: &Checkout) -> impl Fn(Place) -> PathBuf {
        let (theirs, here) = (self.guest.project(), checkout.path().to_owned());
        let copy = format!("rm -rf ./* && cp -R {}/. . && chown -R --reference=. .", here.display());
        shell(&theirs, &copy);
        move |place| if place == Place::SandboxOfUser { theirs.clone() } else { here.clone() }
    }

    /// Runs the project's pipeline in an image.
    pub(crate) fn run(&self, place: Place, project: &Path, image: &str, output: &str) -> Outcome {
        let image = format!("image={image}");
        let arguments = ["run", "--progress", "json", "--param", &image, "--output", output];
        let executor = if place == Place::Docker { "docker" } else { "sandbox" };
        let arguments = arguments.into_iter().chain(["--executor", executor]);
        let mut command = match place {
            Place::SandboxOfRoot => within("timeout", LIMIT, &self.root.command(project, arguments)),
            Place::Docker => within("timeout", LIMIT, &self.docker.command(project, arguments)),
            Place::SandboxOfUser => {
                let mut command = self.guest.command("timeout");
                command.args(LIMIT).arg(self.guest.path("cullet")).args(arguments);
                command
            }
        };
        Outcome::of(&command.env("DOCKER_HOST", self.engine.host()).output().unwrap())
    }
}
