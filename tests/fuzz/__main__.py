"""Fuzz each parser guided by coverage: `make fuzz` (SECONDS=60 for each, TARGETS="head frames").

A line for each target: how often it ran, and how much of it was reached. What breaks a parser is
kept in artefacts/fuzz; make it a line of `findings.py`. Inputs that reach far stay in
artefacts/fuzz/corpus, and the next run begins with them. Exit code 1 for a finding, 2 where there
is no atheris.
"""

import argparse
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "artefacts" / "fuzz"

INPUT_BYTES = 4096
"""The longest input that is tried."""

INPUT_SECONDS = 10
"""A parser that takes longer for one input has a finding."""

STATUS = re.compile(r"#(\d+)\s.*?cov: (\d+)")


def main() -> int:
    """Fuzz the targets one after the other, and tell what came of it."""
    if find_spec("atheris") is None:
        print("atheris is missing: it comes for Linux, and not for each Python; try another one:")
        print("    make fuzz PYTHON=python3.11")
        return 2
    from tests.fuzz.targets import TARGETS

    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    chosen = options.parse_args()
    sound = [fuzz(name, TARGETS[name].words, chosen.seconds) for name in chosen.targets or TARGETS]
    return 0 if all(sound) else 1


def fuzz(name: str, words: tuple[bytes, ...], seconds: int) -> bool:
    """Fuzz one parser in a process of its own, and tell whether it is sound."""
    corpus = KEPT / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, word in enumerate(words):
        (corpus / f"word-{number}").write_bytes(word)
    dictionary = KEPT / f"{name}.dict"
    dictionary.write_text("".join(f'"{escaped(word)}"\n' for word in words if len(word) < 64))
    before = findings(name)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.atheris_target", name, str(corpus)),
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_BYTES}",
            f"-timeout={INPUT_SECONDS}",
            f"-dict={dictionary}",
            f"-artifact_prefix={KEPT}/{name}-",
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    told = STATUS.findall(done.stderr)
    runs, reached = told[-1] if told else ("0", "0")
    print(f"{name:16} {runs:>9} runs, {reached:>5} branches: ", end="")
    if done.returncode == 0:
        print("nothing found")
        return True
    kept = sorted(findings(name) - before)
    print(f"FOUND, kept as {', '.join(map(str, kept)) or 'nothing'}")
    print("\n".join(f"    {line}" for line in done.stderr.splitlines()[-20:]))
    return False


def findings(name: str) -> set[Path]:
    return {path.relative_to(ROOT) for path in KEPT.glob(f"{name}-*")}


def escaped(word: bytes) -> str:
    """Write a word as dictionaries of libFuzzer have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
