"""Notifications: what is new for a user reaches all of his devices, also those that were away.

herdwick run examples.notifications.app:app    and open http://127.0.0.1:8000 in two tabs

Log in as ada with the password wool, or as bob with fell. Then be the worker that has news:

    curl http://127.0.0.1:8000/internal/users/ada/notes -H "Authorization: Bearer dog" \
        --json '{"text": "The tups are back from the tops."}'

A user is a topic, `user:ada`. What is recorded there, notes and how far they were read, is all that
a device has to know; so all of them show the same, however long one was away.

The page speaks herdwick.v1: only a protocol with positions can say "go on from here" after a lost
connection. A plain route would send the last notes again, or miss some.
"""

from pathlib import Path
from secrets import token_urlsafe
from time import time
from typing import Annotated, Any
from uuid import uuid4

from guardpost import AuthenticationHandler, Policy
from guardpost.common import ClaimsRequirement
from msgspec import Meta, Struct

import herdwick
from herdwick import (
    Application,
    FromHeader,
    FromJSON,
    History,
    HTTPError,
    Identity,
    JoinRefused,
    Member,
    Message,
    Params,
    Request,
    Response,
    WebSocket,
    accepted,
    auth,
    file,
    json,
    no_content,
    token_from_header,
    token_from_subprotocol,
)
from herdwick.client import JAVASCRIPT

DAY = 86_400.0

# ------------------------------------------------------------------ what devices hear


class Note(Message):
    id: str
    text: str
    at: float


class Read(Message):
    """All notes up to this one were read, on one device or another."""

    id: Annotated[str, Meta(max_length=32)]


# ------------------------------------------------------------------ who is who

PASSWORDS = {"ada": "wool", "bob": "fell"}
tokens: dict[str, dict[str, Any]] = {"dog": {"sub": "shepherd", "kind": "worker"}}


class Tokens(AuthenticationHandler):
    """Knows those who have logged in; browsers show their token as a subprotocol."""

    _sources = (token_from_header(), token_from_subprotocol())

    @property
    def scheme(self) -> str:
        return "Bearer"

    def authenticate(self, context: Request) -> Identity | None:
        shown = (source(context) for source in self._sources)
        claims = tokens.get(next(filter(None, shown), ""))
        return Identity(claims, self.scheme) if claims else None


app = Application()
app.use_authentication().add(Tokens())
for kind in ("user", "worker"):
    app.use_authorization().add(Policy(kind, ClaimsRequirement({"kind": kind})))


class Login(Struct):
    name: str
    password: str


@app.post("/login")
async def login(login: FromJSON[Login]) -> Response:
    if login.value.password != PASSWORDS.get(login.value.name):
        raise HTTPError(401, "wrong name or password")
    token = token_urlsafe()
    tokens[token] = {"sub": login.value.name, "kind": "user"}
    return json({"token": token})


@app.get("/me")
@auth("user")
async def me(identity: Identity) -> Response:
    return json({"name": identity.id})


@app.post("/log-out-everywhere")
@auth("user")
async def log_out_everywhere(identity: Identity) -> Response:
    # The tokens first: a device that comes back at once must not find its own still good.
    for token in [token for token, claims in tokens.items() if claims["sub"] == identity.id]:
        del tokens[token]
    app.users.disconnect(identity.id, 4401, "logged out everywhere")
    return no_content()


# ------------------------------------------------------------------ notes


async def oneself(member: Member, params: Params) -> None:
    who = member.identity
    if who is None or member.topic != topic_of(who.id):
        raise JoinRefused("these are the notes of somebody else")


def topic_of(user_id: str) -> str:
    return f"user:{user_id}"


app.topic("user:{user_id}", history=History(size=200, ttl=7 * DAY, replay=200), authorize=oneself)


@app.ws("/live")
@auth("user")
async def live(websocket: WebSocket) -> None:
    await websocket.serve_rooms()


class NewNote(Struct):
    text: Annotated[str, Meta(pattern=r"\S", max_length=500)]


@app.post("/internal/users/{user_id}/notes")
@auth("worker")
async def notify(
    user_id: str, note: FromJSON[NewNote], idempotency_key: FromHeader[str] | None = None
) -> Response:
    """Tell a user; a worker that tries again with the same `Idempotency-Key` tells him once."""
    if user_id not in PASSWORDS:
        raise HTTPError(404, f"there is no user {user_id}")
    key = None if idempotency_key is None else idempotency_key.value
    await app.broadcast(topic_of(user_id), Note(uuid4().hex, note.value.text, time()), key=key)
    return accepted()


@app.post("/read")
@auth("user")
async def read(identity: Identity, read: FromJSON[Read]) -> Response:
    await app.broadcast(topic_of(identity.id), read.value)
    return accepted()


# ------------------------------------------------------------------ the page


@app.get("/herdwick.js")
async def client() -> Response:
    return file(JAVASCRIPT, content_disposition="inline")


app.serve_files(Path(__file__).parent / "static")

if __name__ == "__main__":
    herdwick.run(app)
