# SPDX-License-Identifier: Apache-2.0
"""Which rows of the kernel's interface pykvm has, and which test on which hosts proves each.

``rows``    the rows, one for each thing that a process can ask of KVM on arm64
``calls``   which row a traced call belongs to
"""
