//! The usual three lines of a Dockerfile with a real package manager: install, build, test.

use std::path::Path;

use cullet_tests::{Checkout, User};

use super::guest::Guest;
use super::support::{expect, shell, skip};

/// The machine's `dpkg` with what it needs, as an image with one layer; and a package.
const MAKE: &str = r#"
umask 022
mkdir -p tree/usr/bin tree/usr/sbin tree/usr/lib tree/usr/lib64 tree/etc tree/opt tree/var/log tree/var/tmp
for name in bin sbin lib lib64; do ln -s usr/$name tree/$name; done
mkdir -p tree/var/lib/dpkg/info tree/var/lib/dpkg/updates tree/var/lib/dpkg/triggers
: > tree/var/lib/dpkg/status; echo 1 > tree/var/lib/dpkg/info/format
printf 'root:x:0:0::/root:/bin/sh\n' > tree/etc/passwd; printf 'root:x:0:\n' > tree/etc/group
for program in sh dpkg dpkg-deb dpkg-split tar rm cat chmod mkdir grep test diff ldconfig start-stop-daemon; do
    path=$(PATH=$PATH:/sbin:/usr/sbin command -v $program || true)
    case $path in /*) ;; *) path=/usr/bin/$program ;; esac
    cp -L $path tree/usr/bin/$program
    ldd $path 2> /dev/null | grep -o '/[^ ]*' | while read -r library; do
        case $library in */ld-linux*) to=tree/usr/lib64 ;; *) to=tree/usr/lib ;; esac
        cp -L $library $to/
    done
done
mkdir -p package/DEBIAN package/usr/bin
printf 'Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: says hello\n' \
    > package/DEBIAN/control
printf '#!/bin/sh\necho configured > /etc/hello.conf\n' > package/DEBIAN/postinst
printf '#!/bin/sh\ncat /etc/hello.conf\n' > package/usr/bin/hello
chmod 755 package/DEBIAN/postinst package/usr/bin/hello
dpkg-deb --root-owner-group --build package hello.deb > /dev/null
blob() { hex=$(sha256sum "$1" | cut -c 1-64); mv "$1" base/blobs/sha256/$hex; }
mkdir -p base/blobs/sha256
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c -C tree . > layer
size=$(stat -c %s layer); blob layer; layer=$hex
printf '{"os":"linux","architecture":"%s","config":{"Env":["PATH=/usr/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "$layer" > config
config_size=$(stat -c %s config); blob config; config=$hex
media=application/vnd.oci.image
printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"%s.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
    $media $media $config $config_size $media $layer $size > manifest
manifest_size=$(stat -c %s manifest); blob manifest
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json","digest":"sha256:%s","size":%s}]}' \
    $media $hex $manifest_size > base/index.json
echo '{"imageLayoutVersion":"1.0.0"}' > base/oci-layout
rm -r tree package
echo 1 > number
"#;

/// Its log has times in it, which would be another root each time.
const PIPELINE: &str = "cullet: 1
name: packages
sources: { packages: { path: ., include: [/hello.deb] }, number: { path: ., include: [/number] } }
steps:
  install:
    image: 'oci-layout:base'
    inputs: { .: packages }
    run: dpkg --log=/dev/null -i hello.deb
  build:
    from: install
    inputs: { .: number }
    run: mkdir /opt/app; hello > /opt/app/greeting; cat number >> /opt/app/greeting
  test:
    from: build
    run: grep -q configured /opt/app/greeting; grep -q 'install ok installed' /var/lib/dpkg/status
";

fn prepare(dir: &Path) {
    shell(dir, MAKE);
}

#[test]
fn packages_are_installed_once() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    prepare(checkout.path());
    let first = user.run(&checkout);
    first.assert_success();
    assert_eq!(first.executed().len(), 3);
    assert_eq!(user.run(&checkout).executed(), [""; 0]);
    checkout.edit("cullet.yaml", "grep -q configured /opt", "grep configured /opt");
    let changed = user.run(&checkout);
    changed.assert_success();
    assert_eq!(changed.executed(), ["test"]);
    checkout.write("number", "2\n");
    let built = user.run(&checkout);
    built.assert_success();
    assert_eq!(built.executed(), ["build", "test"]);
    // A package that is installed in the same way again is the same root.
    checkout.edit("cullet.yaml", "-i hello.deb", "--install hello.deb");
    let installed = user.run(&checkout);
    installed.assert_success();
    assert_eq!(installed.executed(), ["install"]);
}

#[test]
fn a_user_without_rights_installs_them_as_well() {
    let Some(guest) = Guest::arrive(PIPELINE) else { return skip("only root can become somebody else") };
    prepare(&guest.project());
    shell(&guest.project(), "chown -R 65532:65532 .");
    expect(&guest.cullet(&["run"]), 0, &["3 executed"]);
    expect(&guest.cullet(&["run"]), 0, &["0 executed", "3 cached"]);
    shell(&guest.project(), "sed -i 's/grep -q configured/grep configured/' cullet.yaml");
    expect(&guest.cullet(&["run"]), 0, &["1 executed", "2 cached"]);
}
