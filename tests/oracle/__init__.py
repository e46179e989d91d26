# SPDX-License-Identifier: Apache-2.0
"""Compares what cdefs/ declares, as the compiler understood it, with the kernel's own headers."""
