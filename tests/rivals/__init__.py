# SPDX-License-Identifier: Apache-2.0
"""What other tools say of an arm64 host's KVM, line by line, beside `pykvm probe`."""
