# SPDX-License-Identifier: Apache-2.0
"""/dev/kvm itself: what the host can do, and where VMs come from."""

from __future__ import annotations

import os
import stat

from pykvm._descriptor import (
    Closing,
    Descriptor,
    HasFileno,
    check_int,
    duplicate,
    kind_of,
    number_of,
)
from pykvm._native import lib
from pykvm._vmcore import VmCore
from pykvm.caps import Cap, cap_name
from pykvm.errors import ClosedError, KvmError, naming
from pykvm.vm import VM

__all__ = ["Kvm"]

_check_extension = lib.check_extension


class Kvm(Closing):
    """The system descriptor.

    VMs live on when it is closed.

    Synchronization: any thread.
    Source: Documentation/virt/kvm/api.rst, section 4, system ioctls.
    """

    __slots__ = ("__weakref__", "_core")

    def __init__(self, path: str | os.PathLike[str] = "/dev/kvm") -> None:
        """Opens ``path``.

        Errors: ENOENT no such node, EACCES not allowed (as KvmPermissionError), ENODEV or ENXIO no
        driver behind it, KvmError for a file that is not KVM.
        """
        _ = lib.KVM_API_VERSION  # without the compiled module, say so before anything else
        with naming("open", path=os.fspath(path)):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._own(fd)

    def _own(self, fd: int) -> None:
        self._core = Descriptor(fd, "Kvm")
        try:
            version = self.get_api_version()
        except KvmError as cause:
            self._core.close()
            cause.hint = "This descriptor is not /dev/kvm."
            raise
        if version != lib.KVM_API_VERSION:
            self._core.close()
            raise OSError(f"KVM speaks version {version} of its interface, not the stable 12")

    @classmethod
    def adopt(cls, given: int | HasFileno) -> Kvm:
        """A Kvm for a descriptor of /dev/kvm that was opened elsewhere, through a duplicate."""
        _ = lib.KVM_API_VERSION
        self = cls.__new__(cls)
        fd = duplicate(given)
        # Before any ioctl: on the descriptor of a running vCPU it would wait for the guest.
        if not stat.S_ISCHR(os.fstat(fd).st_mode):
            os.close(fd)
            raise ValueError(f"that descriptor is not /dev/kvm but {kind_of(number_of(given))}")
        self._own(fd)
        return self

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core.fd < 0

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after close()."""
        if self._core.fd < 0:
            raise ClosedError("this Kvm is closed")
        return self._core.fd

    def get_api_version(self) -> int:
        """KVM_GET_API_VERSION.

        Capability: none.

        Returns: 12, for ever.
        Synchronization: any thread.
        Source: api.rst 4.1.
        """
        return self._core.call(lib.get_api_version, "KVM_GET_API_VERSION")

    def check_extension(self, cap: Cap | int) -> int:
        """KVM_CHECK_EXTENSION on the system descriptor: what the host answers for any VM.

        Capability: none.

        Args: ``cap``: a :class:`~pykvm.Cap`, or any number: an unknown one answers 0.
        Returns: 0 for no, else 1 or a value that :class:`~pykvm.Cap` describes.
        Errors: EINVAL for the few capabilities that are questions about a VM.
        Synchronization: any thread.
        Source: api.rst 4.4.
        """
        try:
            result = _check_extension(self._core.fd, cap)
        except (TypeError, OverflowError):
            result = -1  # the slow way finds the words
        if result < 0:
            cap = check_int("cap", cap, 0, 2**32 - 1)
            return self._core.call(
                lib.check_extension, "KVM_CHECK_EXTENSION", cap, cap=cap_name(cap)
            )
        return result

    def get_vcpu_mmap_size(self) -> int:
        """KVM_GET_VCPU_MMAP_SIZE.

        Capability: none.

        Returns: bytes that a vCPU shares with the kernel: kvm_run, and rings behind it.
        Synchronization: any thread.
        Source: api.rst 4.5.
        """
        return self._core.call(lib.get_vcpu_mmap_size, "KVM_GET_VCPU_MMAP_SIZE")

    def create_vm(self, *, ipa_bits: int = 0) -> VM:
        """KVM_CREATE_VM.

        Capability: ARM_VM_IPA_SIZE gives the widest ``ipa_bits``, where it answers at all.

        Args: ``ipa_bits``: width of guest physical addresses, 32 to the host's limit; 0 means 40.
        Errors: EINVAL a width that the host cannot do; ENOMEM, EMFILE.
        Synchronization: any thread.
        Source: api.rst 4.2.
        """
        ipa_bits = check_int("ipa_bits", ipa_bits, 0, lib.KVM_VM_TYPE_ARM_IPA_SIZE_MASK)
        mmap_size = self.get_vcpu_mmap_size()
        core = VmCore(-1, mmap_size)
        core.receive(self._core, lib.create_vm, "KVM_CREATE_VM", ipa_bits, ipa_bits=ipa_bits)
        return VM(core)

    def adopt_vm(self, given: int | HasFileno) -> VM:
        """A VM that was made elsewhere in this process, through a duplicate of its descriptor.

        Slots, vCPUs and interrupts that it has already are unknown here.
        ValueError where ``given`` is not a VM's descriptor.
        """
        mmap_size = self.get_vcpu_mmap_size()
        fd = duplicate(given)
        kind = kind_of(fd)
        if kind and kind != "kvm-vm":
            os.close(fd)
            raise ValueError(f"that descriptor is no VM but {kind}")
        core = VmCore(fd, mmap_size)
        core.vcpu_ids = None
        return VM(core)

    def close(self) -> None:
        """Closes /dev/kvm. VMs made from it live on."""
        self._core.close()

    def __repr__(self) -> str:
        return f"<Kvm {'closed' if self.closed else f'fd {self._core.fd}'}>"
