"""Answers calls of "chat" with a made-up text, token by token, until it is interrupted; then it finishes what it has."""

import argparse
import json
import random
import re
import signal
import sys
import threading
import time

from google.protobuf import struct_pb2

from bridge.v1.publisher_pb2 import Event
from main import credentials_and_token
from publisher import Publisher
from worker import Worker

TEXT = """You asked: “{}”

Nobody here knows the answer, because no language model is attached: this text is made up. What is real is its way. Your browser sent one POST, the \
bridge keeps each token under an id, and a worker in Python writes them over the gRPC stream that it holds open.

Cut the network and the rest is still to come; reload and all of it is there again. Press Stop, and the worker stops: what it did not write costs \
nobody anything."""


def prompt_of(call):
    """The body is JSON with a "prompt", or the prompt itself."""
    text = call.body.decode(errors="replace")
    try:
        return json.loads(text)["prompt"]
    except (ValueError, KeyError, TypeError):
        return text


def tokenize(text):
    """Words with the space before them, long ones in parts: joined they are the text again."""
    return re.findall(r"\s?[^\s]{1,6}|\s", text)


class Chat:
    """Answers calls, and says on the topic demo.worker what it does."""

    def __init__(self, publisher, token_rate, thinking):
        self._publisher = publisher
        self._token_rate = token_rate
        self._thinking = thinking

    def answer(self, call):
        prompt = prompt_of(call)
        said = time.monotonic()
        sent = 0
        self._say("working", call, sent)
        is_cancelled = call.wait_cancelled(self._thinking)
        for token in tokenize(TEXT.format(prompt)):
            # A JSON string, so that spaces and line breaks arrive as they are.
            if is_cancelled or not call.send(Event(type="token", json=struct_pb2.Value(string_value=token))):
                break
            sent += 1
            if time.monotonic() - said > 0.25:
                said = time.monotonic()
                self._say("working", call, sent)
            is_cancelled = call.wait_cancelled(random.uniform(0.6, 1.4) / self._token_rate)
        self._say("idle", call, sent)
        return {"input_tokens": len(tokenize(prompt)), "output_tokens": sent}

    def _say(self, state, call, tokens):
        data = json.dumps({"state": state, "call_id": call.call_id, "tokens": tokens})
        self._publisher.publish(Event(topic="demo.worker", type="worker", text=data))


def serve_until_interrupted(worker, finish):
    """Waits for SIGTERM or SIGINT; then the calls that the worker has get `finish` seconds."""
    interrupted = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: interrupted.set())
    interrupted.wait()
    if not worker.close(finish):
        sys.exit("calls were not answered to their end")


def report(address):
    """What a worker says on standard error."""
    return {
        "on_reconnect": lambda reason, delay: print(f"{address}: {reason}; again in {delay * 1000:.0f} ms", file=sys.stderr),
        "on_rejected": lambda name, message: print(f"{name}: {message}", file=sys.stderr),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="127.0.0.1:9090", help="host and port of the bridge's gRPC side")
    parser.add_argument("--calls", type=int, default=8, help="calls that it answers at a time")
    parser.add_argument("--token-rate", type=float, default=30, help="tokens of an answer a second")
    parser.add_argument("--thinking", type=float, default=0.3, help="seconds before the first token")
    parser.add_argument("--finish", type=float, default=30, help="seconds that its calls have when it is interrupted")
    args = parser.parse_args()

    shown = credentials_and_token()
    chat = Chat(Publisher(args.target, **shown), args.token_rate, args.thinking)
    worker = Worker(args.target, {"chat": chat.answer}, max_concurrent=args.calls, **shown, **report(args.target))
    print(f"answering calls of chat from {args.target}", file=sys.stderr)
    serve_until_interrupted(worker, args.finish)


if __name__ == "__main__":
    main()
