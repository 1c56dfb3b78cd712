"""The client's tests run in virtual time, over real sockets."""

import pytest

from herdwick.testing import VIRTUAL_BACKENDS, Backend, virtual_backend


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on, with a clock that jumps once no byte moves."""
    return virtual_backend(request.param, patience=0.02)
