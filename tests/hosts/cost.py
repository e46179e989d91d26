# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.hosts.cost``: what a report costs, in counted instructions.

On a host whose clock counts them (tests/lab, --icount), of the kernel and of the program. Each is a
process from its start to its end, so Python's own start is in it, and shown first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from time import perf_counter_ns

from tests.lab.tree import TOP

_COMMANDS = {
    "python3 -c pass": ("-c", "pass"),
    "import pykvm": ("-c", "import pykvm"),
    "import pykvm.probe": ("-c", "import pykvm.probe"),
    "collect()": ("-c", "from pykvm.probe import collect; collect()"),
    "collect(), and as JSON": ("-c", "from pykvm.probe import collect; collect().to_json()"),
    "pykvm probe --json": ("-m", "pykvm", "probe", "--json"),
    "pykvm probe --require gicv3": ("-m", "pykvm", "probe", "--require", "gicv3"),
    "pykvm probe": ("-m", "pykvm", "probe"),
}
_ROUNDS = 3
_INSIDE = "inside"


def _inside() -> None:
    """On the host: what each command took, the first time left out."""
    from tests.bench.measure import settle  # needs the examples' folder, which the host is told

    settle()
    found = {}
    for name, words in _COMMANDS.items():
        counted = []
        for _ in range(_ROUNDS + 1):
            begun = perf_counter_ns()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            counted.append(perf_counter_ns() - begun)
        found[name] = counted[1:]
    print(json.dumps(found))


def main() -> int:
    if sys.argv[1:] == [_INSIDE]:
        _inside()
        return 0
    lab = (sys.executable, "-m", "tests.lab", "run", "--icount", "--timeout", "3000")
    inside = ("--", "env", "PYTHONPATH=examples", "python3", "-m", "tests.hosts.cost", _INSIDE)
    done = subprocess.run(
        [*lab, *sys.argv[1:], *inside], cwd=TOP, stdout=subprocess.PIPE, text=True, check=True
    )
    bare = 0
    for name, counted in json.loads(done.stdout.splitlines()[-1]).items():
        middle = sorted(counted)[len(counted) // 2]
        bare = bare or middle
        spread = (max(counted) - min(counted)) / middle
        print(
            f"{name:30} {middle / 1e6:9.1f} million instructions, "
            f"{(middle - bare) / 1e6:9.1f} beyond Python's own; spread {spread:.1%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
