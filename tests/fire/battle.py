"""What may happen, step by step, and what must hold when all is quiet again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

import anyio
import anyio.abc

from herdwick.actors import KEY_WINDOW, History, Member

from .arena import HISTORY, OUTBOX, Note, Stage, turns
from .peers import PlainPeer, V1Peer

TOPICS: Final = ("room:a", "catch:a", "cut:a", "melt:a", "beat:a", "bare:a")
MIXED: Final = 7
"""The length of a burst of which every other one is recorded."""
SHARED: Final = (
    "realtime",
    "realtime/pumps",
    "realtime/registry",
    "realtime/rooms",
    "presence",
)
"""Whose crashes are charged to one budget, of the root or of the branch."""


class Battle:
    """A stage, and all that are on it."""

    def __init__(
        self,
        *,
        outbox: int = OUTBOX,
        history: History = HISTORY,
        topics: tuple[str, ...] = TOPICS,
    ) -> None:
        self.stage = Stage(outbox, history)
        self.topics = topics
        self.tasks: anyio.abc.TaskGroup
        self.v1: list[V1Peer] = []
        self.plain: list[PlainPeer] = []
        self.published: dict[str, set[tuple[str, int]]] = {topic: set() for topic in topics}
        """What must be in the logs, by topic."""
        self.keys: list[tuple[str, Note, str, float]] = []
        """What was published with a key, and when."""
        self.crashes = 0
        self._crashed_at: dict[str, list[float]] = {}
        self._names = count(1)

    # ------------------------------------------------------------------ publishing

    def publish(
        self,
        topic: str,
        *,
        record: bool = True,
        burst: int = 1,
        pad: int = 0,
        exclude: Sequence[Member] = (),
    ) -> None:
        """Publish some, one after another, from outside."""
        notes, publish = self._notes(burst, pad), partial(self.stage.app.broadcast, topic)
        publish = partial(publish, exclude=exclude)
        self._start(partial(self._publish, topic, notes, record, publish))

    def publish_with_key(self, topic: str, times: int) -> None:
        """Publish one, with a key, at the same time from many sides."""
        [note] = self._notes(1, 0)
        self.keys.append((topic, note, f"key of {note.by}", anyio.current_time()))
        self._repeat(len(self.keys) - 1, times)

    def publish_again(self, which: int) -> None:
        """Publish once more what was published with a key."""
        if self.keys:
            self._repeat(which % len(self.keys), 1)

    def publish_as_room(self, record: bool) -> None:
        """Let the room publish what nobody has pushed."""
        room = self.stage.ledger.room
        if room is not None:
            [note] = self._notes(1, 0)
            self._start(partial(self._publish, "room:a", [note], record, room.broadcast))

    def _repeat(self, which: int, times: int) -> None:
        topic, note, key, since = self.keys[which]
        if anyio.current_time() - since > KEY_WINDOW - 10:
            return
        publish = partial(self.stage.app.broadcast, topic, key=key)
        for _ in range(times):
            self._start(partial(self._publish, topic, [note], True, publish))

    def _notes(self, burst: int, pad: int) -> list[Note]:
        by = f"p{next(self._names)}"
        return [Note(by, n, n % 3, "x" * pad) for n in range(1, burst + 1)]

    async def _publish(
        self,
        topic: str,
        notes: list[Note],
        record: bool,
        publish: Callable[..., Awaitable[object]],
    ) -> None:
        for note in notes:
            # A long burst alternates: what is not recorded must not be overtaken by what is.
            kept = record and not (len(notes) == MIXED and note.n % 2)
            if topic.startswith("bare") or not kept:
                self.stage.expect_unrecorded(topic, note)
            else:
                self.published[topic].add((note.by, note.n))
            await publish(note, record=kept)

    def _start(self, run: Callable[[], Awaitable[object]]) -> None:
        self.tasks.start_soon(self.stage.cancellable, run)

    # ------------------------------------------------------------------ blows

    async def crash(self, path: str) -> bool:
        """Crash what stands at a path, unless that would be once too often."""
        now = anyio.current_time()
        shared = path in SHARED
        recent = self._crashed_at.setdefault("shared" if shared else path, [])
        recent[:] = [moment for moment in recent if moment > now - (5.5 if shared else 10.5)]
        if len(recent) >= (2 if shared else 5) or not self.stage.crash(path):
            return False
        recent.append(now)
        self.crashes += 1
        return True

    def cancel(self, which: int) -> None:
        """Cancel somebody who publishes, pushes or joins."""
        scopes = list(self.stage.scopes)
        if scopes:
            scopes[which % len(scopes)].cancel()

    # ------------------------------------------------------------------ the end

    async def calm(self, seconds: float = 45.0) -> None:
        """Let everybody read, and all come to rest."""
        for peer in (*self.v1, *self.plain):
            if not peer.gone:
                peer.line.resume()
        for _ in range(3):
            await anyio.sleep(seconds / 3)
            for peer in (*self.v1, *self.plain):
                if not peer.gone:
                    peer.line.resume()
        self.check()

    def check(self) -> None:
        """Check all that has come."""
        for peer in (*self.v1, *self.plain):
            peer.check()

    async def finale(self) -> None:
        """Have everybody back, with one more blow, and see to it that all goes on."""
        await self.calm()
        for peer in self.v1:
            if not peer.open:
                await peer.connect()
        for plain in self.plain:
            if not plain.open or plain.is_out:
                await plain.connect()
        await anyio.sleep(12)
        for topic in self.topics:
            self.publish(topic, burst=5)
        self.publish("room:a", record=False, burst=3)
        for peer in self.v1:
            peer.push("room:a", work=0.01)
        await turns(3)
        for path in ("realtime/rooms/room:a", *(f"realtime/pumps/{each}" for each in self.topics)):
            await self.crash(path)
        await self.verify()

    async def verify(self) -> None:
        """See to it, when all is quiet, that everything has come to everybody."""
        await self.calm()
        self._check_logs()
        self._check_pushes()
        for peer in self.v1:
            self._check_v1(peer)
        for plain in self.plain:
            self._check_plain(plain)
        self._check_room()
        assert not self.stage.scopes, "somebody still publishes, pushes or joins"

    def _check_logs(self) -> None:
        for topic, published in self.published.items():
            book = self.stage.books[topic]
            assert published <= book.place.keys()
            latest: dict[str, int] = {}
            for offset in range(1, book.end + 1):
                note = book.note(offset)
                if not note.by.startswith("plain"):  # they publish in many tasks
                    assert note.n > latest.get(note.by, 0), f"{note} was overtaken"
                latest[note.by] = note.n

    def _check_pushes(self) -> None:
        ledger = self.stage.ledger
        assert len(set(ledger.handled)) == len(ledger.handled), "a push was handled twice"
        latest: dict[str, int] = {}
        for who, n in ledger.handled:
            assert n > latest.get(who, 0), f"push {n} of {who} was overtaken"
            latest[who] = n
        handled = set(ledger.handled)
        answers = {
            (who, n): answer
            for who, pushed in ledger.pushed.items()
            for n, answer in pushed.items()
        }
        for peer in self.v1:
            answers.update(peer.answered)
        for key, answer in answers.items():
            if isinstance(answer, int):
                assert key in handled
            elif answer in ("full", "not_joined", "RoomFull", "RoomUnavailable", "Expired"):
                assert key not in handled
            # The room has never so much to do that anybody has to wait for seconds.
            assert answer not in ("timeout", "AskTimeout", "Expired", "RoomFull"), answer
        place = self.stage.books["room:a"].place if "room:a" in self.stage.books else {}
        for (who, n), answer in answers.items():
            assert not isinstance(answer, int) or (f"push {who}", n) in place

    def _check_v1(self, peer: V1Peer) -> None:
        if not peer.open:
            return
        assert not peer.asked, f"{peer.name} has no answer to {peer.asked}"
        for cursor in peer.cursors.values():
            if not cursor.joined:
                continue
            book = self.stage.books[cursor.topic]
            name = peer.connection.name
            topic = self.stage.topic(cursor.topic)
            assert topic is not None
            assert name in topic.members
            if not cursor.topic.startswith("bare"):
                assert cursor.at is not None
                assert cursor.at.offset == book.end, (
                    f"{peer.name} stops at {cursor.at} of {book.end}"
                )
            for before, after in cursor.jumps:
                for offset in range(before + 1, after):
                    self._check_conflated(peer, cursor.topic, offset, cursor.seen)
            if not peer.line.lagged and not cursor.topic.startswith(("melt", "beat")):
                self._check_unrecorded(name, cursor.topic, cursor.unrecorded)
            if cursor.present is not None:
                now = {key: dict(metas) for key, metas in self.stage.app.presence("room:a").items()}
                assert cursor.present == now

    def _check_conflated(self, peer: V1Peer, topic: str, offset: int, seen: set[int]) -> None:
        book = self.stage.books[topic]
        color, name = book.note(offset).c, peer.connection.name
        later = [
            each
            for each in range(offset + 1, book.end + 1)
            # One that he is not to hear of takes the place too: mostly he has sent it himself.
            if book.note(each).c == color and (each in seen or name in book.at(each).exclude)
        ]
        assert later, f"{peer.name} never heard of color {color} again, after {offset}"

    def _check_unrecorded(self, name: str, topic: str, seen: dict[tuple[str, int], None]) -> None:
        ledger, found = self.stage.ledger, self.stage.topic(topic)
        assert found is not None
        meant = [
            (by, n)
            for (where, by, n), audience in ledger.audience.items()
            if where == topic and found.members[name] in audience
        ]
        assert meant == list(seen), f"{name} has not heard all that was not recorded on {topic}"

    def _check_plain(self, peer: PlainPeer) -> None:
        if not peer.open or peer.is_out:
            return
        book, name = self.stage.books[peer.topic], peer.connection.name
        assert peer.joined
        began = self.stage.ledger.began[name]
        if began is not None:
            ends = began.offset if peer.at is None else peer.at
            own = [n for n in range(ends + 1, book.end + 1) if name not in book.at(n).exclude]
            assert own == [], f"{peer.name} stops at {ends}"
        if not peer.line.lagged and not peer.topic.startswith(("melt", "beat")):
            self._check_unrecorded(name, peer.topic, peer.unrecorded)

    def _check_room(self) -> None:
        topic, room = self.stage.topic("room:a"), self.stage.ledger.room
        if topic is None or room is None or not topic.members:
            return
        assert {member.id for member in room.members} == topic.members.keys()
        assert room.known == topic.members.keys()
        assert not self.stage.ledger.double_leaves
        present = {ref for metas in self.stage.app.presence("room:a").values() for ref in metas}
        assert present <= topic.members.keys()


async def fight(battle: Battle, steps: list[tuple[str, int, int]]) -> None:
    """Carry out steps, each in the middle of what the ones before have begun."""
    for kind, which, how in steps:
        await STEPS[kind](battle, which, how)


async def _publish(battle: Battle, which: int, how: int) -> None:
    topic = battle.topics[which % len(battle.topics)]
    # Where values are conflated, one that is not recorded may take the place of one that is.
    record = how % 4 != 0 or topic.startswith(("melt", "beat"))
    found = battle.stage.topic(topic)
    recorded = record and not topic.startswith("bare")
    members = [] if found is None or not recorded else list(found.members.values())
    exclude = members[which % 2 :: 2] if how == 7 else []
    pad = 400 * (how % 3)
    burst = 1 + which % (6 if topic.startswith(("melt", "beat")) or exclude else MIXED)
    battle.publish(topic, record=record, burst=burst, pad=pad, exclude=exclude)


async def _publish_key(battle: Battle, which: int, how: int) -> None:
    recorded = [topic for topic in battle.topics if not topic.startswith("bare")]
    if how % 2:
        battle.publish_again(which)
    else:
        battle.publish_with_key(recorded[which % len(recorded)], 1 + how % 3)


async def _publish_as_room(battle: Battle, which: int, how: int) -> None:
    battle.publish_as_room(bool(how % 2))


async def _come(battle: Battle, which: int, how: int) -> None:
    if len(battle.v1) < 6:
        peer = V1Peer(battle.stage, f"v1 {len(battle.v1)}")
        battle.v1.append(peer)
        await peer.connect(prompt=how % 4 != 3)
        for number, topic in enumerate(battle.topics):
            if (which >> number) & 1 and may_join(peer, topic):
                peer.join(topic)


def may_join(peer: V1Peer, topic: str) -> bool:
    """Tell whether this one joins that: who is closed as too slow learns nothing of the others."""
    return not topic.startswith("cut") or peer.name.endswith(("1", "3"))


async def _come_plain(battle: Battle, which: int, how: int) -> None:
    if len(battle.plain) < 6:
        topic = battle.topics[which % len(battle.topics)]
        peer = PlainPeer(battle.stage, f"plain {len(battle.plain)}", topic)
        battle.plain.append(peer)
        await peer.connect(prompt=how % 4 != 3, work=0.01 * (how % 3))


async def _join(battle: Battle, which: int, how: int) -> None:
    if battle.v1:
        peer = battle.v1[which % len(battle.v1)]
        topic = battle.topics[how % len(battle.topics)]
        params: dict[str, object] = {"work": 0.02} if which & 32 else {}
        if which & 16:
            params["refuse"] = True
        cursor = peer.cursors.get(topic)
        if (cursor is None or not cursor.joined) and may_join(peer, topic):
            peer.join(topic, **params)


async def _leave(battle: Battle, which: int, how: int) -> None:
    if battle.v1:
        peer = battle.v1[which % len(battle.v1)]
        peer.leave(battle.topics[how % len(battle.topics)])


async def _flip(battle: Battle, which: int, how: int) -> None:
    if battle.v1:
        peer, topic = battle.v1[which % len(battle.v1)], battle.topics[how % len(battle.topics)]
        if not may_join(peer, topic):
            return
        peer.leave(topic)
        for _ in range(1 + which % 3):
            peer.join(topic)
            await turns(which >> 4)
            peer.leave(topic)
        peer.join(topic)


async def _push(battle: Battle, which: int, how: int) -> None:
    rooms = [peer for peer in battle.plain if peer.topic == "room:a"]
    work = 0.01 * (which >> 4)
    if battle.v1:
        peer = battle.v1[which % len(battle.v1)]
        for number in range(1 + how):
            peer.push("room:a", work=0.0 if number else work, answer=number % 3 != 2)
    if rooms:
        other = rooms[which % len(rooms)]
        for number in range(1 + how):
            other.say(work=0.0 if number else work)


async def _publish_as_member(battle: Battle, which: int, how: int) -> None:
    if battle.plain:
        peer = battle.plain[which % len(battle.plain)]
        for _ in range(1 + how % 3):
            peer.publish(record=bool(how % 2) or peer.topic.startswith(("melt", "beat")))


async def _leave_plain(battle: Battle, which: int, how: int) -> None:
    if battle.plain:
        battle.plain[which % len(battle.plain)].leave()


async def _drop(battle: Battle, which: int, how: int) -> None:
    peers = [*battle.v1, *battle.plain]
    if peers:
        peer = peers[which % len(peers)]
        peer.check()
        peer.drop(1000 if how % 4 == 0 else 1006)


async def _back(battle: Battle, which: int, how: int) -> None:
    peers = [*battle.v1, *battle.plain]
    if peers:
        peer = peers[which % len(peers)]
        peer.check()
        if isinstance(peer, V1Peer):
            await peer.connect(prompt=how % 4 != 3)
        if isinstance(peer, PlainPeer):
            await peer.connect(prompt=how % 4 != 3, resume=bool(how % 2), work=0.01 * (which % 2))


async def _read(battle: Battle, which: int, how: int) -> None:
    peers = [each for each in (*battle.v1, *battle.plain) if not each.gone]
    if peers:
        line = peers[which % len(peers)].line
        if how < 2:
            line.stall()
        elif how < 5:
            line.resume()
        else:
            line.sip(which % 16)


async def _crash(battle: Battle, which: int, how: int) -> None:
    paths = [*battle.stage.places()]
    if paths:
        await battle.crash(sorted(paths)[which % len(paths)])


async def _crash_room(battle: Battle, which: int, how: int) -> None:
    topic = battle.topics[how % len(battle.topics)]
    await battle.crash(f"realtime/pumps/{topic}" if which % 2 else "realtime/rooms/room:a")


async def _cancel(battle: Battle, which: int, how: int) -> None:
    for number in range(1 + how % 3):
        battle.cancel(which + number)


async def _wait(battle: Battle, which: int, how: int) -> None:
    await anyio.sleep(0.003 * (1 + which) if how < 7 else 0.5 * which)


async def _turns(battle: Battle, which: int, how: int) -> None:
    await turns(1 + which % 16)


async def _check(battle: Battle, which: int, how: int) -> None:
    battle.check()


STEPS: Final = {
    "publish": _publish,
    "publish with a key": _publish_key,
    "publish as the room": _publish_as_room,
    "publish as a member": _publish_as_member,
    "come": _come,
    "come plainly": _come_plain,
    "join": _join,
    "leave": _leave,
    "leave plainly": _leave_plain,
    "flip": _flip,
    "push": _push,
    "drop": _drop,
    "back": _back,
    "read": _read,
    "crash": _crash,
    "crash the room or a pump": _crash_room,
    "cancel": _cancel,
    "wait": _wait,
    "turns": _turns,
    "check": _check,
}
