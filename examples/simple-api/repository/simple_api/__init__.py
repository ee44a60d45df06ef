"""A small JSON API: users and the orders they place."""

from .app import App

__all__ = ["App"]
