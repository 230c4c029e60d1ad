"""Runs a command where only loopback exists, and `localhost` means both 127.0.0.1 and ::1.

Suites of network libraries assume what a developer's machine has; what a container or a build machine lacks (a line in
/etc/hosts, mostly) fails hundreds of tests on any loop. Namespaces of its own give the command a network with nothing
but loopback, where no port is taken, and a file of hosts. Where the kernel forbids them it runs as it is.

The loopback device has an address of each family that is no loopback address: glibc leaves out the families that have
none when it is asked for what is usable (AI_ADDRCONFIG), and libraries ask so.
"""

import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"

# Reserved for documentation (RFC 5737, RFC 3849), so nobody means them.
ADDRESS_4 = "192.0.2.1"
ADDRESS_6 = "2001:db8::1"

# From <linux/sockios.h> and <net/if.h>.
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
IFF_UP = 0x1


def isolation():
    """What to put before a command so that it runs isolated; empty where that is not possible."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    namespaces = [unshare, "--net", "--mount"]
    if os.getuid() != 0:
        namespaces.append("--map-root-user")
    # In a chroot, whose / is no mount, only the second works.
    for propagation in ("private", "unchanged"):
        prefix = [*namespaces, "--propagation", propagation, sys.executable, str(pathlib.Path(__file__).resolve())]
        if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            return prefix
    return []


def set_up_loopback():
    packed_4, packed_6 = socket.inet_aton(ADDRESS_4), socket.inet_pton(socket.AF_INET6, ADDRESS_6)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
        # An `ifreq` with a `sockaddr_in`; an alias, as 127.0.0.1 stays.
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, packed_4))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        # An `in6_ifreq`: address, length of the prefix, index of the device.
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sIi", packed_6, 128, socket.if_nametoindex("lo")))


def main(command):
    if " shared:" in pathlib.Path("/proc/self/mountinfo").read_text():
        sys.exit("mounts made here would appear outside")
    set_up_loopback()
    with tempfile.NamedTemporaryFile("w", prefix="hosts-") as hosts:
        hosts.write(HOSTS)
        hosts.flush()
        # The mount holds the file when its name is gone.
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
