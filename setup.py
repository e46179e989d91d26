# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: build the cffi module, against the stable ABI where there is one.

Free-threaded Python has none up to 3.14: there the module is for that version alone.
"""

import sysconfig

from setuptools import setup

_FREE_THREADED = sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["cdefs/build.py:builder"],
    options={} if _FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
