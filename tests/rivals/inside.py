# SPDX-License-Identifier: Apache-2.0
"""On the emulated host: runs every tool; prints what each said as one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_QEMU = (
    "qemu-system-aarch64", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio",
    "-machine", "virt,accel=kvm,gic-version=host", "-cpu", "host", "-m", "128",
)  # fmt: skip
_QUESTIONS: tuple[dict[str, Any], ...] = (
    {"execute": "qmp_capabilities"},
    {"execute": "query-gic-capabilities", "id": "gic"},
    {
        "execute": "query-cpu-model-expansion",
        "arguments": {"type": "full", "model": {"name": "host"}},
        "id": "cpu",
    },
    {"execute": "quit"},
)


def _said(*words: str, to: str = "") -> str:
    done = subprocess.run(
        words, input=to, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300, check=False, env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    return done.stdout


def _qmp() -> dict[str, Any]:
    text = _said(*_QEMU, to="".join(json.dumps(question) + "\n" for question in _QUESTIONS))
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith("{"):
            answer = json.loads(line)
            if "id" in answer:
                found[answer["id"]] = answer.get("return", answer.get("error"))
    if found.keys() != {"gic", "cpu"}:
        sys.exit(f"QEMU did not answer:\n{text}")
    return found


def main() -> None:
    from pykvm.probe import collect

    told = {
        "kvm-ok": _said("kvm-ok"),
        "lscpu": json.loads(_said("lscpu", "--json")),
        "virt-host-validate": _said("virt-host-validate", "qemu"),
        **_qmp(),
        "pykvm": json.loads(collect(selftest=True).to_json()),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
