//! Scans a directory and says what it took: `scan DIR [CACHE_DIR [ROUNDS]]`. For benchmarks.

use std::path::PathBuf;
use std::time::Instant;

use cullet_digest::DigestFunction;
use cullet_source::{Scanner, SourceSpec};

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let root = PathBuf::from(arguments.next().ok_or("usage: scan DIR [CACHE_DIR [ROUNDS]]")?);
    let scanner = Scanner::new(DigestFunction::Blake3, arguments.next().map(PathBuf::from));
    let rounds = arguments.next().and_then(|rounds| rounds.to_str()?.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        let start = Instant::now();
        let tree = scanner.scan(&SourceSpec::new(&root))?;
        println!("{} {:?} {:?}", tree.root(), start.elapsed(), tree.stats());
        for warning in tree.warnings() {
            println!("warning: {warning}");
        }
    }
    Ok(())
}
