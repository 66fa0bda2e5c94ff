//! The launcher by itself: what `cullet` becomes when the sandbox starts it again.

fn main() {
    cullet_worker::sandbox::launcher_main()
}
