# SPDX-License-Identifier: Apache-2.0
"""The one door to the compiled module.

Where it is missing (another operating system, a build without a compiler) the package still
imports, so that code can be written and typed anywhere; the first use says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ffi", "lib"]


class _Missing:
    """Stands for the compiled module and refuses every use of it.

    Functions, whose names are in lower case, may be looked up and refuse to be called: hot methods
    bind theirs at import, because each look-up costs a quarter of an ioctl.
    """

    def __init__(self, cause: ImportError) -> None:
        self._cause = cause

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        return self._refuse if name.islower() else self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
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
