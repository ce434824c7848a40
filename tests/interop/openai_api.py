"""A stand-in for an OpenAI-compatible API: POST /v1/chat/completions with stream: true, a token every few milliseconds, and what it has generated.

Prints its base URL. The last message says what it does: "tokens N", "silence" (no token at all), "fail STATUS", "break" (the connection ends after a
few tokens), "error" (it says so after a few tokens, and then [DONE]). GET /count: {"generated": N, "open": N}.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN_SECONDS = 0.01
KEY = "a key"

lock = threading.Lock()
count = {"generated": 0, "open": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        with lock:
            self._answer(200, count)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or self.headers["Authorization"] != f"Bearer {KEY}" or not asked["stream"]:
            self._answer(400, {"error": {"message": "not as that API is asked"}})
            return
        what, _, number = asked["messages"][-1]["content"].partition(" ")
        if what == "fail":
            self._answer(int(number), {"error": {"message": "no capacity"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with lock:
            count["open"] += 1
        try:
            self._generate(what, number)
        except OSError:
            self.close_connection = True  # who asked has gone
        finally:
            with lock:
                count["open"] -= 1

    def _generate(self, what, number):
        self._say({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        tokens = int(number) if what == "tokens" else 5
        if what == "silence":
            self.connection.recv(1)  # until who asked has gone
            return
        for n in range(tokens):
            time.sleep(TOKEN_SECONDS)
            with lock:
                count["generated"] += 1
            self._say({"choices": [{"index": 0, "delta": {"content": f" {n}"}}]})
        if what == "break":
            self.close_connection = True
            return
        if what == "error":
            self._say({"error": {"message": "overloaded"}})
        else:
            self._say({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._say({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _say(self, chunk):
        self._write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _write(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit()
