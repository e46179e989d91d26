# SPDX-License-Identifier: Apache-2.0
"""The checked-in images of the guests."""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).parent


def guest_names(directory: Path = DIRECTORY) -> list[str]:
    """Return the names of all guests, in alphabetical order: one per source ``<name>.S``."""
    return sorted(source.stem for source in directory.glob("*.S"))


def load_image(name: str) -> bytes:
    """Return the bytes of a guest, to be put at ``layout.IMAGE_GPA`` and entered at the first."""
    if name not in guest_names():
        raise ValueError(f"there is no guest {name!r}; there are {', '.join(guest_names())}")
    path = DIRECTORY / f"{name}.bin"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: the guest {name!r} has a source but no image; "
            "make it with `cd examples && python3 -m guests.build`"
        ) from None
