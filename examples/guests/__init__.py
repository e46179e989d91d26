# SPDX-License-Identifier: Apache-2.0
"""Tiny arm64 guests: their images, their arguments, and how to read what they report.

Pure data and helpers on bytes and memoryviews; nothing here opens /dev/kvm. README.md has the
memory map, the boot ABI and how to add a guest::

    from guests import Report, arguments, layout, load_image

    image = load_image("spi")  # goes to layout.IMAGE_GPA
    registers = arguments.spi(gic_version=3, first_intid=40)
    report = Report(view)  # of guest memory from layout.REPORT_GPA on
    report.taken(40)
"""

from __future__ import annotations

from guests import arguments, layout
from guests.exception import GuestException
from guests.images import guest_names, load_image
from guests.report import Report

__all__ = [
    "GuestException",
    "Report",
    "arguments",
    "guest_names",
    "layout",
    "load_image",
]
