"""Rooms live by time: idle, grace, cool-down; here it is virtual, and costs none."""

import pytest

from herdwick.testing import VIRTUAL_BACKENDS, Backend, virtual_backend


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on, with a clock that jumps."""
    return virtual_backend(request.param)
