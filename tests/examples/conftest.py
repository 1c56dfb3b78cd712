"""On CI a page is tried with its server on one backend; else, as by `make test`, on both.

A page knows nothing of the backend, and what the server says to it is tested on both by the tests
of each example. Which one it is goes by the name of the test, so that every page meets both.
"""

from pathlib import Path
from zlib import crc32

import pytest

from tests.support.programs import on_ci

HERE = Path(__file__).parent
BACKENDS = ("asyncio", "trio")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out a test of a page that goes on with the other backend, on CI."""
    if on_ci():
        chosen = {item.nodeid for item in items}
        left_out = [item for item in items if is_left_out(item, chosen)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def is_left_out(item: pytest.Item, chosen: set[str]) -> bool:
    if HERE not in item.path.parents or item.get_closest_marker("browser") is None:
        return False
    name = item.nodeid.partition("[")[0]
    wanted = BACKENDS[crc32(name.encode()) % 2]
    other = BACKENDS[wanted == BACKENDS[0]]
    return other in item.nodeid and item.nodeid.replace(other, wanted) in chosen
