# SPDX-License-Identifier: Apache-2.0
"""What this project adds to pytest.

``tiers``   which folder needs what of a host
``covers``  ``@pytest.mark.covers(...)``: which rows of the interface a test proves
``needs``   ``@pytest.mark.needs(...)``, the only way to skip
``host``    ``--host``, ``--lab``: where tests run; what ran elsewhere is shown as if run here
``lab_run`` one run of pytest on an emulated host, for ``host``
``record``  ``--record FILE``: everything that happens, as lines of JSON
"""
