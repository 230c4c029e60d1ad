#!/usr/bin/env bash
# Makes the CPython versions that Debian sid has and most machines lack (3.13 to
# 3.15) available: a Debian root in ${TULIPA_ROOTS:-/var/cache/tulipa}/sid, outside
# the checkout, with interpreter, venv, headers, CPython's own test suite, and a
# linker for Rust. Use it through scripts/in_debian.sh.
#
#     scripts/debian_python.sh            make it, if it is not there yet
#     scripts/debian_python.sh --renew    throw it away and make it again
#
# The mirror is the one this machine's apt uses; TULIPA_DEBIAN_MIRROR overrides it.
set -euo pipefail

# A version that sid does not have (yet, or any more) is left out with a message.
python_versions="3.13 3.14 3.15"
# gcc and libc6-dev link; make and git are what the Makefile and the tree tests call;
# procps, strace and openssl serve tests that look at processes, system calls, TLS.
base_packages="ca-certificates gcc libc6-dev make git procps strace openssl netbase tzdata"

here=$(cd "$(dirname "$0")" && pwd)
roots=${TULIPA_ROOTS:-/var/cache/tulipa}
root=$roots/sid
say() { echo "debian_python: $*"; }
fail() { echo "debian_python: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "needs root (debootstrap and chroot)"
mkdir -p "$roots"
exec 9>"$roots/.lock"
flock 9    # two runs at once: the second waits, then finds the root made

recipe=$(sha256sum "$here/debian_python.sh" | cut -d' ' -f1)
if [ "${1:-}" != --renew ] && [ "$(cat "$root/.tulipa-recipe" 2>/dev/null)" = "$recipe" ]; then
    say "$root is ready: $(tr '\n' ' ' <"$root/.tulipa-versions")"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || fail "this machine has no apt-get; it must be a Debian or a relative"
if ! command -v debootstrap >/dev/null; then
    say "installing debootstrap"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends debootstrap
fi

# The host's own Debian mirror. Security and backport archives are other places,
# and Debian's relatives (Ubuntu) do not carry sid: only Origin and Label Debian will do.
host_mirror() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}
mirror=${TULIPA_DEBIAN_MIRROR:-$(host_mirror)}
if [ -z "$mirror" ]; then
    apt-get update -qq
    mirror=$(host_mirror)
fi
[ -n "$mirror" ] || fail "apt names no Debian mirror; set TULIPA_DEBIAN_MIRROR"

# Made beside its final place and renamed at the end: a root that exists is whole.
partial=$root.partial
rm -rf --one-file-system "$partial"
say "unpacking sid into $partial"
# debootstrap mounts /proc in the root; in a namespace of its own that cannot leak.
unshare --mount --propagation private \
    debootstrap --variant=minbase sid "$partial" "$mirror" >"$roots/debootstrap.log" 2>&1 ||
    { tail -n 20 "$roots/debootstrap.log" >&2; fail "debootstrap failed"; }

# How the host's apt reaches its mirror (proxy, certificates, retries, and whether
# it holds a mirror that stands still to its date) goes for the root too.
apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|Check-)' >"$partial/etc/apt/apt.conf.d/90host" || true
printf 'APT::Install-Recommends "false";\n' >"$partial/etc/apt/apt.conf.d/91tulipa"
printf 'path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n' \
    >"$partial/etc/dpkg/dpkg.cfg.d/tulipa"
rm -f "$partial/etc/resolv.conf"    # may be a dangling link; in_debian.sh mounts the host's

inside() { TULIPA_ROOT=$partial "$here/in_debian.sh" "$@"; }
cd /
inside apt-get update -qq
packages=$base_packages
for version in $python_versions; do
    if inside apt-cache show "python$version" >/dev/null 2>&1; then
        packages="$packages python$version python$version-venv python$version-dev libpython$version-testsuite"
    else
        say "sid has no python$version; left out"
    fi
done
say "installing $packages"
# shellcheck disable=SC2086  # a list of words is meant
inside apt-get install -y -qq $packages >"$roots/packages.log" 2>&1 ||
    { tail -n 20 "$roots/packages.log" >&2; fail "installing packages failed"; }
inside apt-get clean

for version in $python_versions; do
    inside "python$version" -c 'import sys, ssl, test.test_asyncio; print("CPython", sys.version.split()[0], "/", ssl.OPENSSL_VERSION)' || true
done 2>/dev/null >"$partial/.tulipa-versions"
[ -s "$partial/.tulipa-versions" ] || fail "no working interpreter in $partial"
echo "$recipe" >"$partial/.tulipa-recipe"
rm -rf --one-file-system "$root"
mv "$partial" "$root"
say "$root is ready: $(tr '\n' ' ' <"$root/.tulipa-versions")"
