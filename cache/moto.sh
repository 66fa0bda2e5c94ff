#!/bin/sh
# Puts moto, a server that stands for S3 in tests, into DIR. What is there stays.
#
#     sh cache/moto.sh DIR
set -eu
dir=$1

if [ ! -d "$dir/moto" ]; then
    rm -rf "$dir.new"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target "$dir.new" \
        'moto[s3]==5.1.15' flask==3.1.3 flask-cors==6.0.5
    rm -rf "$dir"
    mv "$dir.new" "$dir"
fi
