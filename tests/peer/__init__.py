# SPDX-License-Identifier: Apache-2.0
"""The minimal VMM beside QEMU with KVM, on one host: ``python3 -m tests.peer``.

``__main__`` runs it on an emulated host; ``inside`` is what runs there, ``vmm`` one guest under
way, ``table`` what is shown. Both boot the same kernel with the same disk. These are times of one
run on a machine that may be busy: only their ratios mean something.
"""
