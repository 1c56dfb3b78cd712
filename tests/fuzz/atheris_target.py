"""One target under atheris: started by `make fuzz`, in a process of its own."""

import importlib
import sys
from typing import Any

# By its name: it is in .venv-fuzz only.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["herdwick"]):
    from tests.fuzz.targets import TARGETS


if __name__ == "__main__":
    parse = TARGETS[sys.argv.pop(1)].parse
    atheris.Setup(sys.argv, parse)
    atheris.Fuzz()
