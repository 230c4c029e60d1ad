#!/usr/bin/env bash
# Runs a command inside the Debian root that scripts/debian_python.sh makes:
#
#     scripts/in_debian.sh make test PYTHON=python3.14
#
# Why: CPython versions that this machine does not have come from Debian sid, and
# a chroot is the smallest thing that holds one. The checkout, the Rust toolchain
# and the download caches are the host's own, mounted at the same paths; so is
# whatever says which registries, certificates and proxies to use (files below;
# environment variables are inherited).
#
# Every mount is made in a private mount namespace, which the kernel takes down
# when the last process in it ends: no exit path can leave one behind.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: scripts/in_debian.sh COMMAND..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "in_debian.sh: needs root (it mounts and calls chroot)" >&2; exit 1; }

root=${TULIPA_ROOT:-${TULIPA_ROOTS:-/var/cache/tulipa}/sid}
[ -x "$root/bin/sh" ] || { echo "in_debian.sh: no Debian root in $root; run scripts/debian_python.sh first" >&2; exit 1; }

if [ "${IN_DEBIAN_NAMESPACE:-}" != "$$" ]; then
    # `exec` keeps the process number, so the second pass recognises itself, and a
    # stale variable inherited from elsewhere is never mistaken for a namespace.
    export IN_DEBIAN_NAMESPACE=$$
    exec unshare --mount --propagation private "$BASH" "$0" "$@"
fi
unset IN_DEBIAN_NAMESPACE

checkout=$(cd "$(dirname "$0")/.." && pwd)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot 2>/dev/null || true)
caller_directory=$PWD

bind() {  # bind PATH [remount options]: the host's PATH at the same place inside
    [ -e "$1" ] || return 0
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    else
        mkdir -p "$root$(dirname "$1")"
        [ -e "$root$1" ] || : >"$root$1"
    fi
    mount --rbind "$1" "$root$1"
    [ -z "${2:-}" ] || mount -o "remount,bind,$2" "$root$1"
}

mount -t proc proc "$root/proc"
bind /sys
bind /dev
# A pts instance of its own: the one of a container often forbids opening ptmx.
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"

# Where names, packages and certificates come from.
for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/apt/auth.conf.d \
            "$HOME/.config/pip" "$HOME/.pip" "$HOME/.npmrc" "$HOME/.netrc" ${PIP_FIND_LINKS:-}; do
    bind "$path" ro
done
# A copy, since the root's own ca-certificates package writes here when installed.
if [ -d /etc/ssl/certs ]; then
    mkdir -p "$root/etc/ssl/certs"
    mount -t tmpfs -o mode=0755 tmpfs "$root/etc/ssl/certs"
    cp -rL /etc/ssl/certs/. "$root/etc/ssl/certs" 2>/dev/null || true
fi
# What is built with, and the caches of what was downloaded.
mkdir -p "$HOME/.cache/pip"
bind "$HOME/.cache/pip"
bind "$cargo_home"
if [ -n "$sysroot" ]; then
    # The toolchain lies in RUSTUP_HOME/toolchains/NAME; the `cargo` found on PATH
    # is rustup's proxy, which wants the whole of RUSTUP_HOME.
    rustup_home=${RUSTUP_HOME:-${sysroot%/toolchains/*}}
    bind "$rustup_home"
    export RUSTUP_HOME=$rustup_home
fi
bind "$checkout"
# The caller may stand outside the checkout (a clone elsewhere, an empty folder).
case "$caller_directory/" in
    "$checkout"/*) ;;
    *) [ -d "$root$caller_directory" ] || bind "$caller_directory" ;;
esac

export CARGO_HOME=$cargo_home
export PATH="$cargo_home/bin${sysroot:+:$sysroot/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Names the builds that belong to this root, which must not mix with the host's:
# they need its libc. The Makefile puts it into the names of .venv/ and target/.
export TULIPA_PLATFORM=sid
# An active environment of the host would mislead pip and maturin.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PYENV_VERSION PYENV_ROOT CONDA_PREFIX

exec chroot "$root" /bin/sh -c 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"' sh "$caller_directory" "$@"
