#!/bin/sh
# Puts zlib's unmodified source into src/, by its Debian package name. The system's own apt configuration is
# only read: package lists and settings live in a temporary directory, so no root is needed.
set -eu
cd "$(dirname "$0")"
[ ! -e src ] || exit 0
command -v apt-get >/dev/null || {
    echo "fetch.sh needs apt-get; elsewhere, unpack any zlib release into $PWD/src" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The system's package sources once more, as sources of source code.
mkdir -p "$work/parts" "$work/lists/partial" "$work/cache/archives/partial"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$list" ] || sed -n 's/^deb /deb-src /p' "$list"
done > "$work/sources.list"
for list in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" > "$work/parts/$(basename "$list")"
done
cat > "$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/parts";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "";
CONF

export APT_CONFIG="$work/apt.conf"
cd "$work"
apt-get -q update
apt-get -q source --download-only zlib
mkdir tree
tar -xf zlib_*.orig.tar.* -C tree --strip-components=1 --no-same-owner
cd "$OLDPWD"
mv "$work/tree" src
