"""Tests of examples/editor, without its page; that has a test of its own, in a browser."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.editor.app import LONGEST, Document, app
from examples.editor.text import (
    KEPT,
    Change,
    Outdated,
    Step,
    Text,
    apply,
    moved,
    tidy,
    transform,
)
from herdwick import serve
from herdwick.client import Client, Message, Refused, Rejoined, Room
from herdwick.protocol import SUBPROTOCOL
from herdwick.runtime import Event, Exited
from herdwick.testing import VIRTUAL_BACKENDS, TestClient, TestWebSocket, crash, virtual_backend
from tests.examples.client import PATIENCE
from tests.support.clients import as_ws
from tests.support.line import line_to
from tests.support.waiting import until

# ---------------------------------------------------------------------- changes

texts = st.text("ab\n😀", max_size=12)


@st.composite
def changes(draw: st.DrawFn, text: str) -> Change:
    """A change that fits a text."""
    pieces: list[int | str] = []
    rest = len(text)
    while rest and draw(st.integers(0, 4)):
        piece = draw(st.integers(-rest, rest) | st.text("xy😀", max_size=3))
        rest -= abs(piece) if isinstance(piece, int) else 0
        pieces.append(piece)
    return tidy([*pieces, draw(st.text("z", max_size=2))])


@st.composite
def at_once(draw: st.DrawFn) -> tuple[str, Change, Change]:
    """A text, and two changes of it that were made at the same time."""
    text = draw(texts)
    return text, draw(changes(text)), draw(changes(text))


def test_a_change_keeps_deletes_and_inserts() -> None:
    assert apply("a lamb", [2, "small ", 4]) == "a small lamb"
    assert apply("a lamb", [2, -4, "sheep"]) == "a sheep"
    assert apply("a lamb", []) == "a lamb"


def test_a_change_of_a_longer_text_does_not_fit() -> None:
    too_long: list[Change] = [[7, "!"], [-7], [3, -4]]
    for change in too_long:
        with pytest.raises(Outdated, match="7 characters or more, and the text has 6"):
            apply("a lamb", change)


@given(at_once())
def test_both_who_change_a_text_at_once_come_to_the_same(case: tuple[str, Change, Change]) -> None:
    text, a, b = case

    b_after_a = apply(apply(text, a), transform(b, a, first=False))
    a_after_b = apply(apply(text, b), transform(a, b, first=True))

    assert b_after_a == a_after_b


@given(at_once())
def test_what_one_inserts_survives_what_another_deletes(case: tuple[str, Change, Change]) -> None:
    text, a, b = case
    inserted = [piece for piece in a if isinstance(piece, str)]

    result = apply(apply(text, a), transform(b, a, first=False))

    places = iter(result)
    assert all(letter in places for letter in "".join(inserted))


@given(at_once())
def test_a_cursor_moves_as_the_letter_before_it(case: tuple[str, Change, Change]) -> None:
    text, change, _ = case
    for at in range(len(text) + 1):
        marked = apply(f"{text[:at]}|{text[at:]}", around(change, at))

        assert moved(at, change) == marked.index("|")


def around(change: Change, at: int) -> Change:
    """Give the change as it is where a mark stands at a place, that nothing deletes."""
    return transform(change, [at, "|"], first=True)


def test_the_oldest_changes_are_forgotten() -> None:
    text = Text()
    for number in range(KEPT + 1):
        text = text.changed(Step(str(number), ["x"]), text.revision)

    assert len(text.since(1)) == KEPT
    for unknown in (0, KEPT + 2):
        with pytest.raises(Outdated):
            text.since(unknown)


# ---------------------------------------------------------------------- people, without a server


@dataclass
class Writer:
    """What a page knows, as static/editor.js has it; `shown` is all that the others see later."""

    name: str
    text: str = ""
    revision: int = 0
    shown: str = ""
    sent: Step | None = None
    flight: Change = ()
    unsent: Change = ()
    inbox: list[Step] = field(default_factory=list[Step])

    def write(self, change: Change) -> None:
        """Change what is shown, once what was changed before has gone out."""
        assert not self.unsent
        self.unsent = change
        self.shown = apply(self.shown, change)

    @property
    def can_send(self) -> bool:
        return self.sent is None and bool(self.unsent)

    def send(self, server: "Server") -> None:
        self.sent = Step(f"{self.name} {self.revision}", self.unsent)
        self.flight, self.unsent = self.unsent, ()
        server.queue.append((self.sent, self.revision))

    def hear(self) -> None:
        step = self.inbox.pop(0)
        self.revision += 1
        if self.sent is not None and step.id == self.sent.id:
            self.text = apply(self.text, self.flight)
            self.sent, self.flight = None, ()
            return
        self.text = apply(self.text, step.change)
        after_flight = transform(step.change, self.flight, first=True)
        self.flight = transform(self.flight, step.change, first=False)
        self.shown = apply(self.shown, transform(after_flight, self.unsent, first=True))
        self.unsent = transform(self.unsent, after_flight, first=False)


@dataclass
class Server:
    text: Text = field(default_factory=Text)
    queue: list[tuple[Step, int]] = field(default_factory=list[tuple[Step, int]])

    def work(self, writers: list[Writer]) -> None:
        step, revision = self.queue.pop(0)
        self.text = self.text.changed(step, revision)
        for writer in writers:
            writer.inbox.append(self.text.steps[-1])


@given(st.data())
def test_all_who_write_come_to_one_text_whatever_comes_when(data: st.DataObject) -> None:
    server, writers = Server(), [Writer("ada"), Writer("bob"), Writer("cyd")]

    def moves() -> Iterator[Callable[[], None]]:
        yield from (writer.hear for writer in writers if writer.inbox)
        yield from (partial(writer.send, server) for writer in writers if writer.can_send)
        if server.queue:
            yield partial(server.work, writers)

    for _ in range(data.draw(st.integers(1, 30))):
        possible = [*moves()]
        writer = data.draw(st.sampled_from(writers))
        if not writer.unsent:
            possible.append(partial(writer.write, data.draw(changes(writer.shown))))
        if possible:
            data.draw(st.sampled_from(possible))()
    while possible := [*moves()]:
        data.draw(st.sampled_from(possible))()

    for writer in writers:
        assert writer.shown == writer.text == server.text.content
        assert writer.revision == server.text.revision


# ---------------------------------------------------------------------- the room


@asynccontextmanager
async def opened(url: str, document: str = "meadow") -> AsyncGenerator[Room]:
    with anyio.fail_after(PATIENCE):
        async with (
            Client(f"{as_ws(url)}/live", random=lambda: 0.0) as client,
            client.join(f"doc:{document}") as room,
        ):
            yield room


async def edit(room: Room, id: str, revision: int, *change: int | str) -> None:
    await room.push({"type": "Edit", "id": id, "revision": revision, "change": change})


async def point(room: Room, name: str, revision: int, at: int) -> None:
    await room.push({"type": "Cursor", "name": name, "revision": revision, "at": at})


async def heard(room: Room, count: int) -> list[tuple[str, int, list[int | str]]]:
    messages = room.messages()
    edits = [await anext(messages) for _ in range(count)]
    return [(each["id"], each["revision"], each["change"]) for each in edits]


def cursors(room: Room) -> dict[str, int]:
    return {meta["name"]: meta["at"] for metas in room.presence.values() for meta in metas.values()}


@contextmanager
def rejected(match: str) -> Generator[None]:
    with pytest.raises(Refused, match=match) as refused:
        yield
    assert refused.value.code == "rejected"


async def test_edits_of_one_revision_are_adapted_to_each_other_and_told_to_all() -> None:
    async with serve(app) as url, opened(url) as ada, opened(url) as bob:
        await edit(ada, "a1", 0, "sheep")
        await edit(ada, "a2", 1, "two ")
        await edit(bob, "b1", 1, -1, "S", 4, "!")

        expected = [("a1", 1, ["sheep"]), ("a2", 2, ["two "]), ("b1", 3, [4, -1, "S", 4, "!"])]
        assert await heard(ada, 3) == await heard(bob, 3) == expected
        async with opened(url) as cyd:
            assert (cyd.payload["text"], cyd.payload["revision"]) == ("two Sheep!", 3)


async def test_an_edit_that_is_pushed_again_is_made_once() -> None:
    async with serve(app) as url, opened(url) as ada:
        await edit(ada, "1", 0, "once")
        await edit(ada, "1", 0, "once")
        await edit(ada, "2", 1, 4, "!")

        assert await heard(ada, 2) == [("1", 1, ["once"]), ("2", 2, [4, "!"])]


async def test_edits_that_do_not_fit_are_rejected_and_harm_nobody() -> None:
    async with serve(app) as url, opened(url) as ada:
        await edit(ada, "1", 0, "sheep")
        for revision in (-1, 2):
            with rejected(f"revision {revision} is not remembered"):
                await edit(ada, "2", revision, "x")
        with rejected("the change is for 6 characters"):
            await edit(ada, "2", 1, -6)
        with rejected("20000 characters at most"):
            await edit(ada, "2", 1, "x" * LONGEST)
        with rejected("revision 7 is not remembered"):
            await point(ada, "Ada", 7, 0)
        with pytest.raises(Refused) as refused:
            await ada.push({"type": "Edit", "id": "2", "revision": 1, "change": [True]})
        assert refused.value.code == "invalid_message"

        await edit(ada, "2", 1, 5, "!")
        assert await heard(ada, 2) == [("1", 1, ["sheep"]), ("2", 2, [5, "!"])]


async def test_cursors_are_told_and_move_with_the_text() -> None:
    async with serve(app) as url, opened(url) as ada, opened(url) as bob:
        await edit(ada, "1", 0, "sheep")
        await point(ada, "Ada", 1, 5)
        await point(bob, "Bob", 0, 0)  # at a revision before what was inserted there
        await until(lambda: cursors(ada) == cursors(bob) == {"Ada": 5, "Bob": 5})

        await edit(bob, "2", 1, -5, "ram")
        await point(ada, "Countess", 1, 2)
        await until(lambda: cursors(ada) == cursors(bob) == {"Countess": 0, "Bob": 3})


async def test_a_crash_costs_no_letter_and_no_cursor() -> None:
    async with serve(app) as url, opened(url) as ada, opened(url) as bob:
        meadow = app.room_ref(Document, "meadow")
        await point(bob, "Bob", 0, 0)
        words = [f"{number} " for number in range(30)]

        async def write() -> None:
            for revision, word in enumerate(words):
                end = sum(map(len, words[:revision]))
                for _ in range(2):  # one that was in hand when the room crashed is pushed again
                    with suppress(Refused):
                        await edit(ada, word, revision, end, word)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(3):
                await heard(bob, 5)
                await crash(meadow, RuntimeError("on purpose"))

        told = await heard(ada, 30)
        assert told == [(word, number, told[number - 1][2]) for number, word in enumerate(words, 1)]
        async with opened(url) as cyd:
            assert (cyd.payload["text"], cyd.payload["revision"]) == ("".join(words), 30)
            await until(lambda: cursors(cyd) == {"Bob": len(cyd.payload["text"])})


async def test_who_was_away_hears_of_each_edit_once() -> None:
    back = anyio.Event()

    async def token() -> str | None:  # the client asks for it before each connection
        if client_was_here:
            await back.wait()
        return None

    client_was_here: list[Client] = []
    async with serve(app) as url, opened(url) as ada:
        with line_to(url) as line:
            async with (
                Client(f"{as_ws(line.url)}/live", token=token, random=lambda: 0.0) as client,
                client.join("doc:meadow") as bob,
            ):
                client_was_here.append(client)
                await edit(ada, "1", 0, "one")
                await heard(bob, 1)

                line.drop()
                await until(lambda: not client.connected)
                await edit(ada, "2", 1, 3, " two")
                back.set()
                await edit(bob, "3", 1, 3, " too")

                events = [await anext(bob) for _ in range(3)]
                assert [type(event) for event in events] == [Rejoined, Message, Message]
                ids = [event.payload["id"] for event in events if isinstance(event, Message)]
                assert ids == ["2", "3"]


@pytest.mark.parametrize("anyio_backend", [virtual_backend(name) for name in VIRTUAL_BACKENDS])
async def test_a_document_outlives_the_time_that_nobody_has_it_open() -> None:
    exits: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, Exited) and event.path.endswith("doc:meadow"):
            exits.append(str(event.reason))

    async with TestClient(app) as client:
        forget = app.events.subscribe(look)
        async with visit(client) as (ada, _):
            edit = {"type": "Edit", "id": "1", "revision": 0, "change": ["sheep"]}
            await ada.send_json({"type": "push", "topic": "doc:meadow", "ref": 2, "payload": edit})
            assert (await ada.receive_json())["payload"]["change"] == ["sheep"]
        await anyio.sleep(60)  # of a clock that jumps; a room rests after 30
        assert exits

        async with visit(client) as (_, opened):
            assert (opened["text"], opened["revision"]) == ("sheep", 1)
        forget()


@asynccontextmanager
async def visit(client: TestClient) -> AsyncGenerator[tuple[TestWebSocket, Any]]:
    """Have the document open, in memory; give what the room says to who joins."""
    async with client.websocket_connect("/live", subprotocols=[SUBPROTOCOL]) as socket:
        await socket.send_json({"type": "join", "topic": "doc:meadow", "ref": 1})
        joined = await socket.receive_json()
        yield socket, joined["payload"]


async def test_the_page_and_its_parts_are_served() -> None:
    parts = ("editor.js", "text.js", "herdwick.js")
    async with serve(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        page = await http.get("/")
        answers = [await http.get(f"/{name}") for name in parts]

    assert "Herdwick editor" in page.text
    for answer in answers:
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
