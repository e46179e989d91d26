# SPDX-License-Identifier: Apache-2.0
"""Programs that are checked by mypy and never run."""
