# SPDX-License-Identifier: Apache-2.0
"""What the probe learns of a host from its files, and of CPUs from their registers."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from pykvm.probe.host import gic_in, level_in, mode_in
from pykvm.probe.hostfacts import acl_entries, cpu_model
from pykvm.probe.idfields import layouts
from pykvm.probe.idregs import decode
from pykvm.probe.surroundings import surroundings
from pykvm.registers import reg_id

#: Lines of /proc/interrupts, of hosts that were entered at EL2 with VHE, at EL2 without, at EL1.
_VHE = """\
           CPU0       CPU1
  9:          0          0     GICv3  25 Level     vgic
 11:          0          0     GICv3  30 Level     kvm guest ptimer
 12:          0          0     GICv3  27 Level     kvm guest vtimer
 13:       3295       3014     GICv3  26 Level     arch_timer
"""
_NVHE = """\
           CPU0       CPU1
  9:          0          0     GICv2  25 Level     vgic
 11:       2111       2703     GICv2  30 Level     arch_timer
 12:          0          0     GICv2  27 Level     kvm guest vtimer
"""
_EL1 = """\
           CPU0       CPU1
 11:       2101       2377     GICv3  27 Level     arch_timer
 14:          0          0     GICv3  33 Level     uart-pl011
"""


class TestHost:
    def test_the_level_shows_in_the_timer_s_interrupt(self) -> None:
        assert [level_in(text, []) for text in (_VHE, _NVHE, _EL1)] == ["EL2", "EL2", "EL1"]
        assert level_in("", []) is None
        assert level_in(" 5: 7 7 GICv3 99 Level arch_timer\n", []) is None

    def test_the_kernel_s_own_word_wins(self) -> None:
        assert level_in(_VHE, ["kvm [1]: x", "CPU: All CPU(s) started at EL1"]) == "EL1"

    def test_the_host_s_gic(self) -> None:
        assert [gic_in(text) for text in (_VHE, _NVHE, _EL1)] == ["v3", "v2", "v3"]
        assert gic_in("  3:  7   GIC-0  27 Level  arch_timer\n") == "v2"
        assert gic_in("  0:  9   IO-APIC   2-edge  timer\n") is None

    @pytest.mark.parametrize(
        ("line", "mode"),
        [
            ("kvm [1]: VHE mode initialized successfully", "vhe"),
            ("kvm [1]: Hyp mode initialized successfully", "nvhe"),
            ("kvm [1]: Hyp nVHE mode initialized successfully", "nvhe"),
            ("kvm [1]: Hyp hVHE mode initialized successfully", "hvhe"),
            ("kvm [1]: Protected nVHE mode initialized successfully", "protected"),
            ("kvm [1]: Protected hVHE mode initialized successfully", "protected"),
            ("kvm [1]: VHE+NV2 mode initialized successfully", "nested"),
        ],
    )
    def test_the_mode_that_kvm_tells(self, line: str, mode: str) -> None:
        assert mode_in(_EL1, ["kvm [1]: IPA Size Limit: 44 bits", line], []) == mode

    def test_the_mode_that_shows(self) -> None:
        assert [mode_in(text, [], []) for text in (_VHE, _NVHE, _EL1)] == ["vhe", "nvhe", None]
        assert mode_in(_NVHE, [], ["quiet", "kvm-arm.mode=protected"]) == "protected"


def test_an_acl() -> None:
    entries = ((0x01, 6, 0), (0x02, 6, 1000), (0x08, 4, 104), (0x10, 6, 0), (0x20, 0, 0))
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    assert acl_entries(data) == ("user:1000:rw-", "group:104:r--")
    assert acl_entries(b"") == acl_entries(data[:9]) == ()


def test_models_of_cpus() -> None:
    assert cpu_model(0x413FD0C1) == "Arm Neoverse N1 r3p1"
    assert cpu_model(0x611F0221) == "Apple part 0x022 r1p1"
    assert cpu_model(0x00000000) == "implementer 0x0 part 0x000 r0p0"


class TestFields:
    def test_a_register_by_its_fields(self) -> None:
        register = decode(reg_id("id_aa64pfr0_el1"), 0x1_00F0_0012, 0xF_0000_0001)
        fields = {field.name: field for field in register.fields}
        assert (fields["EL0"].value, fields["EL0"].meaning) == (2, "AArch64 and AArch32")
        assert (fields["SVE"].value, fields["SVE"].meaning) == (1, "FEAT_SVE")
        assert (fields["AdvSIMD"].meaning, fields["FP"].meaning) == ("none", "yes")
        assert (fields["SVE"].writable, fields["EL0"].writable) == (0xF << 32, 1)
        assert register.name == "id_aa64pfr0_el1"

    def test_what_is_not_known_has_no_meaning(self) -> None:
        register = decode(reg_id("id_aa64isar0_el1"), 0xF << 20, None)
        assert {field.name: field.meaning for field in register.fields}["Atomic"] == ""
        assert decode(reg_id("s3_0_c0_c7_7"), 5, 0).fields == ()

    def test_no_two_fields_share_a_bit(self) -> None:
        for name, fields in layouts().items():
            assert reg_id(name)
            used = 0
            for lsb, width, _, values in fields:
                mask = (1 << width) - 1 << lsb
                assert not used & mask, name
                assert mask < 1 << 64
                assert all(value < 1 << width for value in values)
                used |= mask
            assert [field[0] for field in fields] == sorted(field[0] for field in fields)


class TestSurroundings:
    def test_topology_is_of_the_cpus_here(self) -> None:
        topology = surroundings()["cpu_topology"].value
        if isinstance(topology, Mapping):  # not every kernel tells
            assert set(topology) == {"sockets", "cores", "threads"}
            online = math.prod(int(count) for count in topology.values())
            assert online == os.cpu_count()

    def test_vulnerabilities_are_as_the_kernel_tells_them(self) -> None:
        told = surroundings()["vulnerabilities"].value or {}
        assert isinstance(told, Mapping)
        for name, words in told.items():
            place = Path("/sys/devices/system/cpu/vulnerabilities", name)
            assert words == place.read_text("utf-8").strip()

    def test_devices_that_may_be_used(self) -> None:
        facts = surroundings()
        for name, path in (("tun", "/dev/net/tun"), ("vhost_net", "/dev/vhost-net")):
            assert facts[name].yes == os.access(path, os.R_OK | os.W_OK)
            if not Path(path).exists():
                assert facts[name].errno == "ENOENT"
