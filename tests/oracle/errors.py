# SPDX-License-Identifier: Apache-2.0
"""What keeps the oracle from answering at all; a wrong declaration is an answer, not an error."""

from __future__ import annotations


class OracleError(Exception):
    """Nothing could be compared; the text says why and what to do."""
