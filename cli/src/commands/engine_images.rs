//! Images that a cache has put into a Docker engine, for `cullet cache gc` and `cullet cache clear`.

use super::machine;
use crate::config::Config;
use crate::images::{has_engine_images, remove_engine_images};

/// Removes them, or as many as are over a bound; what there is to say of that. Nothing where there never were any: no engine
/// is asked then.
pub(super) fn remove(config: &Config, bound: Option<u64>) -> String {
    let dir = config.images_dir();
    if !has_engine_images(&dir) {
        return String::new();
    }
    let removed = machine::engine(config).map_err(|error| error.to_string()).and_then(|engine| {
        let count = remove_engine_images(&engine, &dir, bound)?;
        Ok((count, engine.address().to_string()))
    });
    match removed {
        Ok((0, _)) => String::new(),
        Ok((1, address)) => format!("removed 1 image from the Docker engine at {address}\n"),
        Ok((count, address)) => format!("removed {count} images from the Docker engine at {address}\n"),
        Err(why) => format!("images of this cache in a Docker engine stay there: {why}\n"),
    }
}
