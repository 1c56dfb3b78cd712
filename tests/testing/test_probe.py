"""Probes: the test takes an actor's place."""

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    ActorStopped,
    Ask,
    Context,
    Exit,
    Message,
    Ref,
    Rejected,
)
from herdwick.testing import (
    VIRTUAL_BACKENDS,
    Backend,
    Harness,
    Probe,
    Unmet,
    virtual_backend,
)


class Said(Message):
    """Somebody said it."""

    text: str


class Left(Message):
    """Somebody left."""

    user: str


class Count(Ask[int]):
    """How many?"""


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return virtual_backend(request.param)


@pytest.fixture
def probe() -> Probe[Said | Left | Count]:
    return Probe("probe")


async def test_it_gives_what_it_was_told_in_its_order(probe: Probe[Said | Left]) -> None:
    probe.ref.tell(Said("one"))
    probe.ref.tell(Left("ann"))
    await probe.ref.send(Said("two"))

    assert await probe.receive() == Said("one")
    assert (await probe.expect(Left)).user == "ann"
    assert await probe.expect_message(Said("two")) == Said("two")


async def test_it_waits_for_what_is_to_come(probe: Probe[Said]) -> None:
    async def say_later() -> None:
        await anyio.sleep(60)
        probe.ref.tell(Said("late"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say_later)
        await probe.expect_message(Said("late"), timeout=61)


async def test_nothing_within_the_timeout_is_an_error_that_says_so(probe: Probe[Said]) -> None:
    began = anyio.current_time()

    with pytest.raises(Unmet, match=r"probe expected Said; nothing came within 1 s$"):
        await probe.expect(Said)

    assert anyio.current_time() - began == 1


async def test_something_else_is_an_error_that_shows_it(probe: Probe[Said | Left]) -> None:
    probe.ref.tell(Left("ann"))
    probe.ref.tell(Said("bye"))

    with pytest.raises(Unmet, match=r"expected Said; there came Left\(user='ann'\), and behind it"):
        await probe.expect(Said)


async def test_another_value_is_an_error_that_shows_both(probe: Probe[Said]) -> None:
    probe.ref.tell(Said("no"))

    with pytest.raises(Unmet, match=r"expected Said\(text='yes'\); there came Said\(text='no'\)$"):
        await probe.expect_message(Said("yes"))


async def test_what_did_not_fit_is_still_there(probe: Probe[Said | Left]) -> None:
    probe.ref.tell(Left("ann"))
    with pytest.raises(Unmet):
        await probe.expect(Said)

    assert await probe.expect(Left) == Left("ann")


async def test_it_answers_a_question(probe: Probe[Count]) -> None:
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await probe.ref.ask(Count()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        question = await probe.expect_ask(Count)
        assert question.message == Count()
        assert probe.unanswered == (Count(),)
        question.reply(5)

    assert answers == [5]
    assert probe.unanswered == ()


async def test_it_rejects_a_question(probe: Probe[Count]) -> None:
    async with anyio.create_task_group() as tasks:

        async def refuse() -> None:
            (await probe.expect_ask(Count)).reply.reject("too many")

        tasks.start_soon(refuse)
        with pytest.raises(Rejected, match="too many"):
            await probe.ref.ask(Count())


async def test_a_question_is_no_message_to_expect(probe: Probe[Count]) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(probe.ref.ask, Count())

        with pytest.raises(Unmet, match=r"use `expect_ask\(Count\)` to answer it"):
            await probe.expect(Count)

        (await probe.expect_ask(Count)).reply(1)


async def test_a_message_is_no_question(probe: Probe[Said]) -> None:
    probe.ref.tell(Said("hi"))

    with pytest.raises(Unmet, match=r"expected to be asked Said; there came Said\(text='hi'\)$"):
        await probe.expect_ask(Said)


async def test_a_plain_message_that_was_asked_is_answered_when_it_is_taken(
    probe: Probe[Said],
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(probe.ref.ask, Said("handled?"))

        assert await probe.expect(Said) == Said("handled?")


async def test_a_question_that_nobody_waits_for_any_more_is_left_out(
    probe: Probe[Count | Said],
) -> None:
    with pytest.raises(TimeoutError):
        await probe.ref.ask(Count(), timeout=1)
    probe.ref.tell(Said("next"))

    assert await probe.receive() == Said("next")
    assert probe.received == (Count(), Said("next"))


async def test_nothing_is_what_it_expects_by_default_without_a_wait(probe: Probe[Said]) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 1)

        await probe.expect_nothing()

        assert anyio.current_time() == 0


async def test_what_comes_at_once_is_not_nothing(probe: Probe[Said]) -> None:
    async def say() -> None:
        await anyio.lowlevel.checkpoint()
        probe.ref.tell(Said("boo"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say)
        with pytest.raises(Unmet, match=r"expected nothing; there came Said\(text='boo'\)$"):
            await probe.expect_nothing()


@pytest.mark.parametrize(("delay", "comes"), [(9, True), (10, True), (11, False)])
async def test_nothing_can_be_expected_for_some_time(
    probe: Probe[Said], delay: float, comes: bool
) -> None:
    async def say() -> None:
        await anyio.sleep(delay)
        probe.ref.tell(Said("late"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say)
        if comes:
            with pytest.raises(Unmet, match="late"):
                await probe.expect_nothing(during=10)
        else:
            await probe.expect_nothing(during=10)


async def test_it_sees_the_end_of_what_it_monitors() -> None:
    async def nap(ctx: Context[Said], to: Ref[Said]) -> None:
        to.tell(await ctx.receive())

    async with Harness() as harness:
        probe = harness.probe(Said)
        napper = await harness.spawn(nap, probe.ref)
        probe.monitor(napper)
        napper.tell(Said("good night"))

        down = await probe.expect_down(napper, "normal")

        assert (down.ref, down.reason) == (napper, Exit("normal"))
        assert probe.received == (Said("good night"), down)
        assert await probe.receive() == Said("good night")


async def test_an_actor_that_lives_on_is_no_down() -> None:
    async with Harness() as harness:
        probe: Probe[Said] = harness.probe(Said)
        other = await harness.spawn(echo, probe.ref)
        probe.monitor(other)

        with pytest.raises(Unmet, match=r"the end of test/spawned/echo; it lives on after 1 s"):
            await probe.expect_down(other)


async def test_an_end_of_another_kind_is_an_error() -> None:
    async with Harness() as harness:
        probe: Probe[Said] = harness.probe(Said)
        other = await harness.spawn(echo, probe.ref)
        probe.monitor(other)
        await harness.stop(other)

        with pytest.raises(Unmet, match="by crash; it ended by shutdown"):
            await probe.expect_down(other, "crash")


async def test_a_down_of_nobody_that_it_monitors_is_a_mistake(probe: Probe[Said]) -> None:
    with pytest.raises(ValueError, match=r"probe does not monitor other; call `probe.monitor"):
        await probe.expect_down(Probe[Said]("other").ref)


async def test_it_can_end_as_actors_do(probe: Probe[Said]) -> None:
    other: Probe[Said] = Probe("other")
    other.monitor(probe.ref)

    probe.end(Exit("crash", "boom"))
    other.monitor(probe.ref)

    assert (await other.expect_down(probe.ref)).reason == Exit("crash", "boom")
    assert (await other.expect_down(probe.ref)).reason == Exit("noproc")
    assert probe.ref.tell(Said("?")) is False
    with pytest.raises(ActorStopped):
        await probe.ref.ask(Said("?"))


async def test_an_actor_can_ask_it_within_a_handler() -> None:
    async def count(ctx: Context[Said], whom: Ref[Count], to: Ref[Said]) -> None:
        await ctx.receive()
        to.tell(Said(f"{await whom.ask(Count())}"))

    async with Harness() as harness:
        probe = harness.probe(Said, Count)
        counter = await harness.spawn(count, probe.ref, probe.ref)
        counter.tell(Said("count!"))

        (await probe.expect_ask(Count)).reply(3)

        await probe.expect_message(Said("3"))


def test_it_shows_its_name(probe: Probe[Said]) -> None:
    assert repr(probe) == "<Probe probe>"
    assert probe.ref.path == "probe"


async def echo(ctx: Context[Said], to: Ref[Said]) -> None:
    while True:
        to.tell(await ctx.receive())
