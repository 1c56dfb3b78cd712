"""Answers that come later, and questions that get none."""

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskGroup

from herdwick.runtime import (
    LATER,
    Actor,
    Ask,
    AskTimeout,
    Child,
    Context,
    Crashed,
    Later,
    Message,
    NoReply,
    Ref,
    Rejected,
    Reply,
    Unanswered,
    on,
)
from herdwick.testing import settle
from tests.runtime.samples import running


class Order(Ask[str]):
    """Wants an answer, some time."""


class Plain(Message):
    """Wants none, but may be asked."""


class Fail(Message):
    """Raise an error."""


class End(Message):
    """Stop."""

    detail: str | None = None


Orders = Order | Plain | Fail | End
ORDER = Order()


class Desk(Actor[Orders]):
    """Answers no question before it is told to."""

    def __init__(self, replies: list[Reply[str]], plain: list[Reply[None]]) -> None:
        self._replies = replies
        self._plain = plain

    @on(Order)
    async def order(self, message: Order) -> Later:
        self._replies.append(self.ctx.defer(message))
        return LATER

    @on(Plain)
    async def plain(self, message: Plain) -> Later:
        self._plain.append(self.ctx.defer(message))
        return LATER

    @on(Fail)
    async def fail(self, message: Fail) -> None:
        raise ValueError("boom")

    @on(End)
    async def end(self, message: End) -> None:
        self.ctx.stop(message.detail)


class Front:
    """A desk that runs, and those who wait at it."""

    def __init__(self, ref: Ref[Orders], replies: list[Reply[str]], plain: list[Reply[None]]):
        self.ref = ref
        self.replies = replies
        self.plain = plain
        self.answers: list[object] = []

    async def ask(self, message: Order | Plain = ORDER, timeout: float = 5.0) -> None:
        """Wait for an answer, or an error, and write it down."""
        try:
            self.answers.append(await self.ref.ask(message, timeout=timeout))
        except Exception as error:
            self.answers.append(error)


@asynccontextmanager
async def front() -> AsyncGenerator[tuple[Front, TaskGroup]]:
    replies, plain = list[Reply[str]](), list[Reply[None]]()
    child = Child(Desk, replies, plain).named("desk")
    async with running(child) as system, anyio.create_task_group() as tasks:
        yield Front(system.ref(child), replies, plain), tasks


# ---------------------------------------------------------------------- later


async def test_an_answer_may_come_later_and_meanwhile_others_are_served() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask)
        tasks.start_soon(desk.ask)
        await settle()
        assert desk.answers == []

        desk.replies[1]("second")
        await settle()
        desk.replies[0]("first")
        await settle()

        assert desk.answers == ["second", "first"]


async def test_a_plain_message_that_was_asked_may_be_answered_later_too() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask, Plain())
        await settle()
        assert desk.answers == []

        desk.plain[0](None)
        await settle()

        assert desk.answers == [None]


async def test_only_the_first_reply_counts() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask)
        await settle()
        [reply] = desk.replies
        reply("first")
        reply("second")
        reply.reject("third")
        await settle()

        assert desk.answers == ["first"]


async def test_a_late_answer_may_be_a_rejection() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask)
        await settle()
        desk.replies[0].reject("not today")
        await settle()

        [error] = desk.answers
        assert isinstance(error, Rejected)
        assert error.error == "not today"


async def test_a_reply_tells_whether_it_is_still_wanted() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask)
        await settle()
        [reply] = desk.replies
        before = reply.wanted
        reply("here")

        assert (before, reply.wanted) == (True, False)


async def test_a_reply_is_wanted_no_more_when_its_asker_has_given_up() -> None:
    async with front() as (desk, _):
        with pytest.raises(AskTimeout, match="root/desk did not answer within 1 s"):
            await desk.ref.ask(Order(), timeout=1)

        [reply] = desk.replies
        assert not reply.wanted
        reply("late")


async def test_a_message_that_was_told_may_be_deferred_and_nobody_waits() -> None:
    async with front() as (desk, _):
        desk.ref.tell(Plain())
        await settle()

        [reply] = desk.plain
        assert not reply.wanted
        reply(None)


