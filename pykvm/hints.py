# SPDX-License-Identifier: Apache-2.0
"""What an errno of a KVM call most likely means on arm64.

Read from the kernel's code and checked on running kernels. One entry per (ioctl, errno); an errno
that means one thing everywhere stands under ``""``.
"""

from __future__ import annotations

import errno as e

__all__ = ["hint_for"]

_NOT_FINALISED = "SVE was asked for and not finalised: arm_vcpu_finalize(VcpuFeature.SVE)."
_HINTS: dict[tuple[str, int], str] = {
    ("", e.EIO): (
        "KVM answers so for a VM made by another process (descriptors do not survive fork: open "
        "/dev/kvm in the child), or for a VM that it marked dead after an earlier failure of "
        "KVM_RUN: that first error tells the reason."
    ),
    ("", e.EMFILE): "This process has no descriptor left: raise RLIMIT_NOFILE or close some.",
    ("", e.ENOMEM): "The host kernel has no memory for this.",
    ("open", e.ENOENT): (
        "This host has no /dev/kvm: the kernel lacks KVM, or (in a container) the device was not "
        "passed in."
    ),
    ("open", e.EACCES): (
        "You may not open it: usually membership of the group 'kvm' is missing "
        "(usermod -aG kvm USER, then log in again)."
    ),
    ("open", e.EPERM): "A security policy or a container forbids opening it.",
    ("open", e.ENODEV): (
        "The node is there, but no driver behind it: on arm64 the host kernel must be entered at "
        "EL2 (a virtual machine needs nested virtualisation); see 'kvm' in the kernel's log."
    ),
    ("open", e.ENXIO): "The node is there, but the KVM driver is not loaded.",
    ("KVM_CREATE_VM", e.EINVAL): (
        "The width of guest physical addresses must be 32 to the host's limit "
        "(check_extension(Cap.ARM_VM_IPA_SIZE)); 0 means 40 bits, which a smaller host refuses too."
    ),
    ("KVM_ENABLE_CAP", e.EINVAL): (
        "This kernel cannot switch that on, or it is too late: several capabilities come before "
        "any vCPU or before any memory slot (the method of each says so)."
    ),
    ("KVM_CREATE_VCPU", e.EINVAL): (
        "The number must be below check_extension(Cap.MAX_VCPU_ID) of this VM: 8 with a GICv2."
    ),
    ("KVM_CREATE_VCPU", e.EEXIST): "This VM has a vCPU with that number.",
    ("KVM_CREATE_VCPU", e.EBUSY): (
        "The GIC is initialised: every vCPU must be created before its init()."
    ),
    ("KVM_SET_USER_MEMORY_REGION", e.EINVAL): (
        "Address and size must be multiples of the host's page size, the slot number below "
        "check_extension(Cap.NR_MEMSLOTS), and a live slot keeps its size and memory."
    ),
    ("KVM_SET_USER_MEMORY_REGION", e.EEXIST): "The range overlaps another slot of this VM.",
    ("KVM_SET_USER_MEMORY_REGION", e.EFAULT): (
        "The slot ends beyond the VM's guest physical address space: see create_vm(ipa_bits=…)."
    ),
    ("KVM_SET_USER_MEMORY_REGION2", e.EINVAL): (
        "The guest_memfd must be this VM's (on arm64, have the flag MMAP), with no other slot on "
        "this part of it, the VM be without memory tags, address, offset and size multiples of the "
        "host's page size, the slot number below check_extension(Cap.NR_MEMSLOTS). Or this kernel "
        "has no guest_memfd."
    ),
    ("KVM_SET_USER_MEMORY_REGION2", e.EEXIST): (
        "The range overlaps another slot of this VM, or another slot shows this part of the file."
    ),
    ("KVM_SET_USER_MEMORY_REGION2", e.EFAULT): (
        "The slot ends beyond the VM's guest physical address space: see create_vm(ipa_bits=…)."
    ),
    ("KVM_CREATE_GUEST_MEMFD", e.EINVAL): (
        "This kernel has no guest_memfd (check_extension(Cap.GUEST_MEMFD)), or not this flag "
        "(Cap.GUEST_MEMFD_FLAGS)."
    ),
    ("KVM_CREATE_GUEST_MEMFD", e.ENOTTY): "This kernel has no guest_memfd.",
    ("KVM_GET_DIRTY_LOG", e.ENOENT): (
        "The slot keeps no log: make it with log_dirty=True, or set its log_dirty."
    ),
    ("KVM_CLEAR_DIRTY_LOG", e.ENOENT): (
        "The slot keeps no log: make it with log_dirty=True, or set its log_dirty."
    ),
    ("KVM_GET_DIRTY_LOG", e.ENXIO): (
        "The VM has dirty rings instead of bitmaps: harvest_dirty_ring(); both together need "
        "enable_dirty_log_ring_with_bitmap() before any slot."
    ),
    ("KVM_CLEAR_DIRTY_LOG", e.ENXIO): (
        "The VM has dirty rings instead of bitmaps: harvest_dirty_ring() and reset_dirty_rings()."
    ),
    ("KVM_RESET_DIRTY_RINGS", e.EINVAL): (
        "The VM has no dirty rings: enable_dirty_log_ring() comes before any vCPU."
    ),
    ("KVM_REGISTER_COALESCED_MMIO", e.ENOSPC): "The VM has as many MMIO devices as KVM allows.",
    ("KVM_ARM_MTE_COPY_TAGS", e.EINVAL): (
        "The VM has no memory tags: enable_arm_mte() comes before any vCPU."
    ),
    ("KVM_ARM_MTE_COPY_TAGS", e.EBUSY): (
        "Tags cannot be written while KVM logs writes: switch log_dirty off, for every slot."
    ),
    ("KVM_ARM_MTE_COPY_TAGS", e.EFAULT): "The guest has no (or only readable) memory there.",
    ("KVM_CREATE_DEVICE", e.ENODEV): (
        "This host cannot make such a device. A GICv2 needs a host GICv2 or a GICv3 with the v2 "
        "compatibility interface; a GICv3 or an ITS needs a host GICv3."
    ),
    ("KVM_CREATE_DEVICE", e.EEXIST): "This VM has a GIC already; it can have only one.",
    ("KVM_CREATE_DEVICE", e.EBUSY): (
        "A GIC must be made before any vCPU has run, and while none is inside a call; of VFIO's "
        "devices a VM has one at a time."
    ),
    ("KVM_CREATE_DEVICE", e.E2BIG): ("This VM has more vCPUs than that GIC serves (a GICv2: 8)."),
    ("KVM_ARM_VCPU_INIT", e.EINVAL): (
        "A feature that this host lacks, or that differs from the VM's other vCPUs or from this "
        "vCPU's earlier init (all must agree), or one PTRAUTH feature without the other."
    ),
    ("KVM_ARM_VCPU_INIT", e.ENOENT): "A feature bit that this kernel does not know.",
    ("KVM_ARM_VCPU_INIT", e.ENODEV): "No PMU of the host fits the CPU that this thread is on.",
    ("KVM_RUN", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_RUN", e.ENXIO): (
        "The GIC lacks an address (GICv2: dist_addr and cpu_addr; GICv3: dist_addr and room for "
        "every vCPU's redistributor). This VM is dead now; make a new one."
    ),
    ("KVM_RUN", e.EBUSY): (
        "The VM has a GICv3 that was never initialised: call its init() after the vCPUs are made. "
        "This VM is dead now; make a new one."
    ),
    ("KVM_RUN", e.EINVAL): (
        "GIC frames overlap or leave the guest's address space, timer interrupts clash, the PMU "
        "feature lacks its pmu_init(), or the vCPU is in an illegal state."
    ),
    ("KVM_RUN", e.EPERM): _NOT_FINALISED,
    ("KVM_RUN", e.EAGAIN): (
        "A guest hypervisor (HAS_EL2) needs a GICv3 in its VM: create_vgic(), then its init()."
    ),
    ("KVM_RUN", e.ENOSYS): (
        "The guest touched an address outside every slot with an instruction that KVM cannot "
        "describe (a pair, a post-index, a cache operation; often simply a wild jump or pointer)."
    ),
    ("KVM_RUN", e.EFAULT): (
        "The host cannot back a guest page: its memory was unmapped, or it is read-only."
    ),
    ("KVM_SET_MP_STATE", e.EINVAL): (
        "On arm64 a vCPU is RUNNABLE, STOPPED or (kernels from 5.19 on) SUSPENDED."
    ),
    ("KVM_SET_VCPU_EVENTS", e.EINVAL): (
        "Only a host with RAS takes a syndrome: check_extension(Cap.ARM_INJECT_SERROR_ESR)."
    ),
    ("KVM_GET_VCPU_EVENTS", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_SET_VCPU_EVENTS", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_SET_GUEST_DEBUG", e.EINVAL): (
        "A bit that this kernel lacks: check_extension(Cap.SET_GUEST_DEBUG2) has those it knows."
    ),
    ("KVM_ARM_SET_COUNTER_OFFSET", e.EBUSY): (
        "A vCPU is inside a call, and one whose guest sleeps is: kick it and try again."
    ),
    ("KVM_ARM_SET_COUNTER_OFFSET", e.EINVAL): (
        "This kernel lacks it (check_extension(Cap.COUNTER_OFFSET)), or the VM is a protected one."
    ),
    ("KVM_IRQ_LINE", e.ENXIO): (
        "The VM has no GIC in the kernel: create_vgic() first. (Of a vCPU's own inputs: it has "
        "one, which drives them.)"
    ),
    ("KVM_IRQ_LINE", e.EBUSY): "The GICv3 is not initialised: call its init().",
    ("KVM_IRQ_LINE", e.EINVAL): (
        "The INTID is above what this GIC was configured for (nr_irqs), or there is no such vCPU."
    ),
    ("KVM_CREATE_IRQCHIP", e.ENODEV): (
        "On arm64 this call makes a GICv2, which needs a host GICv2 or a GICv3 with the v2 "
        "compatibility interface; create_vgic() takes the newest that there is."
    ),
    ("KVM_CREATE_IRQCHIP", e.EEXIST): "This VM has an interrupt controller; it can have only one.",
    ("KVM_CREATE_IRQCHIP", e.EBUSY): (
        "It must be made before any vCPU has run, and while none is inside a call."
    ),
    ("KVM_CREATE_IRQCHIP", e.E2BIG): "This VM has more than the 8 vCPUs that a GICv2 serves.",
    ("KVM_ARM_SET_DEVICE_ADDR", e.ENODEV): (
        "The VM has no GICv2, or the id names no part of it. A GICv3 is placed by its attributes: "
        "VgicV3.dist_addr and redist_addr."
    ),
    ("KVM_ARM_SET_DEVICE_ADDR", e.EEXIST): "It was set before, and can be set only once.",
    ("KVM_ARM_SET_DEVICE_ADDR", e.EINVAL): (
        "The address must be a multiple of 4 KiB, and the frame must not wrap."
    ),
    ("KVM_ARM_SET_DEVICE_ADDR", e.E2BIG): "The frame ends beyond the guest's address space.",
    ("KVM_DEV_VFIO_FILE_ADD", e.EINVAL): (
        "That descriptor is no file of VFIO's: a group is /dev/vfio/N, not /dev/vfio/vfio; a "
        "device of VFIO's is taken since Linux 6.6."
    ),
    ("KVM_DEV_VFIO_FILE_ADD", e.EEXIST): "This VM has that file already.",
    ("KVM_DEV_VFIO_FILE_DEL", e.ENOENT): "This VM does not have that file.",
    ("KVM_IRQFD", e.EAGAIN): (
        "The VM has no initialised GIC: create_vgic(), then its init(), then irqfds."
    ),
    ("KVM_IRQFD", e.EBUSY): (
        "This eventfd, or a duplicate of it, already feeds an irqfd: one eventfd, one interrupt."
    ),
    ("KVM_IRQFD", e.EBADF): "That descriptor is not open.",
    ("KVM_IRQFD", e.EINVAL): (
        "That descriptor is no eventfd, or (x86_64) the VM has no interrupt controller."
    ),
    ("KVM_IOEVENTFD", e.EEXIST): (
        "Another ioeventfd covers this address: the same size with the same value or with any "
        "value, or one of size 0."
    ),
    ("KVM_IOEVENTFD", e.ENOENT): "No ioeventfd is registered with exactly these values.",
    ("KVM_IOEVENTFD", e.EINVAL): (
        "Size must be 0, 1, 2, 4 or 8 (0 takes no datamatch), and the range must not wrap."
    ),
    ("KVM_IOEVENTFD", e.EBADF): "That descriptor is not open.",
    ("KVM_IOEVENTFD", e.ENOSPC): "The VM has as many MMIO devices as KVM allows.",
    ("KVM_SET_DEVICE_ATTR", e.EEXIST): "It was set before, and can be set only once.",
    ("KVM_SET_DEVICE_ATTR", e.EBUSY): (
        "Too late (the GIC is initialised or a vCPU has run) or a vCPU is inside a call: kick it."
    ),
    ("KVM_SET_DEVICE_ATTR", e.ENXIO): (
        "There is no such attribute here; for a PMU: pmu_irq is not set, or set_pmu() comes first."
    ),
    ("KVM_SET_DEVICE_ATTR", e.EINVAL): (
        "A value out of range: frames must be aligned (GICv2: 4 KiB, GICv3: 64 KiB) and not "
        "overlap; nr_irqs is 64 to 992 in steps of 32. Of a register: no such vCPU, or a value "
        "that it cannot have here. Of an ITS: its tables in guest memory make no sense. Interrupts "
        "of timers and PMU need a GIC in the kernel and are PPIs (the PMU's may be an SPI); "
        "pvtime_ipa lies in a memory slot. An older kernel does not know attributes of VMs."
    ),
    ("KVM_SET_DEVICE_ATTR", e.ENODEV): (
        "The vCPU has no PMU (VcpuFeature.PMU_V3), or the GIC is not initialised yet."
    ),
    ("KVM_SET_DEVICE_ATTR", e.E2BIG): "The frame ends beyond the guest's address space.",
    ("KVM_SET_DEVICE_ATTR", e.ENOENT): "This vCPU has no such register.",
    ("KVM_SET_DEVICE_ATTR", e.EFAULT): (
        "A table of the GIC or the ITS is not in memory of the guest: the guest, or whoever "
        "restored it, gave an address outside every slot."
    ),
    ("KVM_GET_DEVICE_ATTR", e.EINVAL): (
        "The VM has no such vCPU (by number or MPIDR), or the vCPU has no such register: its "
        "priority bits say how many ICC_APnR<n>_EL1 there are. Lines are asked for 32 at a time."
    ),
    ("KVM_GET_DEVICE_ATTR", e.ENOENT): "There is no such register, or no such region.",
    ("KVM_GET_DEVICE_ATTR", e.ENXIO): "There is no such attribute here, or it is not set yet.",
    ("KVM_GET_DEVICE_ATTR", e.EBUSY): (
        "A vCPU is inside a call, and one whose guest sleeps is: kick it and try again. Or the GIC "
        "is not initialised: call its init()."
    ),
    ("KVM_SET_GSI_ROUTING", e.EINVAL): (
        "KVM refuses the table: on arm64 it has up to 4096 gsis, one route each, and the pins 0 to "
        "987 of one interrupt controller."
    ),
    ("KVM_SIGNAL_MSI", e.EINVAL): (
        "No ITS of this VM is at that address (VgicIts.doorbell is meant), the devid is "
        "missing, or the VM has no GIC."
    ),
    ("KVM_SIGNAL_MSI", e.ENODEV): (
        "The VM has no ITS: create_its(), then its addr and init(). A GICv2 cannot have one."
    ),
    ("KVM_SIGNAL_MSI", e.EBUSY): (
        "The guest has not switched its ITS on yet, or not the LPIs of the CPU that this event "
        "goes to."
    ),
    ("KVM_GET_ONE_REG", e.ENOENT): (
        "This vCPU has no such register: unknown here, or hidden by its features."
    ),
    ("KVM_SET_ONE_REG", e.ENOENT): (
        "This vCPU has no such register: unknown here, or hidden by its features."
    ),
    ("KVM_GET_ONE_REG", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_SET_ONE_REG", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_GET_REG_LIST", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_GET_ONE_REG", e.EINVAL): "That id's architecture, size or alignment is wrong.",
    ("KVM_SET_ONE_REG", e.EINVAL): (
        "That id's architecture, size or alignment is wrong, or the host cannot hold the value."
    ),
    ("KVM_SET_ONE_REG", e.EBUSY): "This register is fixed once a vCPU of the VM has run.",
    ("KVM_GET_ONE_REG", e.EPERM): _NOT_FINALISED,
    ("KVM_SET_ONE_REG", e.EPERM): (
        "SVE: z, p and ffr are there once it is finalised, its lengths can be set only before: "
        "arm_vcpu_init(), sve_lengths_bits, arm_vcpu_finalize(VcpuFeature.SVE), registers."
    ),
    ("KVM_GET_REG_LIST", e.EPERM): _NOT_FINALISED,
    ("KVM_ARM_VCPU_FINALIZE", e.ENOEXEC): "This vCPU was never initialised: call arm_vcpu_init().",
    ("KVM_ARM_VCPU_FINALIZE", e.EINVAL): (
        "Only SVE is to be finalised, and arm_vcpu_init() was not asked for it."
    ),
    ("KVM_ARM_VCPU_FINALIZE", e.EPERM): "SVE is finalised already, which is for good.",
    ("KVM_ARM_GET_REG_WRITABLE_MASKS", e.EINVAL): (
        "This kernel cannot tell: check_extension(Cap.ARM_SUPPORTED_REG_MASK_RANGES) is 0."
    ),
    ("mmap kvm_run", e.ENOMEM): (
        "The host kernel has no memory for this. KVM has the vCPU already and cannot take it back: "
        "its number is used up in this VM."
    ),
    ("mmap file", e.EACCES): (
        "The file must be open for reading, and for writing too unless the memory is private."
    ),
    ("mmap device", e.EINVAL): (
        "The driver maps nothing there. Of VFIO: only regions with the flag MMAP, within their "
        "size, or the areas that their capability SPARSE_MMAP names; a region that is smaller than "
        "the host's page cannot be mapped, its registers are read and written one by one."
    ),
    ("mmap device", e.ENODEV): "What is behind this descriptor cannot be mapped at all.",
    ("mmap hugetlb", e.ENOMEM): (
        "The host has too few huge pages reserved: see HugePages_Free in /proc/meminfo, and raise "
        "/proc/sys/vm/nr_hugepages."
    ),
    ("ftruncate hugetlb", e.EINVAL): (
        "The size must be a multiple of the huge pages': Hugepagesize in /proc/meminfo."
    ),
    ("madvise MADV_HUGEPAGE", e.EINVAL): "This kernel was built without transparent huge pages.",
    ("kick", e.EAGAIN): (
        "The kernel queues no more real-time signals for this user (RLIMIT_SIGPENDING). Raise the "
        "limit, or name a signal below 32 to pykvm.set_kick_signal(): it needs no room."
    ),
    ("eventfd write", e.EAGAIN): (
        "The eventfd's counter is full (2**64 - 2 unread events): nobody reads it."
    ),
}


#: Calls that fail as another one does.
_AS = {"KVM_IRQ_LINE_STATUS": "KVM_IRQ_LINE"}


def hint_for(ioctl: str, errno: int) -> str:
    """The likely cause, or an empty string."""
    ioctl = _AS.get(ioctl, ioctl)
    return _HINTS.get((ioctl, errno)) or _HINTS.get(("", errno), "")
