"""The fixtures for pytest, which finds this module by its entry point.

It stands beside the package and imports it within the fixtures: pytest loads its plugins in each
run, and those that test something else should not wait for all of herdwick.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from herdwick.testing import Backend, Harness

# Or a failed contract would say no more than that it has failed.
pytest.register_assert_rewrite("herdwick.testing.contracts")

BACKENDS: list[str] = ["asyncio", "trio"]
if sys.version_info >= (3, 12):
    BACKENDS += ["asyncio-eager"]


@pytest.fixture
async def harness() -> AsyncGenerator[Harness]:
    """A `herdwick.testing.Harness` without children, for tests under anyio's plugin or pytest-trio.

    When the test is over it stops all actors, and fails the test for a crash that it had not asked
    for and for what is left behind.
    """
    from herdwick.testing import Harness

    async with Harness() as harness:
        yield harness


@pytest.fixture(params=BACKENDS)
def virtual_backend(request: pytest.FixtureRequest) -> Backend:
    """A backend of anyio's with a virtual clock, each test on asyncio and on trio.

    To run the tests of a folder in virtual time, write into its conftest.py:

        @pytest.fixture
        def anyio_backend(virtual_backend):
            return virtual_backend

    Tests of pytest-trio take its own fixture `autojump_clock`.
    """
    from herdwick.testing import virtual_backend

    return virtual_backend(request.param)
