"""The WSGI application: reads requests, calls the store, writes answers."""

import json
from http import HTTPStatus

from .store import Store


class App:
    def __init__(self, store=None):
        self.store = store or Store()

    def __call__(self, environ, start_response):
        status, answer = self.handle(environ)
        body = json.dumps(answer).encode()
        start_response(
            f"{status.value} {status.phrase}",
            [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
        )
        return [body]

    def handle(self, environ):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if (method, path) == ("POST", "/users"):
            return self.create_user(read_json(environ))
        if (method, path) == ("POST", "/orders"):
            return self.create_order(read_json(environ))
        if method == "GET" and path.startswith("/users/"):
            return self.show_user(path.removeprefix("/users/"))
        return HTTPStatus.NOT_FOUND, {"error": "not found"}

    def create_user(self, body):
        user = self.store.add_user(body["name"], body["email"])
        return HTTPStatus.CREATED, user

    def create_order(self, body):
        order = self.store.add_order(body["user_id"], body["item"], body["quantity"])
        return HTTPStatus.CREATED, order

    def show_user(self, number):
        user = self.store.user(int(number)) if number.isdigit() else None
        if user is None:
            return HTTPStatus.NOT_FOUND, {"error": "no such user"}
        return HTTPStatus.OK, user


def read_json(environ):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return json.loads(environ["wsgi.input"].read(length))
