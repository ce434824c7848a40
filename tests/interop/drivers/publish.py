"""examples/python/publisher.py, told what to do by lines of JSON: see publishing.mjs."""

import json
import os
import sys
import threading

from google.protobuf import json_format

from bridge.v1.publisher_pb2 import Event
from publisher import Publisher

tokens = json.loads(os.environ.get("TOKENS", '[""]'))
output = threading.Lock()


def say(**what):
    with output:
        print(json.dumps(what), flush=True)


def token():
    current = tokens.pop(0) if len(tokens) > 1 else tokens[0]
    if current == "!":
        raise RuntimeError("there is no token now")
    return current


def publish(text, times):
    try:
        event = json_format.Parse(text, Event())
        for _ in range(times):
            publisher.publish(event)
        say(published=True)
    except Exception as error:
        say(published=False, error=repr(error))


publisher = Publisher(
    sys.argv[1],
    window=int(os.environ.get("WINDOW", "1000")),
    token=token,
    on_rejected=lambda event, rejection: say(rejected=rejection.message),
    on_reconnect=lambda reason, delay: say(reconnect=reason),
)
for line in sys.stdin:
    told = json.loads(line)
    if "publish" in told:
        arguments = json.dumps(told["publish"]), told.get("times", 1)
        if told.get("waits"):
            threading.Thread(target=publish, args=arguments, daemon=True).start()
        else:
            publish(*arguments)
    else:
        publisher.close()
        say(closed=True)
