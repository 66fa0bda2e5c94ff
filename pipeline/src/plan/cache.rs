//! Cache volumes.

/// A mutable volume that a step finds in its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheVolume {
    /// Absolute, normalised; nothing of the sandbox's own is at it or below it.
    pub path: String,
    /// The name of the volume, unique among those of the pipeline's name.
    pub volume: String,
    /// Whether one attempt at a time has it, instead of the last to succeed having its way.
    pub locked: bool,
    /// Whether other machines have it too, by way of the shared cache.
    pub travels: bool,
}

impl CacheVolume {
    /// Whose a volume that travels is, besides its name and the machine's architecture: the same for all machines, on clusters
    /// and off them. No name has a character in it that tells the two apart.
    pub fn travels_as(&self, tenant: &str, pipeline: &str) -> Option<String> {
        self.travels.then(|| format!("{tenant}\0{pipeline}"))
    }
}
