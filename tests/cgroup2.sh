#!/bin/sh
# Runs the worker's tests of limits on a machine that has cgroups of version 2 and quotas of projects: a Debian kernel in QEMU,
# with this machine's files, read-only, as its own. Takes about two minutes where QEMU has to emulate the processor, and root.
#
#     sh tests/cgroup2.sh [DIR]
#
# DIR (target/cgroup2) keeps the kernel. Needs qemu-system-x86 busybox-static cpio kmod e2fsprogs, and apt for the kernel.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-target/cgroup2}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

for program in qemu-system-x86_64 busybox cpio depmod mkfs.ext4 dpkg-deb; do
    command -v "$program" > /dev/null || { echo "cannot find $program: see the head of $0" >&2; exit 3; }
done

# The kernel of the distribution, which is unpacked and not installed.
if ! ls "$dir"/kernel/boot/vmlinuz-* > /dev/null 2>&1; then
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p' | head -n 1)
    (cd "$dir" && apt-get download "$package" > /dev/null)
    rm -rf "$dir/kernel.new"
    dpkg-deb -x "$dir/$package"_*.deb "$dir/kernel.new"
    mv "$dir/kernel.new" "$dir/kernel"
fi
kernel=$(echo "$dir"/kernel/boot/vmlinuz-*)
version=${kernel##*/vmlinuz-}
depmod -b "$dir/kernel" "$version"

# A first root directory with what it takes to reach this machine's.
rm -rf "$dir/first"
mkdir -p "$dir/first/bin" "$dir/first/proc" "$dir/first/sys" "$dir/first/dev" "$dir/first/root"
cp "$(command -v busybox)" "$dir/first/bin/busybox"
modules="virtio_pci virtio_blk 9p 9pnet_virtio crc32c_generic ext4 overlay quota_v2"
from="$dir/kernel/lib/modules/$version"
to="$dir/first/lib/modules/$version"
for module in $modules; do
    for file in $(grep "/$module.ko:" "$from/modules.dep" | tr -d :); do
        mkdir -p "$to/${file%/*}"
        cp "$from/$file" "$to/$file"
    done
done
cp "$from/modules.dep" "$to/"
cat > "$dir/first/init" << END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
for module in $modules; do /bin/busybox modprobe \$module; done
/bin/busybox umount /proc
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /root || exec /bin/busybox poweroff -f
exec /bin/busybox switch_root /root /bin/sh $dir/inside.sh
END
chmod +x "$dir/first/init"
(cd "$dir/first" && find . | cpio -o -H newc --quiet) > "$dir/first.cpio"
rm -f "$dir/disk"
truncate -s 1G "$dir/disk"
mkfs.ext4 -q -F -O quota,project -E quotatype=usrquota:grpquota:prjquota "$dir/disk"

# What is run there: in the first group of the machine, and as an ordinary user in a group that was handed to it.
cargo test -p cullet-worker --no-run --test sandbox_limits 2> "$dir/build.log" || { cat "$dir/build.log" >&2; exit 1; }
test=$(sed -n 's/.*Executable.*sandbox_limits.*(\(.*\))$/\1/p' "$dir/build.log" | tail -n 1)
case $test in /*) ;; *) test="$PWD/$test" ;; esac
launcher="${test%/deps/*}/cullet-launcher"
cat > "$dir/inside.sh" << END
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o prjquota /dev/vda /tmp
chmod 1777 /tmp
ip link set lo up
ok=yes
run() {
    echo "== \$*"
    "\$@" || { ok=no; echo "== FAILED"; }
}
export CULLET_TEST_CGROUPS=2 CULLET_TEST_QUOTA=1
cat /sys/fs/cgroup/cgroup.controllers
run $test --test-threads 1 memory processor quota took
mkdir /sys/fs/cgroup/box
chown -R 54321:54321 /sys/fs/cgroup/box
export CULLET_TEST_LAUNCHER=$launcher
run sh -c 'echo \$\$ > /sys/fs/cgroup/box/cgroup.procs; exec setpriv --reuid=54321 --regid=54321 --clear-groups $test --test-threads 1 memory processor took'
find /sys/fs/cgroup -name "cullet.*"
echo "== ALL \$ok"
sync
poweroff -f || echo o > /proc/sysrq-trigger
END

accel="tcg,thread=multi"
[ "${KVM:-}" = 1 ] && accel=kvm
timeout 900 qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m 2048 -display none -no-reboot -serial stdio \
    -kernel "$kernel" -initrd "$dir/first.cpio" -append "console=ttyS0 quiet panic=-1 loglevel=3" \
    -drive "file=$dir/disk,format=raw,if=virtio,cache=unsafe" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    < /dev/null | tee "$dir/log"
grep -q '^== ALL yes' "$dir/log"
