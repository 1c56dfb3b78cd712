"""What may be declared of topics and rooms; each mistake is told at once, with what to do."""

import re
from typing import Any
from uuid import UUID

import pytest

from herdwick import (
    Application,
    CatchUp,
    Conflate,
    Disconnect,
    History,
    Member,
    Message,
    PresenceOptions,
    Room,
    RoomMisdeclared,
    WebSocket,
    from_member,
    on,
)
from herdwick.routing import DuplicateRoute, InvalidPattern, UnknownParameterType
from herdwick.testing import TestClient, settle
from tests.websocket.rooms.stage import topics


class Move(Message):
    x: int = 0


class Tick(Message):
    pass


class Game(Room[Move | Tick]):
    def __init__(self, game_id: str) -> None:
        self.game_id = game_id

    @from_member(Move)
    async def move(self, message: Move, member: Member) -> None:
        pass

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        pass


def of(*parameters: str) -> type[Room[Any]]:
    """Give a room whose constructor takes these parameters."""
    scope: dict[str, Any] = {"UUID": UUID}
    exec(f"def __init__(self, {', '.join(parameters)}): pass", scope)  # noqa: S102 - many of them
    return type("Made", (Room,), {"__init__": scope["__init__"]})


# ------------------------------------------------------------------ rooms and their patterns


@pytest.mark.parametrize(
    ("pattern", "parameters"),
    [
        ("room", []),
        ("room:{a}", ["a: str"]),
        ("room:{a}", ["a"]),
        ("room:{a:int}", ["a: int"]),
        ("room:{a:uuid}", ["a: UUID"]),
        ("room:{a}", ["a: str", "b: int = 3"]),
        ("room:{a}:{b}", ["b", "a"]),
        ("room:{a}", ["a", "*more", "**options"]),
        ("room:{a}", ["a: 'Unknown'"]),
    ],
)
def test_a_constructor_that_takes_the_parameters_of_the_pattern_fits(
    pattern: str, parameters: list[str]
) -> None:
    room = of(*parameters)

    assert Application().room(pattern)(room) is room


@pytest.mark.parametrize(
    ("pattern", "parameters", "advice"),
    [
        ("room:{a}", [], "its constructor takes no 'a'"),
        ("room:{a}", ["b"], "its constructor takes no 'a'"),
        ("room:{a}:{b}", ["a"], "the parameters of the pattern: a, b"),
        ("room", ["a"], "its constructor wants 'a', which the pattern has not"),
        ("room:{a}", ["a", "b"], "its constructor wants 'b', which the pattern has not"),
        ("room:{a}", ["a: int"], "write {a:int} in the pattern"),
        ("room:{a:int}", ["a: str"], "write {a:str} in the pattern"),
        ("room:{a:int}", ["a: UUID"], "write {a:uuid} in the pattern"),
    ],
)
def test_one_that_does_not_is_told_what_the_pattern_and_it_lack(
    pattern: str, parameters: list[str], advice: str
) -> None:
    app = Application()

    with pytest.raises(RoomMisdeclared) as caught:
        app.room(pattern)(of(*parameters))

    assert advice in str(caught.value)
    assert repr(pattern) in str(caught.value)
    assert caught.value.pattern == pattern


@pytest.mark.parametrize("what", [Move, Game("a"), print])
def test_what_is_no_class_of_rooms_is_refused(what: Any) -> None:
    with pytest.raises(RoomMisdeclared, match="it is no class derived from Room"):
        Application().room("game:{game_id}")(what)


def test_two_messages_of_members_with_one_name_are_refused_where_the_room_is_declared() -> None:
    class Turn(Message):
        pass

    class Spin(Message, tag="Turn"):
        pass

    class Wheel(Room[Turn | Spin]):
        @from_member(Turn)
        async def turn(self, message: Turn, member: Member) -> None: ...

        @from_member(Spin)
        async def spin(self, message: Spin, member: Member) -> None: ...

    with pytest.raises(RoomMisdeclared, match="must have unique `tag` values"):
        Application().room("wheel")(Wheel)


def test_a_class_makes_the_rooms_of_one_pattern_only() -> None:
    app = Application()
    app.room("game:{game_id}")(Game)

    with pytest.raises(RoomMisdeclared, match=r"it is the room of 'game:\{game_id\}'; derive"):
        app.room("match:{game_id}")(Game)


