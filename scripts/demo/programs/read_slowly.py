"""A slow reader: takes what comes at no more than so many bytes per second, with a pause after each piece.

    python read_slowly.py PORT BYTES_PER_SECOND

The result is one line of JSON: how much came, and its SHA-256.
"""

import hashlib
import json
import socket
import sys
import time

PIECE = 128 * 1024
KERNEL_BUFFER = 256 * 1024
SILENCE_MAX = 10.0


def main(port, bytes_per_second):
    digest, count = hashlib.sha256(), 0
    with socket.socket() as sock:
        sock.settimeout(SILENCE_MAX)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        sock.connect(("127.0.0.1", port))
        begun = time.monotonic()
        while piece := sock.recv(PIECE):
            digest.update(piece)
            count += len(piece)
            ahead = count / bytes_per_second - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)
    return {"bytes": count, "digest": digest.hexdigest(), "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), float(sys.argv[2]))))
