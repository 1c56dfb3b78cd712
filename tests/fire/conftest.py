"""What happens under fire happens in virtual time: an hour of waiting is over at once."""

import logging
from collections.abc import Iterator

import pytest

from herdwick.testing import VIRTUAL_BACKENDS, Backend, virtual_backend


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on, with a clock that jumps."""
    return virtual_backend(request.param)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log nothing: each crash would be kept, with its traceback and all that hangs on it."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
