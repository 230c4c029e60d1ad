"""Plug other sources of events into the loop: a queue that a thread fills, and a toolkit that has to be pumped.

    python event_source.py

A queue can wake the loop: whoever puts something into it calls `wake`, from any thread, and the loop calls `poll` on
its own. A toolkit that has a loop of its own (a window system, a game library) often can wake nobody; `prepare` says
in how many seconds it wants to be looked at again. Both end the program when they are closed: nothing is left to do
then.
"""

import queue
import threading

import tulipa


class Messages(tulipa.EventSource):
    """A queue of messages, filled by any thread and read by callbacks."""

    def __init__(self, received, **options):
        super().__init__(**options)
        self.waiting = queue.SimpleQueue()
        self.received = received

    def put(self, message):
        self.waiting.put(message)
        self.wake()

    def poll(self):
        while not self.waiting.empty():
            self.received(self.waiting.get())


class Toolkit:
    """Stands for somebody else's: all that it offers is to handle one event, if there is any."""

    def __init__(self):
        self.events = ["opened", "clicked", "clicked", "closed"]

    def handle_one(self):
        return self.events.pop(0) if self.events else None


class Pump(tulipa.EventSource):
    """Handles the toolkit's events fifty times a second."""

    def __init__(self, toolkit, handler, **options):
        self.toolkit, self.handler = toolkit, handler
        super().__init__(**options)

    def prepare(self):
        return 0.02

    def poll(self):
        while event := self.toolkit.handle_one():
            self.handler(event)


def work(messages):
    for number in range(3):
        messages.put(f"message {number}")
    messages.put(None)


def on_message(message):
    if message is None:
        messages.close()
    else:
        print(message, flush=True)


def on_event(event):
    print(f"window {event}", flush=True)
    if event == "closed":
        pump.close()


loop = tulipa.new_event_loop()
messages = Messages(on_message, loop=loop)
pump = Pump(Toolkit(), on_event, loop=loop)
threading.Thread(target=work, args=(messages,)).start()
loop.run_until_idle()
loop.close()
