# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.oracle``: which declarations agree with which kernels; 1 if one does not."""

from __future__ import annotations

import sys

from cdefs.build import names
from pykvm._kvm import ffi, lib
from tests.lab.errors import LabError
from tests.oracle.compare import compare
from tests.oracle.errors import OracleError
from tests.oracle.facts import facts
from tests.oracle.headers import every
from tests.oracle.table import table


def main() -> int:
    declared = facts(ffi, lib, names())
    results = [compare(declared, headers) for headers in every()]
    print(table(declared, results))
    failures = [failure for result in results for failure in result.failures]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OracleError, LabError) as error:
        sys.exit(f"oracle: {error}")
