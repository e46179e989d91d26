# SPDX-License-Identifier: Apache-2.0
"""cdefs/ under the compiler's sanitizers, alone and under Python: ``python3 -m tests.sanitize``."""
