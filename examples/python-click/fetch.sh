#!/bin/sh
# Puts click's unmodified source, with its tests, into src/, and the wheels that building and testing it need
# into src/wheels/. pip does the fetching, from whatever index or mirror it is configured to use.
set -eu
cd "$(dirname "$0")"
[ ! -e src ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$work" click==8.3.1
mkdir "$work/tree"
tar -xf "$work"/click-*.tar.gz -C "$work/tree" --strip-components=1 --no-same-owner
python3 -m pip download --quiet --only-binary :all: --dest "$work/tree/wheels" \
    'flit_core<4' pyflakes==3.4.0 pytest==8.4.2
mv "$work/tree" src
