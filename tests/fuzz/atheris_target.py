"""One target under atheris: started by `make fuzz`, in a process of its own."""

import sys

import atheris  # pyright: ignore[reportMissingImports]  # only in .venv-fuzz

with atheris.instrument_imports(include=["herdwick"]):  # pyright: ignore
    from tests.fuzz.targets import TARGETS


if __name__ == "__main__":
    parse = TARGETS[sys.argv.pop(1)].parse
    atheris.Setup(sys.argv, parse)  # pyright: ignore
    atheris.Fuzz()  # pyright: ignore
