# SPDX-License-Identifier: Apache-2.0
"""Devices of a host in stock guests: what they read, what it took, and who had to do with it."""
