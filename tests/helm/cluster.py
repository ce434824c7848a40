"""As much of a cluster's API as Helm asks for to look up a Secret."""

import contextlib
import http.server
import json
import threading

LISTS = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get"]}],
    },
}


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        answer = LISTS.get(path) or self.server.objects.get(path)
        body = json.dumps(answer or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve(objects):
    """Helm's option for an API with these objects by their paths."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        server.objects = objects
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"--kube-apiserver=http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
