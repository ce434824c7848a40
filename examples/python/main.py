"""Publishes the lines of standard input: topic<TAB>type<TAB>data."""

import os
import sys
from pathlib import Path

import grpc

from bridge.v1.publisher_pb2 import Event
from publisher import Publisher


def credentials_and_token():
    """As BRIDGE_CA_FILE, BRIDGE_CERTIFICATE_FILE, BRIDGE_KEY_FILE and BRIDGE_TOKEN_FILE say."""

    def read(name):
        return Path(os.environ[name]).read_bytes() if name in os.environ else None

    options = {}
    if ca := read("BRIDGE_CA_FILE"):
        options["credentials"] = grpc.ssl_channel_credentials(ca, read("BRIDGE_KEY_FILE"), read("BRIDGE_CERTIFICATE_FILE"))
    if "BRIDGE_TOKEN_FILE" in os.environ:
        options["token"] = lambda: read("BRIDGE_TOKEN_FILE").decode().strip()
    return options


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9090"
    published = 0
    rejected = 0

    def on_rejected(event, rejection):
        nonlocal rejected
        rejected += 1
        print(f"rejected (code {rejection.code}): {event.topic}: {rejection.message}", file=sys.stderr)

    def on_reconnect(reason, delay):
        print(f"{address}: {reason}; again in {delay * 1000:.0f} ms", file=sys.stderr)

    publisher = Publisher(address, on_rejected=on_rejected, on_reconnect=on_reconnect, **credentials_and_token())
    try:
        for line in sys.stdin:
            topic, _, rest = line.rstrip("\n").partition("\t")
            type_, _, data = rest.partition("\t")
            publisher.publish(Event(topic=topic, type=type_, text=data))
            published += 1
    finally:
        publisher.close()  # what came before a line that cannot be published is published
    print(f"{published} published, {rejected} rejected, last id {publisher.last_id or 'none'}")


if __name__ == "__main__":
    main()
