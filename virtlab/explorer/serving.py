"""Serves the page to this machine alone, to those who know its address."""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.routing import AnyMatches, Matcher, Rule, RuleRouter
from tornado.web import Application, RequestHandler

from virtlab.errors import ServingError
from virtlab.explorer.page import Page
from virtlab.explorer.sampling import Sampler

LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 24


def serve(sampler: Sampler, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    port
        0 for one that is free.
    ready
        Called with the page's address, once it answers.

    Raises
    ------
    ServingError
        The port is taken, or not to be had.
    """
    bound = _bound(port)
    logging.getLogger("bokeh").setLevel(logging.ERROR)  # a tab that is closed is no news
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(sampler, bound, ready))


def _bound(port: int) -> socket.socket:
    try:
        made = socket.create_server((LOOPBACK, port))
    except OSError as error:
        why = "it is taken" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise ServingError(
            f"port {port} of {LOOPBACK}: {why}; name another with --port, or none for a free one"
        ) from error
    made.setblocking(False)
    return made


async def _serve(sampler: Sampler, bound: socket.socket, ready: Callable[[str], None]) -> None:
    port = bound.getsockname()[1]
    token = secrets.token_urlsafe(TOKEN_BYTES)
    hosts = [f"{name}:{port}" for name in (LOOPBACK, "localhost")]
    static, socket_url = f"/{token}/static", " ".join(f"ws://{host}" for host in hosts)

    def fill(document: Any) -> None:
        Page(document, sampler)
        document.template_variables.update(static=static, socket=socket_url)

    pages = BokehTornado(
        fill, prefix=token, extra_websocket_origins=hosts, log_function=lambda _handler: None
    )
    http = HTTPServer(guarded(pages, token, hosts))
    server = BaseServer(IOLoop.current(), pages, http)
    http.add_socket(bound)
    server.start()
    try:
        ready(f"http://{hosts[0]}/{token}/")
        await asyncio.Event().wait()
    finally:
        server.stop(wait=False)


def guarded(pages: Application, token: str, hosts: list[str]) -> RuleRouter:
    """Pass on requests that name this machine and the token; refuse all others."""
    refused = Application([(".*", _Refused)], log_function=lambda _handler: None)
    return RuleRouter([Rule(_Invited(token, hosts), pages), Rule(AnyMatches(), refused)])


class _Invited(Matcher):
    """Matches requests for the token's folder, made of this machine by a page of its own."""

    def __init__(self, token: str, hosts: list[str]) -> None:
        self._token, self._hosts = token.encode(), hosts
        self._origins = [f"http://{host}" for host in hosts]

    def match(self, request: Any) -> dict[str, Any] | None:
        given = request.path.split("/")[1].encode() if "/" in request.path else b""
        origin = request.headers.get("Origin")
        # A foreign page may resolve its own name to this machine: then Host tells, or Origin.
        invited = (
            hmac.compare_digest(given, self._token)
            and request.host in self._hosts
            and (origin is None or origin in self._origins)
        )
        return {} if invited else None


class _Refused(RequestHandler):
    """Says no to any request."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("This address lacks the token that `virtlab explore` printed.\n")
