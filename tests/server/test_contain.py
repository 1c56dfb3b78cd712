"""One connection's failure is kept from the server, and its cancellation is not."""

import anyio
import pytest

from herdwick.server.contain import contained


async def test_what_is_raised_is_given() -> None:
    async def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("a bug"), SystemExit(3), ExceptionGroup("bugs", [ValueError()])):
        assert await contained(fail, error) is error


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
