# SPDX-License-Identifier: Apache-2.0
"""``python -m pykvm`` is the ``pykvm`` command."""

from __future__ import annotations

import sys

from pykvm.cli import main

if __name__ == "__main__":
    sys.exit(main())
