# SPDX-License-Identifier: Apache-2.0
"""Many registers in one call: the same as one by one, and the one at fault is named."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

import pytest

from pykvm import (
    VM,
    ClosedError,
    KvmError,
    KvmNotFoundError,
    RegisterSet,
    Vcpu,
    VcpuFeature,
    reg_id,
)
from pykvm._native import lib

NAMES = [*(f"x{n}" for n in range(31)), "sp", "pc", "sp_el1", "elr_el1", "tpidr_el0"]
MIXED = ["pc", "v0", "fpsr", "x1", "v31", "fpcr", "v1", "x30"]


def test_what_is_set_at_once_is_read_one_by_one(vcpu: Vcpu) -> None:
    values = [0x1234_5678_9ABC_0000 + number for number in range(len(NAMES))]
    vcpu.set_regs(NAMES, values)
    assert [vcpu.get_one_reg(name) for name in NAMES] == values


def test_what_is_set_one_by_one_is_read_at_once(vcpu: Vcpu) -> None:
    for number, name in enumerate(NAMES):
        vcpu.set_one_reg(name, 0xFFFF_FFFF_FFFF_0000 + number)
    for regs in (NAMES, map(reg_id, NAMES), dict.fromkeys(NAMES), RegisterSet(NAMES)):
        assert vcpu.get_regs(regs) == [0xFFFF_FFFF_FFFF_0000 + n for n in range(len(NAMES))]


def test_every_width_at_once(vcpu: Vcpu) -> None:
    state = {
        "pc": 2**64 - 1, "v0": 2**128 - 1, "fpsr": 0x0800_009F, "x1": 5, "v31": 7 << 64 | 3,
        "fpcr": 0, "v1": 0, "x30": 2**63,
    }  # fmt: skip
    assert list(state) == MIXED
    regs = RegisterSet(state)
    for _ in range(3):  # with the same room again and again
        vcpu.set_regs(state, state.values())
        assert [vcpu.get_one_reg(name) for name in state] == list(state.values())
        assert vcpu.get_regs(regs) == list(state.values())
        vcpu.set_regs(regs, [0] * len(state))
        assert vcpu.get_regs(regs) == [0] * len(state)


def test_a_whole_vcpu_is_carried_to_another(vm: VM) -> None:
    first, second = vm.create_vcpu(0), vm.create_vcpu(1)
    with first, second:
        for vcpu in (first, second):
            vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        regs = RegisterSet(NAMES + MIXED[1:3])
        first.set_regs(regs, range(1, len(regs) + 1))
        second.set_regs(regs, first.get_regs(regs))
        assert second.get_regs(regs) == list(range(1, len(regs) + 1))


def test_no_register_at_all(vcpu: Vcpu) -> None:
    assert vcpu.get_regs([]) == []
    vcpu.set_regs({}, [])
    assert (len(RegisterSet([])), RegisterSet(()).ids) == (0, ())


def test_the_register_at_fault_is_named(vcpu: Vcpu) -> None:
    """Those before it are set, those after it are not."""
    vcpu.set_regs(["x0", "x1"], [0, 0])
    regs = RegisterSet(["x0", "S3_0_C15_C7_7", "x1"])
    for _ in range(2):
        with pytest.raises(KvmNotFoundError) as caught:
            vcpu.set_regs(regs, [1, 2, 3])
        assert (caught.value.ioctl, caught.value.errno) == ("KVM_SET_ONE_REG", errno.ENOENT)
        assert caught.value.arguments["reg"] == "s3_0_c15_c7_7"
        assert caught.value.arguments["place"] == 1
        assert vcpu.get_regs(["x0", "x1"]) == [1, 0]
        with pytest.raises(KvmNotFoundError, match="s3_0_c15_c7_7") as caught:
            vcpu.get_regs(regs)
        assert caught.value.ioctl == "KVM_GET_ONE_REG"
        vcpu.set_one_reg("x0", 0)


def test_a_value_that_does_not_fit_sets_nothing(vcpu: Vcpu) -> None:
    vcpu.set_regs(MIXED, [0] * len(MIXED))
    for place, wrong in (2, 2**32), (0, 2**64), (1, 2**128), (3, -1):
        values = [1] * len(MIXED)
        values[place] = wrong
        for regs in (MIXED, [name for name in MIXED if not name.startswith("v")]):
            if MIXED[place] in regs:
                given = [v for name, v in zip(MIXED, values, strict=True) if name in regs]
                with pytest.raises(ValueError, match=f"values: {MIXED[place]} is"):
                    vcpu.set_regs(regs, given)
    assert vcpu.get_regs(MIXED) == [0] * len(MIXED)


def test_a_vcpu_that_cannot_answer(vm: VM) -> None:
    vcpu = vm.create_vcpu(0)
    with pytest.raises(KvmError, match=r"ENOEXEC.*arm_vcpu_init"):
        vcpu.get_regs(["pc"])
    vcpu.close()
    with pytest.raises(ClosedError):
        vcpu.get_regs(["pc"])
    with pytest.raises(ClosedError):
        vcpu.set_regs(["pc"], [1])


def test_a_call_that_a_signal_ended_goes_on_where_it_stood(
    vcpu: Vcpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel does that only where the process is dying: here C is told that it was so."""
    real = lib.get_registers
    asked: list[int] = []

    def interrupted_once(fd: int, registers: object) -> int:
        asked.append(lib.registers_done(registers))
        return -errno.EINTR if len(asked) == 1 else real(fd, registers)

    monkeypatch.setattr("pykvm.registerset._get_registers", interrupted_once)
    vcpu.set_one_reg("x7", 70)
    assert vcpu.get_regs(["x7", "pc"])[0] == 70
    assert len(asked) == 2


def test_one_set_serves_many_threads(vm: VM) -> None:
    regs = RegisterSet(NAMES)
    wrong: list[object] = []

    def work(vcpu: Vcpu, base: int) -> None:
        values = [base + number for number in range(len(NAMES))]
        for _ in range(60):
            vcpu.set_regs(regs, values)
            if vcpu.get_regs(regs) != values:
                wrong.append(vcpu)

    vcpus = [vm.create_vcpu(number) for number in range(2)]
    for vcpu in vcpus:
        vcpu.arm_vcpu_init()
    threads = [threading.Thread(target=work, args=(v, n << 32)) for n, v in enumerate(vcpus)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(regs._free) <= 2


@pytest.mark.parametrize("given", ["pc", 5, None])
def test_several_means_several(vcpu: Vcpu, given: object) -> None:
    calls: list[Callable[[], object]] = [
        lambda: RegisterSet(given),  # type: ignore[arg-type]
        lambda: vcpu.get_regs(given),  # type: ignore[arg-type]
        lambda: vcpu.set_regs(given, []),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError, match="regs must be several"):
            call()
    with pytest.raises(TypeError, match="values must be several"):
        vcpu.set_regs(["pc"], None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="values are 2; there are 1 registers"):
        vcpu.set_regs(["pc"], [1, 2])
