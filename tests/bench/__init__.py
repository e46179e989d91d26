# SPDX-License-Identifier: Apache-2.0
"""What a call through pykvm costs, compared with the same call in C. See README.md."""
