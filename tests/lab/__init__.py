# SPDX-License-Identifier: Apache-2.0
"""An arm64 Linux host with a real /dev/kvm, emulated by QEMU, for tests and for trying things."""
