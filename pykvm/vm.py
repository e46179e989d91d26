# SPDX-License-Identifier: Apache-2.0
"""A virtual machine: its memory, vCPUs, devices and interrupts."""

from __future__ import annotations

import contextlib
import errno
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pykvm._attributes import Attributes
from pykvm._descriptor import Closing, check_int
from pykvm._native import ffi, lib
from pykvm._raw import raw_ioctl
from pykvm._vmcore import VmCore
from pykvm.coalesced import VmCoalescedMmio
from pykvm.device import Device, DeviceType, type_name
from pykvm.dirtyring import VmDirtyRings
from pykvm.enable import EnableCap
from pykvm.errors import ClosedError, KvmBusyError, KvmError
from pykvm.interrupts import Interrupts
from pykvm.irqchip import Irqchip
from pykvm.its import VgicIts
from pykvm.mte import MteTags
from pykvm.smccc import Smccc
from pykvm.statistics import HasStatistics
from pykvm.vcpu import Vcpu
from pykvm.vfio import Vfio
from pykvm.vgic import Vgic
from pykvm.vgicv2 import VgicV2
from pykvm.vgicv3 import VgicV3
from pykvm.vgicv5 import VgicV5
from pykvm.vmmemory import VmMemory
from pykvm.vmmmio import VmMmio
from pykvm.vmregs import VmRegisters

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from pykvm.caps import Cap

_D = TypeVar("_D", bound=Device)

__all__ = ["VM"]


