# SPDX-License-Identifier: Apache-2.0
"""cdefs/ and everything in pykvm/ that repeats a number or a name of it."""

from __future__ import annotations

import ast
import errno
import inspect
import platform
import re
import struct
import subprocess
from collections.abc import Callable
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import pytest

from cdefs import build
from pykvm import (
    Cap,
    DeviceIrqLevel,
    DeviceType,
    GuestDebugControl,
    MpState,
    PmuEventAction,
    SmcccAction,
    SystemEventType,
    Vcpu,
    VcpuFeature,
    _irqline,
    hints,
    registers,
)
from pykvm._kvm import ffi, lib
from tests.oracle import mutants

STUB = build.HERE.parent / "pykvm/_kvm.pyi"


# The folder itself --------------------------------------------------------------------------------


def test_every_file_is_built() -> None:
    assert {path.stem for path in build.HERE.glob("*.h")} == set(build.HEADERS)
    assert {path.stem for path in build.HERE.glob("*.c")} == set(build.SOURCES)


def test_stub_is_current() -> None:
    made = build.stub()
    assert STUB.read_text(encoding="utf-8") == made, (
        "run: python cdefs/build.py --emit-stub pykvm/_kvm.pyi"
    )
    library = next(node for node in ast.parse(made).body if isinstance(node, ast.ClassDef))
    constants = {n.target.id for n in library.body if isinstance(n, ast.AnnAssign)}  # type: ignore[union-attr]
    functions = {n.name for n in library.body if isinstance(n, ast.FunctionDef)}
    assert constants | functions == set(dir(lib)), "the module is older than cdefs/: build it again"