async def test_a_helper_may_give_the_answer() -> None:
    class Helped(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> Later:
            self.ctx.start_soon(self._work, self.ctx.defer(message))
            return LATER

        async def _work(self, reply: Reply[str]) -> None:
            await anyio.sleep(1)
            reply("done")

    child = Child(Helped)
    async with running(child) as system:
        assert await system.ref(child).ask(Order()) == "done"


async def test_a_function_may_go_on_before_it_answers() -> None:
    async def collect(ctx: Context[Order]) -> None:
        replies = [ctx.defer(await ctx.receive()) for _ in range(2)]
        for number, reply in enumerate(replies):
            reply(f"{number}")
        await ctx.receive()

    child, answers = Child(collect), list[str]()
    async with running(child) as system, anyio.create_task_group() as tasks:

        async def ask() -> None:
            answers.append(await system.ref(child).ask(Order()))

        tasks.start_soon(ask)
        await settle()
        assert answers == []
        tasks.start_soon(ask)
        await settle()

        assert sorted(answers) == ["0", "1"]


async def test_one_that_deferred_may_still_return_the_answer() -> None:
    class Quick(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> str:
            self.ctx.defer(message)
            return "quick"

    child = Child(Quick)
    async with running(child) as system:
        assert await system.ref(child).ask(Order()) == "quick"


# ---------------------------------------------------------------------- owed answers


async def test_a_crash_fails_the_owed_answers_at_once() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask, Order(), 3600)
        tasks.start_soon(desk.ask, Plain(), 3600)
        await settle()
        desk.ref.tell(Fail())
        await settle()

        for error in desk.answers:
            assert isinstance(error, Crashed)
            assert str(error) == "root/desk ended before it answered: crash (ValueError: boom)"
            assert isinstance(error.__cause__, ValueError)
        assert len(desk.answers) == 2


async def test_an_ordered_end_fails_the_owed_answers_too() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask, Order(), 3600)
        await settle()
        desk.ref.tell(End("closing time"))
        await settle()

        [error] = desk.answers
        assert isinstance(error, Unanswered)
        assert str(error) == "root/desk ended before it answered: shutdown (closing time)"


async def test_the_reply_of_a_life_before_reaches_nobody() -> None:
    async with front() as (desk, tasks):
        tasks.start_soon(desk.ask)
        await settle()
        desk.ref.tell(Fail())
        await settle()
        [reply] = desk.replies

        assert not reply.wanted
        reply("too late")
        assert len(desk.answers) == 1


async def test_an_answer_in_the_last_moment_counts() -> None:
    class Polite(Desk):
        async def on_stop(self, reason: object) -> None:
            for reply in self._replies:
                reply("goodbye")

    child = Child(Polite, [], [])
    async with running(child) as system, anyio.create_task_group() as tasks:
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await system.ref(child).ask(Order()))

        tasks.start_soon(ask)
        await settle()
        system.ref(child).tell(Fail())
        await settle()

        assert answers == ["goodbye"]


# ---------------------------------------------------------------------- no answer


async def test_a_handler_that_says_later_and_deferred_nothing_fails_as_no_reply() -> None:
    class Forgetful(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> Later:
            return LATER

    child = Child(Forgetful).named("forgetful")
    async with running(child) as system:
        with pytest.raises(NoReply, match="root/forgetful handled Order and gave no answer"):
            await system.ref(child).ask(Order(), timeout=3600)


async def test_a_plain_message_is_held_to_what_its_handler_says() -> None:
    class Forgetful(Actor[Plain]):
        @on(Plain)
        async def plain(self, message: Plain) -> Later:
            return LATER

    child = Child(Forgetful)
    async with running(child) as system:
        with pytest.raises(NoReply):
            await system.ref(child).ask(Plain(), timeout=3600)


async def test_a_handler_that_ends_without_a_reply_fails_as_no_reply_at_once() -> None:
    class Silent(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> str:
            return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    child = Child(Silent)
    async with running(child) as system:
        with pytest.raises(NoReply, match="root/Silent handled Order"):
            await system.ref(child).ask(Order(), timeout=3600)
        with pytest.raises(NoReply):
            await system.ref(child).ask(Order(), timeout=3600)  # and it has not crashed

        assert system.ref(child).incarnation == 1


async def test_a_function_that_returns_without_an_answer_fails_the_question() -> None:
    async def rude(ctx: Context[Order]) -> None:
        await ctx.receive()

    child = Child(rude).policy(restart="temporary")
    async with running(child) as system:
        with pytest.raises(NoReply, match="root/rude handled Order"):
            await system.ref(child).ask(Order(), timeout=3600)


async def test_a_reply_that_nobody_kept_leaves_the_question_to_its_timeout() -> None:
    class Careless(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> Later:
            self.ctx.defer(message)
            return LATER

    child = Child(Careless)
    async with running(child) as system:
        with pytest.raises(AskTimeout):
            await system.ref(child).ask(Order(), timeout=3)
        gc.collect()


# ---------------------------------------------------------------------- what cannot be deferred


async def test_a_message_is_deferred_once() -> None:
    class Twice(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> Later:
            self.ctx.defer(message)
            self.ctx.defer(message)
            return LATER

    child = Child(Twice)
    async with running(child) as system:
        with pytest.raises(Crashed, match="root/Twice has deferred this message already"):
            await system.ref(child).ask(Order())


async def test_no_other_message_than_the_one_in_hand_can_be_deferred() -> None:
    class Wrong(Actor[Order]):
        @on(Order)
        async def order(self, message: Order) -> Later:
            self.ctx.defer(Plain())
            return LATER

    child = Child(Wrong)
    async with running(child) as system:
        with pytest.raises(Crashed, match="root/Wrong can defer the message in hand, no other"):
            await system.ref(child).ask(Order())


async def test_the_message_before_cannot_be_deferred_any_more() -> None:
    async def late(ctx: Context[Plain | Order]) -> None:
        before = await ctx.receive()
        await ctx.receive()
        ctx.defer(before)

    child = Child(late).policy(restart="temporary")
    async with running(child) as system:
        system.ref(child).tell(Plain())
        with pytest.raises(Crashed, match="can defer the message in hand, no other"):
            await system.ref(child).ask(Order())
