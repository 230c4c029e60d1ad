"""A filter: number the lines of standard input, with progress on standard error where the input has a size.

    python number_lines.py < FILE > NUMBERED
    some-program | python number_lines.py

Standard input is iterated by lines, decoded as they arrive; standard output is drained, so that a slow reader slows
the program down instead of filling its memory. `print` goes on working beside both.
"""

import sys

import tulipa


async def main():
    count = 0
    async with tulipa.stdin(text=True) as lines, tulipa.stdout(text=True) as out:
        async for line in lines:
            count += 1
            out.write(f"{count:6}  {line}")
            await out.drain()
            if lines.size and count % 100_000 == 0:
                print(f"{lines.position / lines.size:.0%}", file=sys.stderr)
    print(f"{count} lines, {lines.position} bytes", file=sys.stderr)


tulipa.run(main())
