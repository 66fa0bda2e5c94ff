//! Images from directories, archives and registries, into a store and back: what only the public interface shows.

mod archives;
mod faults;
mod layouts;
mod made;
mod real;
mod stores;
mod stub;
