# SPDX-License-Identifier: Apache-2.0
"""The one thing that pyproject.toml cannot say: build the cffi module, against the stable ABI."""

from setuptools import setup

setup(
    cffi_modules=["cdefs/build.py:builder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
