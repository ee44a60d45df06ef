"""Calls the application without a network."""

import io
import json


def call(app, method, path, body=None):
    """Returns the status code and the decoded answer. `body` is a value for JSON, or raw bytes."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    seen = {}

    def start_response(status, headers):
        seen["status"] = int(status.split()[0])

    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(raw)),
        "wsgi.input": io.BytesIO(raw),
    }
    answer = b"".join(app(environ, start_response))
    return seen["status"], json.loads(answer)
