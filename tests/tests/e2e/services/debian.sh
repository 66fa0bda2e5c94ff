#!/bin/sh
# Makes a root directory with PostgreSQL, Redis and their clients, of Debian's packages: of those that are installed here,
# and of those that are missing, which are downloaded and not installed.
#
#   debian.sh TREE DOWNLOADS
set -eu
tree=$1
downloads=$2

mkdir -p "$tree" "$downloads/root"
cd "$downloads"
missing() {
    apt-get -qq --print-uris --no-install-recommends install postgresql redis-server redis-tools
}
# The lists of packages may be empty, as in containers.
uris=$(missing 2> /dev/null) || { apt-get -qq update && uris=$(missing); }
packages=$(printf '%s\n' "$uris" | sed -n "s/^'[^']*' \([^_ ]*\)_.*/\1/p")
# What serves nobody here: the compiler of queries is the largest of all, and loaded by those who want it.
packages=$(printf '%s\n' "$packages" | grep -v '^libllvm' || true)
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086
    apt-get -qq download $packages
    for package in *.deb; do
        dpkg -x "$package" root
    done
fi

# A file as it is here, or in what was downloaded.
find_file() {
    for candidate in "$downloads/root$1" "$1"; do
        if [ -e "$candidate" ]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "there is no $1" >&2
    return 1
}
triplet=$(basename "$(dirname "$(ldconfig -p | sed -n 's/.* => \(.*\/libc\.so\.6\)$/\1/p' | head -n 1)")")
libraries=$downloads/root/usr/lib/$triplet:$downloads/root/lib/$triplet
copy() {
    mkdir -p "$tree$(dirname "$2")"
    cp -rL "$1" "$tree$2"
}
# A program, with the libraries that it is linked to.
program() {
    file=$(find_file "$1")
    copy "$file" "${2:-$1}"
    LD_LIBRARY_PATH=$libraries ldd "$file" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\).*/\1/p' |
        while read -r library; do
            place=${library#"$downloads/root"}
            [ -e "$tree$place" ] || copy "$library" "$place"
        done
}

bin=$(dirname "$(find_file "$(cd / && ls -d "$downloads"/root/usr/lib/postgresql/*/bin/postgres /usr/lib/postgresql/*/bin/postgres 2> /dev/null | head -n 1 | sed "s|^$downloads/root||")")")
bin=${bin#"$downloads/root"}
version=$(basename "$(dirname "$bin")")
for name in postgres initdb psql pg_isready; do
    program "$bin/$name"
done
for library in plpgsql dict_snowball; do
    program "/usr/lib/postgresql/$version/lib/$library.so"
done
copy "$(find_file "/usr/share/postgresql/$version")" "/usr/share/postgresql/$version"
for file in /usr/share/zoneinfo/Etc /usr/share/zoneinfo/UTC; do
    [ ! -e "$file" ] || copy "$file" "$file"
done
program /usr/bin/redis-check-rdb /usr/bin/redis-server
program /usr/bin/redis-cli

mkdir -p "$tree/bin" "$tree/etc" "$tree/var/lib/postgresql"
chmod 1777 "$tree/var/lib/postgresql"
cp /bin/busybox "$tree/bin/busybox"
for name in sh cat echo grep id ls mkdir sleep test true seq; do
    ln -s busybox "$tree/bin/$name"
done
printf '%s\n' root:x:0:0::/root:/bin/sh postgres:x:70:70::/var/lib/postgresql:/bin/sh redis:x:71:71::/:/bin/sh > "$tree/etc/passwd"
printf '%s\n' root:x:0: postgres:x:70: redis:x:71: > "$tree/etc/group"
# What the image of PostgreSQL starts.
cat > "$tree/bin/entrypoint" << SCRIPT
#!/bin/sh
set -eu
initdb --no-sync --username=postgres --auth=trust --locale=C --encoding=UTF8 > /dev/null
exec "\$@"
SCRIPT
chmod 755 "$tree/bin/entrypoint"
ln -s "$bin" "$tree/postgresql"
