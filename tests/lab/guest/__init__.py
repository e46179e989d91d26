# SPDX-License-Identifier: Apache-2.0
"""The lab's side inside the emulated host; runs on that host's own Python."""
