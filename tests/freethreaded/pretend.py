# SPDX-License-Identifier: Apache-2.0
"""Runs setup.py as if this Python were its free-threaded sibling: for the one that builds with it.

    python pretend.py WORD...

What such a Python says of itself is what build tools go by; the compiler's -DPy_GIL_DISABLED=1 and
the headers, which both have, do the rest.
"""

import runpy
import sys
import sysconfig

said = sysconfig.get_config_vars()
own = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
said["Py_GIL_DISABLED"] = 1
for name in ("SOABI", "EXT_SUFFIX"):
    said[name] = said[name].replace(own, f"{own}t")
sys.argv[0] = "setup.py"
sys.path.insert(0, "")
runpy.run_path("setup.py", run_name="__main__")
