"""Serves the API on loopback."""

from wsgiref.simple_server import make_server

from . import App

with make_server("127.0.0.1", 8080, App()) as server:
    server.serve_forever()
