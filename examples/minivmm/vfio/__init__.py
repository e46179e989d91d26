# SPDX-License-Identifier: Apache-2.0
"""A device of this host, given to the guest."""
