# SPDX-License-Identifier: Apache-2.0
"""Calls on registers and state of the GICs and the ITS."""

from __future__ import annotations

from tests.kvm.calls.table import U32, U64, Call
from tests.kvm.kinds import Int, Kind, Other, Wrong

_REG = Other(
    *(Wrong(value, TypeError, "reg") for value in (None, 5.0, b"GICD_CTLR", [5], object(), True)),
    *(Wrong(value, ValueError, "reg") for value in (-1, 2**70, "", "GICD_NOPE", "GICD_IGROUPR32")),
)
_STATE = Other(*(Wrong(value, TypeError, "state") for value in (None, 5, "", {}, (), object())))
_ITS = Other(*(Wrong(value, TypeError, "its") for value in (None, 5, object(), [5], "ab", [None])))
_MPIDRS = Other(
    *(Wrong(value, TypeError, "mpidrs") for value in (5, 1.5, object(), ["0"], [True], [None])),
    *(Wrong([number], ValueError, "mpidrs") for number in (-1, 2**64, 2**70)),
)
_LINES = Other(
    *(Wrong(value, TypeError, "lines_up") for value in (None, 5, object(), [40], "a", [(1, 2, 3)])),
    *(Wrong([(intid, None)], ValueError, "intid") for intid in (-1, 20, 1020, 2**70)),
    *(Wrong([(20, vcpu_id)], ValueError, "vcpu_id") for vcpu_id in (-1, 4096)),
)  # fmt: skip

_VCPU = {"vcpu_id": (0, Int(0, 0xFFFFF, none=True))}
_MPIDR = {"mpidr": (0, Int(0, U64, none=True))}


def _of_a_cpu(name: str, **arguments: tuple[object, Kind]) -> list[Call]:
    """A call that names its vCPU in two ways."""
    return [Call(f"VgicV3.{name}", "vgicv3", {**arguments, **cpu}) for cpu in (_VCPU, _MPIDR)]


CALLS: list[Call] = [
    Call("Vgic.get_dist_reg", "vgic", {"reg": ("GICD_CTLR", _REG), "vcpu_id": (0, Int(0, 0xFF))}),
    Call(
        "Vgic.set_dist_reg",
        "vgic",
        {
            "reg": ("GICD_CTLR", _REG),
            "value": (0, Int(0, U32)),
            "vcpu_id": (0, Int(0, 0xFF)),
        },
    ),
    Call("VgicIts.get_its_reg", "placed_its", {"reg": ("GITS_CTLR", _REG)}),
    Call("VgicIts.reset", "its"),
    Call("VgicIts.restore_tables", "its"),
    Call("VgicIts.save_tables", "its"),
    Call(
        "VgicIts.set_its_reg",
        "placed_its",
        {"reg": ("GITS_CBASER", _REG), "value": (0, Int(0, U64))},
    ),
    Call("VgicV2.get_cpu_reg", "vgicv2", {"reg": ("GICC_PMR", _REG), "vcpu_id": (0, Int(0, 0xFF))}),
    Call(
        "VgicV2.restore",
        "placed_vgicv2",
        {
            "state": (lambda stage: stage["placed_vgicv2"].save(), _STATE),
            "lines_up": ([], _LINES),
        },
    ),
    Call("VgicV2.save", "placed_vgicv2"),
    Call(
        "VgicV2.set_cpu_reg",
        "vgicv2",
        {
            "reg": ("GICC_PMR", _REG),
            "value": (0, Int(0, U32)),
            "vcpu_id": (0, Int(0, 0xFF)),
        },
    ),
    *_of_a_cpu("get_cpu_sysreg", reg=("ICC_PMR_EL1", _REG)),
    *_of_a_cpu("get_level_info", intid=(32, Int(0, 1023))),
    *_of_a_cpu("get_redist_reg", reg=("GICR_CTLR", _REG)),
    *_of_a_cpu("set_cpu_sysreg", reg=("ICC_PMR_EL1", _REG), value=(0, Int(0, U64))),
    *_of_a_cpu("set_level_info", intid=(32, Int(0, 1023)), levels=(0, Int(0, U32))),
    *_of_a_cpu("set_redist_reg", reg=("GICR_CTLR", _REG), value=(0, Int(0, U32))),
    Call("VgicV3.redist_regions", "vgicv3"),
    Call(
        "VgicV3.restore",
        "placed_vgicv3",
        {"state": (lambda stage: stage["placed_vgicv3"].save(), _STATE), "its": ([], _ITS)},
    ),
    Call("VgicV3.save", "placed_vgicv3", {"its": ([], _ITS), "mpidrs": (None, _MPIDRS)}),
    Call("VgicV3.save_pending_tables", "vgicv3"),
]
