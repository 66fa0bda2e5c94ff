#!/bin/sh
# Puts Azurite, a server that stands for Azure Blob Storage in tests, into DIR. What is there stays.
#
#     sh cache/azurite.sh DIR
set -eu
dir=$1

if [ ! -d "$dir/node_modules/azurite" ]; then
    rm -rf "$dir.new"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir.new" azurite@3.35.0
    rm -rf "$dir"
    mv "$dir.new" "$dir"
fi
