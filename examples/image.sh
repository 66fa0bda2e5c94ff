#!/bin/sh
# Makes an image of Debian packages that has what the examples need, and puts it where skopeo(1) can: into a registry
# (docker://HOST/NAME:TAG) or a directory (oci:DIR:TAG). Needs root, debootstrap and skopeo. Packages come from where the
# machine's own come from, if that is a mirror of Debian, or from MIRROR; SUITE is the release.
#
#     sh examples/image.sh docker://127.0.0.1:5000/ci/debian:1
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
destination=$1
suite=${SUITE:-trixie}
sources() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null | grep -v '^ *#'
}
mirror=${MIRROR:-$(sources | grep -o 'https\{0,1\}://[^ ]*/debian\(/\| \|$\)' | head -n 1 | tr -d ' ')}
mirror=${mirror:-http://deb.debian.org/debian}
packages=ca-certificates,gcc,libc6-dev,make,zlib1g-dev,python3,rustc,cargo,rustfmt,rust-clippy

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
attempt=1
# Mirrors fail for a moment, and a few hundred packages are fetched.
until debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" "$mirror" > "$work/log" 2>&1; do
    tail -20 "$work/log" >&2
    [ $attempt -lt 3 ] || exit 1
    attempt=$((attempt + 1))
    rm -rf --one-file-system "$work/root"
    sleep 10
done
# What differs each time, and what no step looks at.
rm -rf "$work"/root/var/lib/apt/lists/* "$work"/root/var/cache/apt/* "$work"/root/var/log/* \
    "$work"/root/var/cache/ldconfig/* "$work"/root/usr/share/doc/* "$work"/root/usr/share/man/*
: > "$work/root/etc/machine-id"
: > "$work/root/etc/resolv.conf"
tar --sort=name --numeric-owner --mtime=@0 --one-file-system -C "$work/root" -cf "$work/root.tar" .
rm -rf "$work/root"
# A registry of this machine has no certificate.
skopeo --insecure-policy copy --quiet --dest-tls-verify=false "tarball:$work/root.tar" "$destination"
