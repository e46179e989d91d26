# SPDX-License-Identifier: Apache-2.0
"""Which rows of the kernel's interface pykvm has, and which test on which hosts proves each.

``rows``    the rows, one for each thing that a process can ask of KVM on arm64
``match``   which row a traced call belongs to
``trace``   the calls as the test build of the module has seen them; one of them made to do nothing
``methods`` the method of each row
``collect`` what all hosts of a run have proven together
``render``  the table
"""
