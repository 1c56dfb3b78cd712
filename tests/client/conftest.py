"""The client's tests run in virtual time, over real sockets."""

from collections.abc import Iterator

import pytest

from herdwick.testing import VIRTUAL_BACKENDS, Backend, virtual_backend
from tests.client.javascript.acts import Act, act_in_node, browser_at_files


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on, with a clock that jumps once no byte moves."""
    return virtual_backend(request.param, patience=0.02)


IN_NODE = pytest.param("node", marks=pytest.mark.heavy)  # each test starts a program
IN_BROWSER = pytest.param("browser", marks=pytest.mark.browser)


@pytest.fixture(params=[IN_NODE, IN_BROWSER])
def act(request: pytest.FixtureRequest) -> Act:
    """What plays the scenes of javascript/scenes.mjs."""
    if request.param == "node":
        return act_in_node
    in_browser: Act = request.getfixturevalue("in_browser")
    return in_browser


@pytest.fixture(scope="module")
def in_browser() -> Iterator[Act]:
    with browser_at_files() as act:
        yield act
