"""A text editor for several people at once, whose documents outlive crashes and pauses.

herdwick run examples.editor.app:app

Open http://127.0.0.1:8000 in two tabs. Each document is a room, of the name behind the `#`. Pages
push what is typed, as changes of a revision that they know; the room adapts each to what others
have changed meanwhile, and tells it to all. Cursors are what the room tells of those present.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

import herdwick
from herdwick import (
    Application,
    History,
    Member,
    Message,
    Params,
    Rejected,
    Response,
    Room,
    WebSocket,
    file,
    from_member,
)
from herdwick.client import JAVASCRIPT

from .text import Outdated, Step, Text, moved

STATIC = Path(__file__).parent / "static"
LONGEST = 20_000
"""Characters of a document; an example keeps it in memory."""

app = Application()

# ------------------------------------------------------------------ what a page says


class Edit(Message):
    """This was changed in that revision."""

    id: Annotated[str, Meta(min_length=1, max_length=40)]
    revision: int
    change: Annotated[list[int | str], Meta(max_length=100)]


class Cursor(Message):
    """This is who I am, and where, in that revision."""

    name: Annotated[str, Meta(pattern=r"\S", max_length=24)]
    revision: int
    at: Annotated[int, Meta(ge=0)]


# ------------------------------------------------------------------ what a page hears


class Opened(Message):
    you: str
    """What the cursor of the one who has joined is told under."""

    revision: int
    text: str


class Edited(Message):
    """This has led to that revision."""

    id: str
    revision: int
    change: list[int | str]


@dataclass(frozen=True)
class Here:
    """Who somebody is, and where."""

    name: str
    at: int


# ------------------------------------------------------------------ the room


@app.room("doc:{name}", history=History(size=1000), presence=True)
class Document(Room[Edit | Cursor]):
    """One document: the text, and in which order it is changed."""

    def __init__(self, name: str) -> None:
        self._text = Text()

    async def restore(self, snapshot: object) -> None:
        assert isinstance(snapshot, Text)
        self._text = snapshot

    async def snapshot(self) -> Text | None:
        return self._text if self._text.revision else None

    async def on_join(self, member: Member, params: Params) -> Opened:
        return Opened(member.id, self._text.revision, self._text.content)

    @from_member(Edit)
    async def edit(self, message: Edit, member: Member) -> None:
        with outdated_is_rejected():
            since = self._text.since(message.revision)
            text = self._text.changed(Step(message.id, message.change), message.revision)
        if any(step.id == message.id for step in since):
            return  # it was made, and the answer was lost
        if len(text.content) > LONGEST:
            raise Rejected(f"a document has {LONGEST} characters at most")
        change = list(text.steps[-1].change)
        # Nothing waits from here on until all is told, so no crash comes between: what members
        # hear of, the next incarnation knows, and cursors move together with the text.
        self._text = text
        await self.save()
        for each in self.members:
            if isinstance(each.meta, Here):
                self.presence.track(each, Here(each.meta.name, moved(each.meta.at, change)))
        await self.broadcast(Edited(message.id, text.revision, change))

    @from_member(Cursor)
    async def cursor(self, message: Cursor, member: Member) -> None:
        with outdated_is_rejected():
            since = self._text.since(message.revision)
        at = message.at
        for step in since:
            at = moved(at, step.change)
        self.presence.track(member, Here(message.name, min(at, len(self._text.content))))


@contextmanager
def outdated_is_rejected() -> Generator[None]:
    """Tell a member that what it knows is too old, or was never so."""
    try:
        yield
    except Outdated as error:
        raise Rejected(error) from None


# ------------------------------------------------------------------ the page


app.serve_files(STATIC)


@app.ws("/live")
async def live(websocket: WebSocket) -> None:
    await websocket.serve_rooms()


@app.get("/herdwick.js")
async def client() -> Response:
    return file(JAVASCRIPT, content_disposition="inline")


if __name__ == "__main__":
    herdwick.run(app)