@pytest.mark.parametrize(
    "line",
    [
        "#define KVM_CAP_NEW 300",
        "#define\tKVM_CAP_NEW 300",
        "#define KVM_CAP_NEW 300 // 7.4",
        "#define KVM_CAP_NEW 300 /* soon */",
        "#define KVM_CAP_NEW 300 /* 7.4 riscv */",
        "#define KVM_NEW KVM_NONE(0x99)",
        "struct kvm_new {",
        "struct kvm_new { /* new */",
    ],
)
@pytest.mark.parametrize("read", [build.declarations, lambda folder: list(build.names(folder))])
def test_a_declaration_without_its_kernel_is_refused(
    line: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    text = (build.HERE / "caps.h").read_text(encoding="utf-8")
    folder = mutants.copied(tmp_path, {"caps.h": lambda text: f"{text}{line}\n"})
    with pytest.raises(build.DeclarationError) as raised:
        read(folder)
    assert str(raised.value).startswith(f"caps.h:{len(text.splitlines()) + 1}: ")
    assert "/* 6.1 arm64 */" in str(raised.value)


def test_notes_are_read(tmp_path: Path) -> None:
    added = """
#define KVM_NEW_FLAG (1u << 3) /* 7.4 arm64 */
#define KVM_NEW_REQUEST KVM_WRITES(0x99, struct kvm_new) /* 10.11 */
struct kvm_new { /* 5.10 */
	uint64_t old;
	union {
		struct {
			uint32_t deep[2][2]; /* 6.19 */
		} inner;
	} outer; /* 6.18 arm64 */
};
#define KVM_MACRO(x) (x)
#define PYKVM_NEW 1 /* own: for a test */
"""
    folder = mutants.copied(tmp_path, {"vm.h": lambda text: text + added})
    before = set(build.names())
    assert [name for name in build.names(folder) if name not in before] == [
        ("KVM_NEW_FLAG", "constant", (7, 4), True, "vm.h"),
        ("KVM_NEW_REQUEST", "request", (10, 11), False, "vm.h"),
        ("kvm_new", "struct", (5, 10), False, "vm.h"),
        ("kvm_new.deep", "member", (6, 19), False, "vm.h"),
        ("kvm_new.outer", "member", (6, 18), True, "vm.h"),
    ]


# The compiled wrappers ----------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["linux/kvm.h", "asm/kvm.h"])
def test_wrappers_compile_cleanly_without_kernel_headers(header: str, tmp_path: Path) -> None:
    (tmp_path / header).parent.mkdir()
    (tmp_path / header).write_text("#error an old header was used\n", encoding="ascii")

    def compile_(source: str) -> subprocess.CompletedProcess[str]:
        command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
        command += ["-Wno-unused-parameter", "-fsyntax-only", f"-I{tmp_path}", "-x", "c", "-"]
        return subprocess.run(command, input=source, capture_output=True, text=True, check=False)

    control = compile_(f"#include <{header}>\n")
    assert "an old header was used" in control.stderr
    done = compile_(build.c_source())
    assert (done.returncode, done.stderr) == (0, "")


def test_failures_are_returned_as_minus_errno() -> None:
    assert lib.get_api_version(-1) == -errno.EBADF
    made = ffi.new("int *", -1)
    assert lib.create_vm(-1, 0, made) == -errno.EBADF
    assert lib.create_vcpu(-1, 0, made) == -errno.EBADF
    assert lib.create_device(-1, 0, made) == -errno.EBADF
    assert made[0] == -1
    assert lib.irqfd(-1, 0, 0, 0, -1) == -errno.EBADF
    assert lib.set_one_reg(-1, lib.KVM_REG_SIZE_U64, 0) == -errno.EBADF
    assert lib.set_one_reg(-1, lib.KVM_REG_SIZE_U128, 0) == -errno.EMSGSIZE


@pytest.mark.parametrize("size", ["KVM_REG_SIZE_U64", "KVM_REG_SIZE_U128"])
def test_get_one_reg_is_all_ones_for_every_failure(size: str) -> None:
    assert lib.get_one_reg(-1, getattr(lib, size)) == 2**64 - 1


def test_calls_of_arm64_alone_are_refused_elsewhere_before_the_kernel_sees_them() -> None:
    init = ffi.new("struct kvm_vcpu_init *")
    native = platform.machine() == "aarch64"
    expected = -errno.EBADF if native else lib.PYKVM_NOT_ARM64
    assert lib.arm_vcpu_init(-1, init) == expected
    assert lib.get_vcpu_events(-1, ffi.new("struct kvm_vcpu_events *")) == expected
    assert lib.set_vcpu_events(-1, ffi.new("struct kvm_vcpu_events *")) == expected
    assert lib.set_guest_debug(-1, ffi.new("struct kvm_guest_debug *")) == expected
    assert lib.arm_set_counter_offset(-1, 0) == expected
    assert lib.arm_preferred_target(-1, init) == expected
    assert lib.irq_line(-1, 0, 0) == expected


def test_own_results_cannot_be_an_errno_or_an_exit_reason() -> None:
    results = (build.HERE / "results.h").read_text(encoding="utf-8")
    own = re.findall(r"^#define (PYKVM_\w+)", results, re.MULTILINE)
    assert "PYKVM_CLOSED" in own
    for name in own:
        value = getattr(lib, name)
        assert value < -4095 or value > 0xFFFF, name


# What pykvm repeats -------------------------------------------------------------------------------


def _constants(prefix: str, header: str) -> dict[str, int]:
    return {
        name.name.removeprefix(prefix): getattr(lib, name.name)
        for name in build.names()
        if name.kind == "constant" and name.name.startswith(prefix) and name.file == header
    }


@pytest.mark.parametrize(
    ("enum", "prefix", "header"),
    [
        (Cap, "KVM_CAP_", "caps.h"),
        (DeviceType, "KVM_DEV_TYPE_", "device.h"),
        (VcpuFeature, "KVM_ARM_VCPU_", "vcpu.h"),
        (SystemEventType, "KVM_SYSTEM_EVENT_", "vcpu.h"),
        (MpState, "KVM_MP_STATE_", "vcpustate.h"),
        (GuestDebugControl, "KVM_GUESTDBG_", "vcpustate.h"),
        (PmuEventAction, "KVM_PMU_EVENT_", "attributes.h"),
    ],
)
def test_enums_are_the_declared_constants(
    enum: type[IntEnum] | type[IntFlag], prefix: str, header: str
) -> None:
    declared = _constants(prefix, header)
    assert {name: int(value) for name, value in enum.__members__.items()} == declared


def test_smccc_actions_are_the_declared_constants() -> None:
    for action in SmcccAction:
        assert int(action) == getattr(lib, f"KVM_SMCCC_FILTER_{action.name}")


def test_values_of_the_kernel_are_read_as_declared() -> None:
    lines = [
        DeviceIrqLevel(bits)
        for bits in (lib.KVM_ARM_DEV_EL1_VTIMER, lib.KVM_ARM_DEV_EL1_PTIMER, lib.KVM_ARM_DEV_PMU)
    ]
    assert [(line.vtimer, line.ptimer, line.pmu) for line in lines] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert ffi.sizeof("struct kvm_pmu_event_filter") == struct.calcsize("=HHB3x")
    assert ffi.sizeof("struct kvm_smccc_filter") == struct.calcsize("=IIB15x")


def test_irq_line_packs_as_declared() -> None:
    assert _irqline.SPI == lib.KVM_ARM_IRQ_TYPE_SPI << lib.KVM_ARM_IRQ_TYPE_SHIFT
    line = _irqline.line_of(27, 0xABC)
    assert line & lib.KVM_ARM_IRQ_NUM_MASK == 27
    assert line >> lib.KVM_ARM_IRQ_VCPU_SHIFT & lib.KVM_ARM_IRQ_VCPU_MASK == 0xBC
    assert line >> lib.KVM_ARM_IRQ_VCPU2_SHIFT & lib.KVM_ARM_IRQ_VCPU2_MASK == 0xA
    assert line >> lib.KVM_ARM_IRQ_TYPE_SHIFT & 0xF == lib.KVM_ARM_IRQ_TYPE_PPI


@pytest.mark.parametrize(
    ("name", "number"),
    [
        # As the kernel's own list of registers prints them.
        ("x0", 0x6030000000100000),
        ("x30", 0x603000000010003C),
        ("sp", 0x603000000010003E),
        ("pc", 0x6030000000100040),
        ("pstate", 0x6030000000100042),
        ("sp_el1", 0x6030000000100044),
        ("elr_el1", 0x6030000000100046),
        ("spsr_el1", 0x6030000000100048),
        ("spsr_fiq", 0x6030000000100050),
        ("v0", 0x6040000000100054),
        ("v31", 0x60400000001000D0),
        ("fpsr", 0x60200000001000D4),
        ("fpcr", 0x60200000001000D5),
        ("mpidr_el1", 0x603000000013C005),
        ("cntv_ctl_el0", 0x603000000013DF19),
        ("cntvct_el0", 0x603000000013DF1A),
        ("cntv_cval_el0", 0x603000000013DF02),
    ],
)
def test_registers_have_the_kernels_ids(name: str, number: int) -> None:
    assert registers.reg_id(name) == number
    assert registers.reg_name(number) == name


def test_register_names_use_the_declared_fields() -> None:
    fields = {"OP0": 3, "OP1": 5, "CRN": 14, "CRM": 9, "OP2": 6}
    number = lib.KVM_REG_ARM64 | lib.KVM_REG_SIZE_U64 | lib.KVM_REG_ARM64_SYSREG
    for field, value in fields.items():
        number |= value << getattr(lib, f"KVM_REG_ARM64_SYSREG_{field}_SHIFT")
    assert registers.reg_name(number) == "s3_5_c14_c9_6"
    assert registers.reg_id("S3_5_C14_C9_6") == number


@pytest.mark.parametrize(
    ("size", "expected"),
    [("KVM_REG_SIZE_U32", 4), ("KVM_REG_SIZE_U64", 8), ("KVM_REG_SIZE_U128", 16)],
)
def test_register_sizes(size: str, expected: int) -> None:
    assert registers.reg_size(lib.KVM_REG_ARM64 | getattr(lib, size)) == expected


def test_kvm_run_is_documented_as_it_is_laid_out() -> None:
    text = " ".join(str(inspect.getdoc(Vcpu.kvm_run)).split())
    told = re.search(r"Offsets \(bytes\): (.*? \(u64\))\.", text)
    assert told
    shown = re.findall(r"([a-z_.]+) (\d+)(?: \(u(\d+)\))?", told[1])
    assert {"immediate_exit", "exit_reason", "flags"} < {path for path, _, _ in shown}
    for path, offset, bits in shown:
        type_: Any = ffi.typeof("struct kvm_run")
        found = 0
        # "members from 32": every exit's own, so that any of them will do.
        for part in path.replace("from", "mmio").split("."):
            field = dict(type_.fields)[part]
            type_, found = field.type, found + field.offset
        assert found == int(offset), path
        assert not bits or ffi.sizeof(type_) * 8 == int(bits), path


def test_hints_are_for_declared_calls() -> None:
    named = {ioctl for ioctl, _ in hints._HINTS if ioctl.startswith("KVM_")}
    assert named - set(dir(lib)) == set()
