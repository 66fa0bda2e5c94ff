#!/bin/sh
# Puts the csv crate's unmodified source into src/ and everything its build and tests need into src/vendor/.
# cargo does the fetching, from whatever registry or mirror it is configured to use.
set -eu
cd "$(dirname "$0")"
[ ! -e src ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A throw-away package whose only dependency is the crate: vendoring it unpacks the crate.
mkdir -p "$work/probe/src"
cat > "$work/probe/Cargo.toml" <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"
[dependencies]
csv = "=1.4.0"
TOML
: > "$work/probe/src/lib.rs"
(cd "$work/probe" && cargo vendor --quiet > /dev/null)
mv "$work/probe/vendor/csv" "$work/tree"
rm "$work/tree/.cargo-checksum.json"

# Then the crate's own dependencies, those of its tests included, as its lock file names them.
(cd "$work/tree" && cargo vendor --quiet --locked > /dev/null)
mv "$work/tree" src
