# SPDX-License-Identifier: Apache-2.0
"""On an emulated host: the rows of its table, each as a line of JSON."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, "examples")

from tests.devices.rows import ROWS
from tests.lab.scratch import contents

_DISK = Path("/tmp/disk")
_DISK_SIZE = 64 << 20


def main(host: str, *names: str) -> int:
    for row in ROWS[host]:
        if names and not any(row.name.startswith(name) for name in names):
            continue
        start = time.monotonic()
        words: tuple[str, ...] = ()
        if row.device == "virtio":
            _DISK.write_bytes(contents(0, _DISK_SIZE))
            words = ("--disk", str(_DISK))
        try:
            told = {"host": host, **row.run(*words)}
        except (AssertionError, OSError):
            told = {"host": host, "row": row.name, "right": False, "said": traceback.format_exc()}
        told["seconds"] = time.monotonic() - start
        print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
