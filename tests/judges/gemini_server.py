"""A server that speaks Gemini's REST format: generateContent, and files by resumable upload.

https://ai.google.dev/api/generate-content and https://ai.google.dev/api/files
"""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from scripted import QuietServer

Reply = tuple[int, dict, object]


def answer(content, *, reason="STOP", **fields):
    text = content if isinstance(content, str) else json.dumps(content)
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10, "thoughtsTokenCount": 5},
        "modelVersion": "gemini-served-1",
        **fields,
    }


def camel(value):
    """JSON with the field names of the documentation: protocol buffers take snake_case as well."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): camel(item) for key, item in value.items()}


class GeminiServer:
    """Answers what a test tells it to; `reply(body)` gives (status, headers, response).

    Attributes:
        requests: the bodies of generateContent.
        calls: method, path and key of every request.
        files: bytes of uploaded files by name.
        pending: how often a file is said to be processed before it is ready.
        upload_host: host and port that upload URLs name, None for the server's own.
    """

    def __init__(self, reply: Callable[[dict], Reply], *, pending: int = 0, upload_host: str | None = None):
        self.requests: list[dict] = []
        self.calls: list[tuple[str, str, str | None]] = []
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self._lock = threading.Lock()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self._note()
                path = self.path.partition("?")[0]
                if path.endswith(":generateContent"):
                    with script._lock:
                        script.requests.append(camel(json.loads(body)))
                    self._send(*reply(script.requests[-1]))
                elif path.startswith("/upload/") and self.headers["X-Goog-Upload-Command"] == "start":
                    host = upload_host or self.headers["host"]
                    self._send(200, {"X-Goog-Upload-URL": f"http://{host}/sent/files?upload_id=7"}, {})
                elif path == "/sent/files" and self.headers["X-Goog-Upload-Command"] == "upload, finalize":
                    name = f"files/{len(script.files)}"
                    script.files[name] = body
                    state = "PROCESSING" if pending else "ACTIVE"
                    file = {"name": name, "uri": f"https://files.example/{name}", "state": state}
                    self._send(200, {"X-Goog-Upload-Status": "final"}, {"file": file})
                else:
                    self._send(404, {}, {"error": {"code": 404, "message": self.path}})

            def do_GET(self):
                self._note()
                name = self.path.removeprefix("/v1beta/").partition("?")[0]
                seen = sum(method == "GET" and path == self.path for method, path, _ in script.calls)
                state = "PROCESSING" if seen < pending else "ACTIVE"
                self._send(200, {}, {"name": name, "uri": f"https://files.example/{name}", "state": state})

            def do_DELETE(self):
                self._note()
                script.deleted.append(self.path.removeprefix("/v1beta/").partition("?")[0])
                self._send(200, {}, {})

            def _note(self):
                with script._lock:
                    script.calls.append((self.command, self.path, self.headers["x-goog-api-key"]))
                return self.rfile.read(int(self.headers["content-length"] or 0))

            def _send(self, status, headers, response):
                data = response if isinstance(response, bytes) else json.dumps(response).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
