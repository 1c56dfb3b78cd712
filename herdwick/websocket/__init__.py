"""The thin facade: applications, WebSockets, HTTP, auth; knows not how bytes travel.

General layout, from the bottom:

    state, errors, limits        the words of it; `ends`: which error is an end, which a crash
    headers, request, http       a request and its answer
    codec                        messages as JSON or MessagePack
    arguments, bound, binding    what a handler's arguments are bound to
    identity, auth, tokens       who calls, and whether they may
    origin                       which pages may open a WebSocket
    files, health, mount         what else answers: files, how it is, other ASGI applications
    middleware, routes           what stands around handlers, and which path leads to which
    wires, rooms, paces, live    topics: what is declared, how members hear, herdwick.v1
    checks, users                who has which connections open, and whether their sessions hold
    first_message                a token that comes after the handshake
    admission, sessions          whether one more is taken, and how its actor begins
    websocket                    the connection, as its handler sees it
    access                       the access log
    dispatch                     from a request to its handler and back
    asgi                         the driver for ASGI servers
    application                  all of it together
"""

from herdwick.actors import IllegalCloseCode, InvalidText
from herdwick.routing import InvalidTopic

from .admission import descriptor_limit
from .application import Application
from .asgi_types import ASGIApp, ASGIReceive, ASGISend, Scope
from .auth import AuthNotConfigured
from .binding import BindingError
from .bound import FromBytes, FromCookie, FromHeader, FromJSON, FromQuery, FromText
from .codec import NotEncodable
from .errors import (
    ConcurrentReceive,
    InvalidMessage,
    InvalidWebSocketStateError,
    NotRunning,
    UnexpectedMessage,
    WebSocketDisconnectError,
    WebSocketError,
)
from .files import StaticFiles, file
from .headers import Headers, InvalidHeader
from .http import (
    HTTPError,
    Response,
    accepted,
    bad_request,
    created,
    forbidden,
    html,
    json,
    no_content,
    not_found,
    ok,
    redirect,
    status_code,
    stream,
    text,
    unauthorized,
)
from .identity import Identity
from .limits import Limits, RouteLimits
from .marks import allow_anonymous, auth
from .middleware import Middleware, Next
from .origin import InvalidOrigin
from .request import Query, Request
from .rooms import RoomMisdeclared
from .routes import Routes
from .state import MessageMode, WebSocketState
from .tokens import (
    JWTBearer,
    token_from_cookie,
    token_from_header,
    token_from_query,
    token_from_subprotocol,
)
from .users import Users
from .websocket import WebSocket

__all__ = [
    "ASGIApp",
    "ASGIReceive",
    "ASGISend",
    "Application",
    "AuthNotConfigured",
    "BindingError",
    "ConcurrentReceive",
    "FromBytes",
    "FromCookie",
    "FromHeader",
    "FromJSON",
    "FromQuery",
    "FromText",
    "HTTPError",
    "Headers",
    "Identity",
    "IllegalCloseCode",
    "InvalidHeader",
    "InvalidMessage",
    "InvalidOrigin",
    "InvalidText",
    "InvalidTopic",
    "InvalidWebSocketStateError",
    "JWTBearer",
    "Limits",
    "MessageMode",
    "Middleware",
    "Next",
    "NotEncodable",
    "NotRunning",
    "Query",
    "Request",
    "Response",
    "RoomMisdeclared",
    "RouteLimits",
    "Routes",
    "Scope",
    "StaticFiles",
    "UnexpectedMessage",
    "Users",
    "WebSocket",
    "WebSocketDisconnectError",
    "WebSocketError",
    "WebSocketState",
    "accepted",
    "allow_anonymous",
    "auth",
    "bad_request",
    "created",
    "descriptor_limit",
    "file",
    "forbidden",
    "html",
    "json",
    "no_content",
    "not_found",
    "ok",
    "redirect",
    "status_code",
    "stream",
    "text",
    "token_from_cookie",
    "token_from_header",
    "token_from_query",
    "token_from_subprotocol",
    "unauthorized",
]
