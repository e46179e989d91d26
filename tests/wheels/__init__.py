# SPDX-License-Identifier: Apache-2.0
"""Wheels: made, looked into, and used where nothing but Python is installed.

``python -m tests.wheels`` makes one for each architecture that this machine can compile for, looks
into each, and installs this machine's own; ``--bare-venv`` also installs the arm64 one on an
emulated host and runs the arm64 tests with it, as an ordinary user.

``build``   one wheel, from a clean copy of the sources
``audit``   what is wrong with a wheel, by its tags, contents and symbols
``fresh``   a new environment on this machine
``bare``    a wheelhouse, and the emulated host that gets it
``inside``  what then happens on that host
"""
