# SPDX-License-Identifier: Apache-2.0
"""The one door to the compiled module.

Where it is missing (another operating system, a build without a compiler) the package still
imports, so that code can be written and typed anywhere; the first use says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

__all__ = ["ffi", "lib"]


class _Missing:
    """Stands for the compiled module and refuses every use of it."""

    def __init__(self, cause: ImportError) -> None:
        self._cause = cause

    def __getattr__(self, name: str) -> NoReturn:
        import platform

        raise ImportError(
            f"pykvm's compiled module did not load on {platform.system()} {platform.machine()} "
            f"({self._cause}). It exists for Linux on aarch64 and x86_64: install a wheel, or "
            f"build it with a C compiler and the Python headers ('pip install .')."
        ) from self._cause


if TYPE_CHECKING:
    from pykvm._kvm import ffi, lib
else:
    try:
        from pykvm._kvm import ffi, lib
    except ImportError as cause:
        ffi = lib = _Missing(cause)