def test_two_patterns_that_match_the_same_names_are_refused_and_leave_nothing_behind() -> None:
    app = Application()
    app.topic("game:{name}")

    with pytest.raises(DuplicateRoute) as caught:
        app.room("game:{game_id}")(Game)
    assert (caught.value.pattern, caught.value.existing) == ("game:{game_id}", "game:{name}")
    app.room("match:{game_id}")(Game)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("", InvalidPattern),
        ("a::b", InvalidPattern),
        ("game:{}", InvalidPattern),
        ("game:{a", InvalidPattern),
        ("game:x{a}", InvalidPattern),
        ("game:{a}:{a}", InvalidPattern),
        ("game:{a:path}", UnknownParameterType),
        ("game:{a:integer}", UnknownParameterType),
    ],
)
def test_a_text_that_is_no_pattern_is_refused(pattern: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Application().topic(pattern)


async def test_a_type_of_parameter_that_the_application_has_registered_can_be_used() -> None:
    app = Application()
    made: list[object] = []
    app.param_types.register("even", lambda text: 2 * (int(text) // 2))

    @app.room("room:{number:even}")
    class Own(Room):
        def __init__(self, number: int) -> None:
            made.append(number)

    topics(app)
    async with TestClient(app) as client, client.websocket_connect("/room:8"):
        await settle()

    assert made == [8]


# ------------------------------------------------------------------ the classes themselves


def test_what_members_push_and_what_actors_send_are_told_apart() -> None:
    assert list(Game.__member_handlers__) == [Move]
    assert list(Game.__handlers__) == [Tick]


def test_a_room_inherits_its_handlers_and_may_say_otherwise() -> None:
    class Quiet(Game):
        @from_member(Move)
        async def move(self, message: Move, member: Member) -> None:
            """Do nothing."""

    class Closed(Game):
        @on(Move)
        async def shut(self, message: Move) -> None:
            """Take it from actors only."""

    assert Closed.__member_handlers__ == {}
    assert Closed.__handlers__[Move] is Closed.shut

    assert Quiet.__member_handlers__[Move] is Quiet.move
    assert list(Quiet.__handlers__) == [Tick]
    assert Game.__member_handlers__[Move] is Game.move


def test_a_message_without_a_handler_and_a_handler_without_its_message_are_refused() -> None:
    with pytest.raises(TypeError, match="takes Tick and has no handler for it"):

        class Lacks(Room[Tick]):  # pyright: ignore[reportUnusedClass]  # it is refused
            pass

    with pytest.raises(TypeError, match="handles Move and does not take it"):

        class Superfluous(Room[Tick]):  # pyright: ignore[reportUnusedClass]  # it is refused
            @on(Tick)
            async def tick(self, message: Tick) -> None:
                pass

            @from_member(Move)
            async def move(self, message: Move, member: Member) -> None:
                pass


def test_a_handler_for_members_is_async_and_for_one_message_class() -> None:
    with pytest.raises(TypeError, match=r"is marked @from_member\(Move\) and cannot be awaited"):

        class Blocking(Room[Move]):  # pyright: ignore[reportUnusedClass]  # it is refused
            @from_member(Move)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            def move(self, message: Move, member: Member) -> None:
                pass

    with pytest.raises(TypeError, match="@from_member takes one message class"):
        from_member(int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: History(size=0), "it must be 1 or more"),
        (lambda: History(ttl=0), "it must be more than 0 seconds"),
        (lambda: History(ttl=float("nan")), "it must be more than 0 seconds"),
        (lambda: History(size=5, replay=6), "it must be from 0 to size, 5"),
        (lambda: History(replay=-1), "it must be from 0 to size"),
        (lambda: CatchUp(patience=0), "it must be more than 0 seconds"),
        (lambda: Conflate(str, interval=-1), "it must be 0 seconds or more"),
        (lambda: Conflate(str, interval=float("inf")), "it must be 0 seconds or more"),
        (lambda: Conflate(str, patience=float("nan")), "it must be more than 0 seconds"),
        (lambda: Application().topic("a", slow=CatchUp()), "give it `history=History"),
        (lambda: Application().topic("a", idle=0), "idle is 0; it must be more than 0 s"),
        (lambda: Application().room("game:{game_id}", capacity=0)(Game), "at least 1"),
        (lambda: Application().room("game:{game_id}", cool_down=0)(Game), "more than 0 s"),
    ],
)
def test_an_option_out_of_its_range_is_told(make: Any, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        make()


def test_a_key_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="it must be a function of the payload"):
        Conflate("symbol")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_options_that_are_right_are_taken() -> None:
    app = Application()
    app.topic("a", history=History(), slow=CatchUp(), presence=PresenceOptions(grace=10))
    app.topic("b", slow=Conflate[str](str, interval=0.5))
    app.topic("c", slow=Disconnect(), presence=True)


async def test_topics_are_declared_before_the_application_runs() -> None:
    app = Application()

    async with app.running():
        with pytest.raises(RuntimeError, match="declare its topics before"):
            app.topic("late")
        with pytest.raises(RuntimeError, match="declare its topics before"):
            app.room("game:{game_id}")(Game)


async def test_the_most_specific_pattern_decides() -> None:
    app = Application()
    app.topic("game:lobby", history=History(replay=1))
    app.topic("game:{name}")

    @app.ws("/{topic}")
    async def handler(websocket: WebSocket, topic: str) -> None:
        await websocket.accept()
        async with websocket.join(topic):
            await websocket.wait_closed()

    async with TestClient(app):
        assert await app.broadcast("game:lobby", 1) is not None
        assert await app.broadcast("game:other", 1) is None
