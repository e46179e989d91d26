# SPDX-License-Identifier: Apache-2.0
"""Which Debian mirror this machine uses; apt itself reads its sources, in either format."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.processes import run

_KEYRINGS = tuple(
    Path("/usr/share/keyrings") / f"debian-archive-keyring{suffix}" for suffix in (".gpg", ".pgp")
)
# Names of the archive itself: not -security, which is another archive, nor another vendor's.
_RELEASES = frozenset(
    ["sid", "unstable", "testing", "stable", "oldstable", "bookworm", "trixie", "forky", "duke"]
)
_FORMAT = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)"


@dataclass(frozen=True)
class Archive:
    """A Debian mirror and the keys that its indexes are checked with."""

    uri: str
    keyring: Path

    def source_line(self, suite: str) -> str:
        """The one-line apt source for a suite of this archive."""
        return f"deb [signed-by={self.keyring}] {self.uri} {suite} main\n"


def mirror_in(targets: str) -> str | None:
    """The archive's URI in what `apt-get indextargets` printed in `_FORMAT`, if it is there."""
    for line in targets.splitlines():
        uri, release, component = ([*line.split("\t"), "", ""])[:3]
        if release in _RELEASES and component == "main":
            return uri
    return None


@functools.cache
def archive() -> Archive:
    """The machine's Debian archive. PYKVM_LAB_MIRROR names another mirror."""
    keyring = next((path for path in _KEYRINGS if path.exists()), None)
    if keyring is None:
        raise LabError(
            "the Debian archive's keys are missing, so no package could be verified. "
            "As root: apt-get install debian-archive-keyring"
        )
    uri = os.environ.get("PYKVM_LAB_MIRROR") or mirror_in(
        run(
            [
                "apt-get",
                "indextargets",
                "--no-release-info",
                "--format",
                _FORMAT,
                "Created-By: Packages",
            ],
            "reading this machine's apt sources",
        )
    )
    if not uri:
        raise LabError(
            "no Debian archive among this machine's apt sources (a source with a release such as "
            "bookworm or trixie and component main). Set PYKVM_LAB_MIRROR to a Debian mirror's URL."
        )
    return Archive(uri, keyring)
