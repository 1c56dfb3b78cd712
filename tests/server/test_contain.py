"""One connection's failure is kept from the server, and its cancellation is not."""

import anyio
import pytest

from herdwick.server.contain import contained


class OwnBaseException(BaseException):
    pass


FAILURES = [
    ValueError("a bug"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    OwnBaseException(),
    ExceptionGroup("bugs", [ValueError()]),
    BaseExceptionGroup("exits", [SystemExit(3), KeyboardInterrupt()]),
    BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [GeneratorExit()]), ValueError()]),
]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
async def test_what_is_raised_is_given(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    assert await contained(fail) is error


@pytest.mark.parametrize("error", FAILURES, ids=repr)
async def test_what_is_raised_under_our_cancellation_is_given_too(error: BaseException) -> None:
    async def fail() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await contained(fail) is error


async def test_nothing_raised_is_none() -> None:
    assert await contained(anyio.wait_all_tasks_blocked) is None


async def test_our_own_cancellation_goes_through() -> None:
    reached = False
    with anyio.CancelScope() as scope:
        scope.cancel()
        await contained(anyio.sleep_forever)
        reached = True

    assert scope.cancelled_caught
    assert not reached


@pytest.mark.asyncio_only
async def test_a_cancelled_error_raised_by_hand_is_a_failure() -> None:
    cancelled = anyio.get_cancelled_exc_class()

    async def fail() -> None:
        raise cancelled

    assert isinstance(await contained(fail), cancelled)
