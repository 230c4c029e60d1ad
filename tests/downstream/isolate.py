"""Runs a command where only loopback exists, and `localhost` means both 127.0.0.1 and ::1.

Suites of network libraries assume what a developer's machine has; what a container or a build machine lacks (a line in
/etc/hosts, mostly) fails hundreds of tests on any loop. Namespaces of its own give the command a network with nothing
but loopback, where no port is taken, and a file of hosts. Where the kernel forbids them it runs as it is.
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

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def isolation():
    """What to put before a command so that it runs isolated; empty where that is not possible."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    namespaces = [unshare, "--net", "--mount"]
    if os.getuid() != 0:
        namespaces.append("--map-root-user")
    prefix = [*namespaces, sys.executable, str(pathlib.Path(__file__).resolve())]
    return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


def main(command):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
    with tempfile.NamedTemporaryFile("w", prefix="hosts-") as hosts:
        hosts.write(HOSTS)
        hosts.flush()
        # The mount holds the file when its name is gone.
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
