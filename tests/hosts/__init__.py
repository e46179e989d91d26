# SPDX-License-Identifier: Apache-2.0
"""Reports of every kind of emulated host, held against what QEMU was told to emulate.

``python -m tests.hosts`` boots each, has it write ``pykvm probe --json --selftest``, and asks a C
program that was compiled from the kernel's own headers the same capabilities.
"""