class VM(
    Interrupts,
    Irqchip,
    VmMemory,
    VmDirtyRings,
    VmCoalescedMmio,
    MteTags,
    VmMmio,
    VmRegisters,
    EnableCap,
    Smccc,
    HasStatistics,
    Attributes,
    Closing,
):
    """One virtual machine, made by :meth:`Kvm.create_vm`.

    It owns its slots, irqfds, ioeventfds, MMIO ranges and ranges of coalesced MMIO: they stay in
    force while the VM is open, also when nobody keeps the object that made them. vCPUs, devices
    and guest_memfds belong to whoever holds them.

    Order that satisfies every kernel: memory, vCPUs, their init, GIC, its addresses and init(),
    irqfds, registers, run.

    Synchronization: calls are independent; any thread.
    Source: Documentation/virt/kvm/api.rst, section 4, VM ioctls.
    """

    __slots__ = ()

    _core: VmCore

    def __init__(self, core: VmCore) -> None:
        super().__init__(core)
        core.is_owned = True

    # The VM itself ----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core.fd < 0

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after close()."""
        if self._core.fd < 0:
            raise ClosedError("this VM is closed")
        return self._core.fd

    def check_extension(self, cap: Cap | int) -> int:
        """KVM_CHECK_EXTENSION on the VM: the answer for this VM, which may differ from the host's.

        Capability: CHECK_EXTENSION_VM.

        Args: ``cap``: a :class:`~pykvm.Cap`, or any number: an unknown one answers 0.
        Returns: 0 for no, else 1 or a value that :class:`~pykvm.Cap` describes.
        Synchronization: any thread.
        Source: api.rst 4.4.
        """
        cap = check_int("cap", cap, 0, 2**32 - 1)
        return self._core.call(lib.check_extension, "KVM_CHECK_EXTENSION", cap, cap=cap)

    def ioctl(self, request: int, argument: int | Buffer = 0) -> int:
        """Any ioctl on the VM, by number: for what has no method here.

        Capability: the ioctl's own.

        Args: ``request``: the full request number. ``argument``: a number for requests that carry
        none of the caller's memory, else a writable buffer of at least the size that the number
        names. What KVM does with pointers inside the buffer is the caller's care.
        Returns: what the kernel returned, 0 or more.
        Errors: the ioctl's own, as KvmError; ValueError where the buffer is too small.
        Afterwards the interrupt routing counts as unknown: irqfd() refuses no gsi that could have
        a route.
        Synchronization: any thread.
        Source: api.rst, section 4.
        """
        result = raw_ioctl(self._core, request, argument)
        self._core.routing.forget()
        return result

    # vCPUs and devices ------------------------------------------------------------------------

    def create_vcpu(self, vcpu_id: int) -> Vcpu:
        """KVM_CREATE_VCPU.

        Capability: MAX_VCPU_ID says how many numbers there are.

        Args: ``vcpu_id``: 0 to MAX_VCPU_ID - 1; the guest's MPIDR_EL1 derives from it (Aff0 = bits
        3:0, Aff1 = bits 11:4, Aff2 = bits 19:12).
        Errors: EINVAL number or count too high, EEXIST number in use, EBUSY the GIC is initialised.
        Synchronization: any thread.
        Source: api.rst 4.7.
        """
        vcpu_id = check_int("vcpu_id", vcpu_id, 0, 2**31 - 1)
        self.fileno()
        vcpu = Vcpu(self._core, vcpu_id)
        self._children.know(vcpu)
        return vcpu

    def arm_preferred_target(self) -> int:
        """KVM_ARM_PREFERRED_TARGET.

        Capability: none; arm64.

        Returns: the target to give to :meth:`Vcpu.arm_vcpu_init`: 5, the generic one, but for a few
        old CPUs that older kernels know by number (6.1: a Cortex-A57 is 2).
        Errors: none of the kernel's.
        Synchronization: any thread.
        Source: api.rst 4.83.
        """
        init = ffi.new("struct kvm_vcpu_init *")
        self._core.call(lib.arm_preferred_target, "KVM_ARM_PREFERRED_TARGET", init)
        return int(init.target)

    def create_device(self, type: DeviceType | int) -> Device:
        """KVM_CREATE_DEVICE.

        Capability: DEVICE_CTRL.

        Args: ``type``: a :class:`~pykvm.DeviceType`, or any number.
        Returns: a :class:`Vgic`, :class:`VgicV5`, :class:`VgicIts` or :class:`Vfio`, else a plain
        :class:`Device`.
        Errors: ENODEV this host cannot make one, EEXIST there is one, EBUSY a vCPU has run, E2BIG
        more vCPUs than it serves.
        Synchronization: any thread.
        Source: api.rst 4.79; Documentation/virt/kvm/devices.
        """
        number = check_int("type", type, 0, 2**32 - 1)
        kinds: dict[int, Callable[[], Device]] = {
            DeviceType.ARM_VGIC_V2: lambda: self.create_vgic(2),
            DeviceType.ARM_VGIC_V3: lambda: self.create_vgic(3),
        }
        if number in kinds:
            return kinds[number]()
        return self._made(_KINDS.get(number, Device)(self, self._core, number))

    def _made(self, device: _D) -> _D:
        self._children.know(device)
        return device

    def has_device(self, type: DeviceType | int) -> bool:
        """KVM_CREATE_DEVICE with its TEST flag: whether the host could make one. Makes nothing.

        Capability: DEVICE_CTRL.

        Args: ``type``: a :class:`~pykvm.DeviceType`, or any number.
        Errors: none: ENODEV is the answer False.
        Synchronization: any thread.
        Source: api.rst 4.79.
        """
        number = check_int("type", type, 0, 2**32 - 1)
        try:
            self._core.call(lib.test_device, "KVM_CREATE_DEVICE", number, type=type_name(number))
        except KvmError as refusal:
            if refusal.errno != errno.ENODEV:
                raise
            return False
        return True

    def create_vgic(self, version: int | None = None, *, allow_implicit_init: bool = False) -> Vgic:
        """KVM_CREATE_DEVICE for the virtual GIC: a :class:`VgicV3` or a :class:`VgicV2`.

        Capability: IRQCHIP.

        Args: ``version``: 2, 3, or None for the newest that the host has. ``allow_implicit_init``:
        lets the kernel initialise a GICv2 by itself, at the first run or irq_line(); the interrupt
        routing counts as unknown then.
        Errors: ENODEV the host has no such GIC, EEXIST the VM has one, EBUSY a vCPU has run, E2BIG
        more vCPUs than it serves.
        Synchronization: any thread.
        Source: devices/arm-vgic.rst, devices/arm-vgic-v3.rst.
        """
        if version is None:
            version = 3 if self.has_device(DeviceType.ARM_VGIC_V3) else 2
        version = check_int("version", version, 2, 3)
        kind = VgicV3 if version == 3 else VgicV2
        vgic = kind(self, self._core, kind.device_type)
        if version == 2 and allow_implicit_init:
            self._core.routing.forget()
        self._core.lazy_gicv2 = version == 2 and not allow_implicit_init
        return self._made(vgic)

    def create_its(self) -> VgicIts:
        """KVM_CREATE_DEVICE for an interrupt translation service, beside a GICv3.

        Capability: DEVICE_CTRL.

        Returns: a :class:`VgicIts`, to be placed and initialised. From now on every MSI of the VM
        must name its device.
        Errors: ENODEV the host has none (it needs a GICv3).
        Synchronization: any thread.
        Source: devices/arm-vgic-its.rst.
        """
        return self._made(VgicIts(self, self._core, VgicIts.device_type))

    def create_vfio(self) -> Vfio:
        """KVM_CREATE_DEVICE for the link to VFIO.

        Capability: DEVICE_CTRL.

        Errors: ENODEV a kernel without it, EBUSY the VM has one.
        Synchronization: any thread.
        Source: devices/vfio.rst.
        """
        return self._made(Vfio(self, self._core, Vfio.device_type))

    # End --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stops and closes everything of this VM, newest first, then the VM.

        vCPUs that run are kicked: their run() returns Interrupted, or the exit that came first,
        and the next one raises ClosedError. KvmBusyError, with nothing changed, where one did not
        leave within 5 s. BufferError where a view of a vCPU's kvm_run lives: what was closed by
        then stays closed, the VM stays open; release it and close again.
        Synchronization: any thread; where a handler calls it, its own run() raises ClosedError
        once that returns.
        """
        if self._core.fd < 0:
            return
        vcpus = [child for child in self._children.newest_first() if isinstance(child, Vcpu)]
        try:
            if not self._core.inherited:
                _stop(vcpus)
            for child in self._children.newest_first():
                child.close()
        except BaseException:
            for vcpu in vcpus:
                vcpu._stop(undo=True)
            raise
        self._children.clear()
        self._core.close()
        self._core.slots.clear()

    def __del__(
        self,
        # Bound here because at the interpreter's end the module's names may be gone.
        _warn: Callable[..., None] = warnings.warn,
        _suppress: type[contextlib.suppress] = contextlib.suppress,
    ) -> None:
        core = getattr(self, "_core", None)
        if core is None:
            return
        if core.fd < 0 or core.inherited:
            core.disown()
            return
        # What only the VM held goes now; a vCPU or device that somebody holds keeps the core.
        for child in self._children.held():
            with _suppress(Exception):  # the core holds what the kernel did not give back
                child.close()
        self._children.clear()
        message = f"unclosed {self!r}"
        core.disown()
        _warn(message, ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"<VM {'closed' if self.closed else f'fd {self._core.fd}'}>"


#: What create_device() makes of a type that needs no more than that.
_KINDS: dict[int, type[Device]] = {kind.device_type: kind for kind in (VgicIts, VgicV5, Vfio)}


def _stop(vcpus: list[Vcpu]) -> None:
    """Makes every vCPU leave KVM_RUN and lets none in again."""
    for vcpu in vcpus:
        vcpu._stop()
    deadline = time.monotonic() + 5
    while inside := [vcpu.vcpu_id for vcpu in vcpus if vcpu._inside()]:
        if time.monotonic() > deadline:
            raise KvmBusyError(
                errno.EBUSY, "close VM", {"vcpus": inside},
                "These vCPUs did not leave KVM_RUN; the VM stays open.",
            )  # fmt: skip
        time.sleep(0.001)
