"""Run a command on a terminal of its own, answer its question, resize it, and end its input.

    python terminal_child.py

The command believes that somebody sits in front of it: it sees a terminal with a size, it is told when that changes,
and the keys Ctrl-C and Ctrl-D mean what they mean.
"""

import tulipa

COMMAND = r"""
stty -echo
printf 'your name? '
read name
echo "hello, $name"
while read line; do echo "$line, at $(stty size)"; done
echo 'end of input'
exit 3
"""


async def main():
    pty = tulipa.open_pty((80, 24))
    reader, writer = await tulipa.open_child("sh", "-c", COMMAND, pty=pty)
    print(await reader.readuntil(b"? "))
    writer.write(b"tulipa\n")
    print(await reader.readline())
    pty.size = (132, 50)
    writer.write(b"a line\n")
    print(await reader.readline())
    # Ctrl-D, as the terminal is set.
    writer.write_eof()
    print(await reader.readline())
    print("exit status", await writer.transport.wait())
    writer.close()


tulipa.run(main())
