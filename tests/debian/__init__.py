# SPDX-License-Identifier: Apache-2.0
"""A whole Debian in the minimal VMM: from its own init to a login, and off again.

``python3 -m tests.debian``: ``root`` makes the file with its root file system (mmdebstrap, once),
``__main__`` gives a copy to an emulated host, ``inside`` boots it there and logs in.
"""
