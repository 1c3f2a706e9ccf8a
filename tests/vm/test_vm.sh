#!/usr/bin/env bash
# Boots stock Debian kernels in small emulated machines of two CPUs and runs tests there: what the
# kernel of this machine need not be, 6.1 and 6.12 with pure cgroup v2, and what nobody does to it,
# CPUs that go, come back and are added. The machine has no disk and no network, but an initramfs of
# this machine's programs and of what is tested, at the paths that they have here. It is emulated
# (no KVM): times mean nothing in it. By hand: tests/vm/test_vm.sh build
# usage: test_vm.sh BUILD-DIR [KERNEL-PACKAGE...]
# The kernels' packages are downloaded into BUILD-DIR/vm, not installed; what the machines wrote on
# their consoles is there too. Exit 77: skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=$PWD build=$(realpath "$1")
shift
skip() { echo "SKIP: $*"; exit 77; }

# Packages that name the newest kernel of a series, and what runs on it. Loading the eBPF programs
# takes ten seconds there, and half of it on 6.12: so not all of tests/kernel, which loads them for
# each of its tests.
declare -A tests=(
    [linux-image-cloud-amd64]='tests/test_cpus vm/test_cpus.py e2e/test_containers.sh'
    [linux-image-6.12-cloud-amd64]='tests/test_cpus vm/test_cpus.py e2e/test_containers.sh tests/kernel/test_kernel_calls tests/kernel/test_kernel_paths'
)

[ "$(uname -m)" = x86_64 ] || skip 'the emulated machine is an x86_64'
for program in qemu-system-x86_64 busybox runc apt-get; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The kernel of a package: prints its path, or why there is none.
kernel_get() {
    local package kernel
    package=$(apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
    [ "$package" ] || { echo "the package lists have no $1"; return 1; }
    kernel=vmlinuz-${package#linux-image-}
    # What is there already and is whole is not downloaded again.
    apt-get download -qq "$package" 2>"$work/apt" || { echo "$package: $(tail -1 "$work/apt")"; return 1; }
    [ -e "$kernel" ] || {
        dpkg-deb --fsys-tarfile "${package}_"*.deb | tar -xO "./boot/$kernel" >"$kernel.new" && mv "$kernel.new" "$kernel"
    } || { echo "$package: cannot be unpacked"; return 1; }
    echo "$PWD/$kernel"
}

initrd_make() {
    local root python file
    # With the interpreter of the system: others may have their libraries anywhere.
    python=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    root=$("$build/tests/make_box" "$work" vm -p bash -p busybox -p dash -p ldd -p /usr/bin/python3 -p runc \
        -p sleep -p "$build/vigia" -p "$build/tests/make_box" -p "$build/tests/list_containers" \
        -p "$build/tests/test_cpus" -p "$build/tests/kernel/test_kernel_calls" \
        -p "$build/tests/kernel/test_kernel_paths" unused)
    mkdir -p "$root$python" "$root$source" "$root/var/tmp"
    tar -c -C "$python" --exclude='./config-*' --exclude=./test --exclude=./dist-packages . | tar -x -C "$root$python"
    cp --parents tests/e2e/{vigia.py,containers.sh,test_containers.sh} tests/vm/test_cpus.py "$root$source/"
    install -m 755 tests/vm/init "$root/init"
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initrd"
}

# boot KERNEL NAME TEST...: the second serial line is the machine's own monitor, by which a test adds
# a CPU. The two CPUs take turns on one thread: with a thread each, qemu 7.2 may translate code that
# the other CPU is changing (the kernel's static keys), and the machine panics at an int3 or hangs.
# Without erms, which is emulated byte by byte, it takes a fifth less.
boot() {
    local kernel=$1 monitor=$work/$2.monitor log=$build/vm/$2.log
    shift 2
    timeout 900 qemu-system-x86_64 -accel tcg,thread=single -cpu max,-erms,-fsrm -smp 2,sockets=3,maxcpus=3 -m 1024 \
        -kernel "$kernel" -initrd "$work/initrd" \
        -append "console=ttyS0 panic=-1 no_timer_check mitigations=off vigia.emulated=1 -- $source $build $*" \
        -nodefaults -no-reboot -display none -nic none -serial stdio \
        -chardev socket,id=monitor,path="$monitor",server=on,wait=off -mon monitor \
        -chardev socket,id=line,path="$monitor" -serial chardev:line </dev/null >"$log" 2>&1
}

mkdir -p "$build/vm"
initrd_make
[ $# != 0 ] || set -- "${!tests[@]}"
started=()
for meta in "$@"; do
    if ! kernel=$(cd "$build/vm" && kernel_get "$meta"); then
        echo "not tested: $kernel"
        continue
    fi
    # shellcheck disable=SC2086 # a list
    boot "$kernel" "$meta" ${tests[$meta]} &
    started+=("$meta")
done
wait
[ ${#started[@]} != 0 ] || skip 'no kernel to be had'
failed=0
for meta in "${started[@]}"; do
    tr -d '\r' <"$build/vm/$meta.log" >"$work/log"
    sed -n '/^== Linux/,$p' "$work/log" | grep . || tail -30 "$work/log"
    grep -qx 'the tests passed' "$work/log" || { echo "FAILED: see $build/vm/$meta.log"; failed=1; }
done
exit $failed
