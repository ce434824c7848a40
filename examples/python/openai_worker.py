"""Answers calls of "chat" with a language model behind an OpenAI-compatible HTTP API. Whoever leaves is not generated for: the connection is cut.

OPENAI_BASE_URL (https://api.openai.com/v1), OPENAI_API_KEY and OPENAI_MODEL say which. The body of a call is JSON: {"messages": [...]} as that API
has it, or {"prompt": "..."}.
"""

import http.client
import json
import os
import socket
import sys
from urllib.parse import urlsplit

import grpc
from google.protobuf import struct_pb2

from bridge.v1.publisher_pb2 import Event
from chat_worker import prompt_of, report, serve_until_interrupted
from main import credentials_and_token
from worker import Failure, Worker

# Between two pieces of an answer. Below the bridge's calls.idle_timeout.
TIMEOUT_SECONDS = 45

# With these another try may help; the API has generated nothing.
PASSING = {408, 429, 500, 502, 503, 504}


def messages_of(call):
    try:
        return json.loads(call.body)["messages"]
    except (ValueError, KeyError, TypeError):
        return [{"role": "user", "content": prompt_of(call)}]


def events_of(response):
    """The data of the response's Server-Sent Events, until [DONE]."""
    for line in response:
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        if name == b"data":
            if value.strip() == b"[DONE]":
                return
            yield json.loads(value)
    raise http.client.IncompleteRead(b"")  # it has ended too early


class Model:
    def __init__(self, base_url, key, name):
        self._url = urlsplit(base_url)
        self._key = key
        self._name = name

    def answer(self, call):
        """Sends each piece of the answer as an event of type token: a JSON string."""
        usage = {"output_tokens": 0}
        connection = self._connect(call)
        try:
            for chunk in events_of(self._ask(connection, messages_of(call))):
                if chunk.get("error"):  # it has failed after its 200; [DONE] may come all the same
                    raise Failure(grpc.StatusCode.UNAVAILABLE, f"the model's API: {json.dumps(chunk['error'])}")
                for choice in chunk.get("choices", []):
                    text = choice.get("delta", {}).get("content")
                    if not text:
                        continue
                    usage["output_tokens"] += 1
                    if not call.send(Event(type="token", json=struct_pb2.Value(string_value=text))):
                        return usage
                if chunk.get("usage"):
                    # The API's own numbers come last. After a cancel there are none, and the pieces were counted.
                    usage = {"input_tokens": chunk["usage"]["prompt_tokens"], "output_tokens": chunk["usage"]["completion_tokens"]}
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not call.is_cancelled:
                raise Failure(grpc.StatusCode.UNAVAILABLE, f"the model's API: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        return usage

    def _connect(self, call):
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            raise Failure(grpc.StatusCode.UNAVAILABLE, f"the model's API cannot be reached: {error}") from error
        # Ends the reading at once, and the API stops when it sees that nobody is there.
        upstream = connection.sock
        call.on_cancel(lambda: close(upstream))
        return connection

    def _ask(self, connection, messages):
        body = {"model": self._name, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": f"Bearer {self._key}"}
        connection.request("POST", f"{self._url.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            code = grpc.StatusCode.UNAVAILABLE if response.status in PASSING else grpc.StatusCode.FAILED_PRECONDITION
            raise Failure(code, f"the model's API said {response.status}: {response.read(500).decode(errors='replace')}")
        return response


def close(upstream):
    try:
        upstream.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9090"
    model = Model(
        os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").rstrip("/"),
        os.environ.get("OPENAI_API_KEY", ""),
        os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
    )
    worker = Worker(address, {"chat": model.answer}, max_concurrent=32, **credentials_and_token(), **report(address))
    print(f"answering calls of chat from {address}", file=sys.stderr)
    serve_until_interrupted(worker, finish=30)


if __name__ == "__main__":
    main()
