# A file is read and written at offsets, then read as a stream, while the loop goes on.
#
#     python file_at_offsets.py FILE

import sys, tulipa


async def main():
    async with tulipa.open_file(sys.argv[1], "r+") as file:
        head = await file.read_at(0, 4096)  # at an offset
        print("begins with", head[:40])
        await file.write_at(await file.size(), b"the end\n")
        await file.sync()
        async for chunk in file:  # as a stream
            print(len(chunk), "bytes")


tulipa.run(main())
