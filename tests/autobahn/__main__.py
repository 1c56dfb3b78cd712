"""The Autobahn testsuite against every server and driver.

    make autobahn
    .venv-autobahn/bin/python -m tests.autobahn --server trio --case '6.*'

The cases are Autobahn's own, run by kosoku, for its own runner needs Python 2.7. Sections 12 and 13
are left out: they try compression, which is not there. It needs Linux; reports go to
artefacts/autobahn.

A case is `NON-STRICT` where the connection was failed rightly, but earlier or later than the case
would like best.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.wire.processes import free_port, serving

from .app import BIG, FRAGMENTS

APP: Final = "tests.autobahn.app:app"
SERVERS: Final = {
    "herdwick run": ("herdwick", "run", APP, "--port", "{port}"),
    "herdwick run, trio": ("herdwick", "run", APP, "--port", "{port}", "--backend", "trio"),
    "our listener, asyncio": ("tests.autobahn.app", "{port}"),
    "uvicorn, plain ASGI": ("uvicorn", APP, "--port", "{port}", "--ws-max-size", f"{BIG}"),
}
LEFT_OUT: Final = ("12.*", "13.*")
FINE: Final = {"OK", "NON-STRICT", "INFORMATIONAL"}

NOT_OURS: Final = {("uvicorn, plain ASGI", "7.1.5")}
"""Failures of a foreign server with any application: websockets answers a close between two
fragments with 1002."""

Verdicts: TypeAlias = Mapping[str, Mapping[str, str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 where no case has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn")
    add = parser.add_argument
    add("--server", choices=SERVERS, action="append", help="only this one; may be repeated")
    add("--case", action="append", help="only these, such as 6.*; may be repeated")
    add("--out", type=Path, default=Path("artefacts/autobahn"), help="the folder of the reports")
    options = parser.parse_args(arguments)
    # What uvicorn's websockets would refuse, and has no other setting for.
    os.environ["WEBSOCKETS_MAX_FRAGMENTS"] = f"{FRAGMENTS}"
    failures: list[str] = []
    for name in options.server or SERVERS:
        verdicts = judge(name, options.case or [], options.out / name.replace(", ", "-"))
        counts = Counter(verdict["behavior"] for verdict in verdicts.values())
        counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        print(f"{name:24}{counted}", flush=True)
        failures += failed(name, verdicts)
    print(*failures, sep="\n", end="\n" * bool(failures))
    return 1 if failures else 0


def judge(server: str, cases: Sequence[str], folder: Path) -> Verdicts:
    """Start a server, run the cases against it, and give the verdict on each."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", *(word.format(port=port) for word in SERVERS[server])]
    client = [str(Path(sys.executable).with_name("kosoku")), f"127.0.0.1:{port}"]
    client += ["--outdir", str(folder), "--parallelism", "4"]
    client += [word for case in cases for word in ("--include", case)]
    client += [word for case in LEFT_OUT for word in ("--exclude", case)]
    index = folder / "index.json"
    index.unlink(missing_ok=True)
    with serving(command, port, None, folder / "server.txt"):
        subprocess.run(client, timeout=600, capture_output=True)
    verdicts: Verdicts
    (verdicts,) = json.loads(index.read_text()).values()
    return verdicts


def failed(server: str, verdicts: Verdicts) -> Iterator[str]:
    """Tell which cases did not end well, and are to blame on us."""
    if not verdicts:
        yield f"{server}: no case was run"
    for case, verdict in verdicts.items():
        told = verdict["behavior"], verdict["behaviorClose"]
        if not FINE.issuperset(told) and (server, case) not in NOT_OURS:
            yield f"{server}, {case}: {told[0]}, its close {told[1]}"


if __name__ == "__main__":
    sys.exit(main())
