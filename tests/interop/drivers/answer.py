"""A worker on examples/python/worker.py whose handlers do what those of its users may do. Ends at SIGTERM; its exit code is that of close."""

import json
import os
import signal
import sys
import threading

import grpc
from google.protobuf import struct_pb2

from bridge.v1.publisher_pb2 import Event
from worker import Failure, Worker

tokens = json.loads(os.environ.get("TOKENS", '[""]'))


def token():
    current = tokens.pop(0) if len(tokens) > 1 else tokens[0]
    if current == "!":
        raise RuntimeError("there is no token now")
    return current


def text_event(text):
    return Event(type="token", json=struct_pb2.Value(string_value=text))


def large(call):
    call.send(text_event("before"))
    return {"was_sent": call.send(text_event("x" * (2 << 20)))}


def again(call):
    event = Event(type="token")
    for number in range(50):
        event.json.string_value = f"{number} "
        call.send(event)


def infinite(call):
    call.send(text_event("all of it"))
    return {"tokens": float("inf")}


def verbose(call):
    call.send(text_event("some of it"))
    raise Failure(grpc.StatusCode.UNAVAILABLE, "x" + "ä" * 600)


def busy(call):
    """More JSON than the bridge takes of one request, where its http.max_frame_bytes is small."""
    event = Event(type="token")
    event.json.struct_value.update({f"member {number}": number for number in range(40)})
    for _ in range(100):
        call.send(event)


def on_reconnect(reason, delay):
    print(f"reconnect: {reason}; in {delay * 1000:.0f} ms", file=sys.stderr, flush=True)
    if "CALLBACK_RAISES" in os.environ:
        raise ValueError("from a callback")


interrupted = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: interrupted.set())
handlers = {each.__name__: each for each in (large, again, infinite, verbose, busy)}
worker = Worker(sys.argv[1], handlers, token=token, on_reconnect=on_reconnect)
interrupted.wait()
sys.exit(not worker.close(20))
