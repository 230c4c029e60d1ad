# A publish/subscribe server in nineteen lines. Clients send lines:
#
#     sub TOPIC           from now on, send me what is published there
#     pub TOPIC TEXT      send "TOPIC TEXT" to every subscriber of that topic
#
# Other lines are ignored. A subscriber that falls a megabyte behind is dropped, so that it costs nobody else anything.
#
#     python pubsub_server.py 8888

import asyncio, collections, sys, tulipa

topics = collections.defaultdict(set)


async def serve(reader, writer):
    try:
        async for line in reader:
            match line.split(maxsplit=2):
                case b"sub", topic:
                    topics[topic].add(writer.transport)
                case b"pub", topic, text:
                    for subscriber in topics[topic]:
                        behind = subscriber.get_write_buffer_size() > 1_000_000
                        subscriber.abort() if behind else subscriber.write(topic + b" " + text)
    finally:
        for subscribers in topics.values():
            subscribers.discard(writer.transport)
        writer.close()


async def main():
    await (await asyncio.start_server(serve, "localhost", int(sys.argv[1]))).serve_forever()


tulipa.run(main())
