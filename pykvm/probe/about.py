# SPDX-License-Identifier: Apache-2.0
"""The names of all facts: what each means, and, where it can be missing, why and what to do.

They are what reports, ``--require`` and the pytest marker call things by, and stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ABOUT", "GROUPS", "About"]

#: What people have to decide, in the order in which a report answers.
GROUPS = {
    "host": "The host",
    "run": "Can I run VMs?",
    "interrupts": "Interrupts",
    "cpu": "CPU",
    "memory": "Memory",
    "migration": "Migration",
    "debug": "Debug",
    "nested": "Nested",
    "selftest": "Selftest",
}

_NEWER = "Boot a newer kernel."
_CPU = "None in software: other hardware."


@dataclass(frozen=True)
class About:
    """``lacks`` says why a host may have no such thing, ``since`` is the kernel that brought it.

    ``of`` is the fact without which this one means nothing.
    """

    group: str
    meaning: str
    lacks: str = ""
    remedy: str = ""
    since: str = ""
    of: str = ""


def _host(meaning: str) -> About:
    return About("host", meaning)


ABOUT: dict[str, About] = {
    "machine": _host("architecture of the machine"),
    "system": _host("operating system"),
    "kernel": _host("release of the kernel"),
    "page_size": _host("bytes of a page"),
    "cpus": _host("CPUs online"),
    "cpu_models": _host("models of the CPUs"),
    "midr": _host("MIDR_EL1 of each CPU"),
    "cpu_features": _host("what the kernel tells programs of its CPUs (hwcaps)"),
    "host_gic": _host("the host's own GIC"),
    "entered_at": _host("exception level at which the kernel was entered"),
    "kvm_mode": _host("how KVM runs: vhe, nvhe, hvhe, protected, nested"),
    "node": _host("the node that was asked"),
    "node_owner": _host("its owner"),
    "node_group": _host("its group"),
    "node_mode": _host("its permissions"),
    "node_acl": _host("who else may use it"),
    "container": _host("the kind of container, by its marks"),
    "module_parameters": _host("parameters of the module kvm"),
    "byte_order": _host("byte order"),
    "bogomips": _host("what the kernel calls so: on arm64, twice its timer's MHz"),
    "cpu_topology": _host("sockets, cores of each, threads of each"),
    "numa_nodes": _host("nodes of memory"),
    "vulnerabilities": _host("what the CPUs are vulnerable to"),
    "tun": _host("network interfaces can be made (tap)"),
    "vhost_net": _host("the kernel can serve virtio networks"),
    "vhost_vsock": _host("and virtio sockets"),
    "cgroup_controllers": _host("what control groups can limit"),
    "iommu_groups": _host("groups of devices that could be given to guests"),
    # ---
    "kvm": About("run", "KVM opens"),
    "vm": About("run", "a VM can be made"),
    "vcpu": About("run", "a vCPU can be made and initialised"),
    "api_version": About("run", "version of the interface"),
    "vcpu_mmap_size": About("run", "bytes that a vCPU shares with the kernel"),
    "vcpus": About("run", "vCPUs of a VM at most"),
    "vcpus_advised": About("run", "vCPUs of a VM that are advisable here"),
    "vcpu_ids": About("run", "numbers that vCPUs can have"),
    # ---
    "gicv2": About(
        "interrupts", "VMs can have a GICv2",
        "The host's GIC lacks the GICv2 compatibility interface (GICV).",
        "None in software. Give guests a GICv3; create_vgic() does by itself.",
    ),
    "gicv3": About(
        "interrupts", "VMs can have a GICv3",
        "KVM makes a GICv3 only on a host with one: at most 8 vCPUs, no ITS, no MSIs.",
        "None in software. Give guests a GICv2; create_vgic() does by itself.",
    ),
    "gicv5": About(
        "interrupts", "VMs can have a GICv5",
        "The host has no GICv5.", "None in software: GICv3 is what guests expect.", "7.1",
    ),
    "its": About(
        "interrupts", "VMs can have an ITS, for MSIs",
        "KVM makes an ITS only beside a GICv3.", "Use SPIs, through irqfds.",
    ),
    "gicv2_vcpus": About("interrupts", "vCPUs of a VM with a GICv2", of="gicv2"),
    "gicv3_vcpus": About("interrupts", "vCPUs of a VM with a GICv3", of="gicv3"),
    "spis": About("interrupts", "SPIs of a GIC at most"),
    "irqfd": About(
        "interrupts", "eventfds can inject interrupts",
        "There is no GIC in the kernel for them.", "Emulate a GIC outside KVM, and poll eventfds.",
    ),
    "irqfd_resample": About(
        "interrupts", "and tell the end of level interrupts",
        "There is no GIC in the kernel for it.",
        "Drive the line by irq_line(), and lower it when the guest touches the device.",
    ),
    "msi": About(
        "interrupts", "MSIs can be sent", "They need an ITS, and that a GICv3.", "Use SPIs.",
    ),
    "irq_routes": About("interrupts", "entries of the routing table"),
    "ioeventfd": About("interrupts", "guests' stores can signal eventfds", "", _NEWER),
    "ioeventfd_any_length": About(
        "interrupts", "and of any width", "", "Give ioeventfds a size.", "4.4", of="ioeventfd"),
    "user_irq": About(
        "interrupts", "timer lines for a GIC of one's own", "", _NEWER, "4.12"
    ),
    "vfio": About(
        "interrupts", "VFIO's devices can be given to guests",
        "The kernel was built without KVM_VFIO.", "Boot a kernel with VFIO.",
    ),
    # ---
    "psci_versions": About("cpu", "versions of PSCI for guests"),
    "aarch32_el0": About(
        "cpu", "guests can run AArch32 programs", "The CPUs execute no AArch32.", _CPU
    ),
    "aarch32_el1": About(
        "cpu", "guest kernels can be AArch32", "The CPUs have no AArch32 at EL1.", _CPU
    ),
    "pmu": About(
        "cpu", "guests can have a performance monitor",
        "The host has no PMU that its kernel drives (a driver, a firmware table, or kvm-arm).",
        "See that perf list shows hardware events on the host.", "4.6",
    ),
    "pmu_counters": About("cpu", "event counters of a guest's PMU", of="pmu"),
    "pmu_events": About("cpu", "events that it can count", of="pmu"),
    "pmu_strict": About(
        "cpu", "vCPUs can demand a chosen PMU", "", "Choose one by set_pmu().", "7.3"
    ),
    "sve": About(
        "cpu", "guests can have scalable vectors",
        "The CPUs have no SVE, or the kernel was built or booted without.", _CPU, "5.2",
    ),
    "sve_lengths": About("cpu", "lengths of their vectors in bits", of="sve"),
    "ptrauth": About(
        "cpu", "guests can sign pointers",
        "The CPUs have no pointer authentication, of both kinds, or the kernel leaves it off.",
        _CPU, "5.2",
    ),
    "mte": About(
        "cpu", "guests can have memory tags",
        "The CPUs have no MTE2, or firmware gave the kernel no tag memory.",
        "Look for a firmware setting, else other hardware.", "5.14",
    ),
    "serror_esr": About(
        "cpu", "injected SErrors can carry a syndrome", "The CPUs have no RAS extension.", _CPU,
        "4.19",
    ),
    "steal_time": About(
        "cpu", "guests can be told stolen time",
        "The kernel counts none: it was built without scheduler statistics.",
        "Boot a kernel with CONFIG_SCHED_INFO.", "5.10",
    ),
    "ptp": About("cpu", "guests can read the host's clock", "", _NEWER, "5.13"),
    "system_suspend": About(
        "cpu", "SYSTEM_SUSPEND can come to the program", "", _NEWER, "5.19"
    ),
    "smccc_filter": About("cpu", "hypercalls can be filtered, forwarded", "", _NEWER, "6.4"),
    "vm_attributes": About("cpu", "attributes of VMs"),
    "vcpu_attributes": About("cpu", "attributes of vCPUs"),
    # ---
    "ipa_bits": About("memory", "width of guest physical addresses"),
    "ipa_sizes": About("memory", "widths that VMs can really have", of="vm"),
    "memory_slots": About("memory", "memory slots of a VM"),
    "readonly_memory": About("memory", "slots can be read-only", "", _NEWER, "3.19"),
    "coalesced_mmio": About("memory", "stores can wait in a ring", "", _NEWER, "4.1"),
    "guest_memfd": About(
        "memory", "guest memory can be a guest_memfd",
        "The kernel was built without KVM_GUEST_MEMFD.", _NEWER, "6.18",
    ),
    "block_sizes": About("memory", "sizes of stage 2's blocks in bytes", "", _NEWER, "6.5"),
    "cacheable_device_memory": About(
        "memory", "device memory can be mapped cacheable",
        "The CPUs lack FWB or DIC (coherent instruction fetch).", _CPU, "6.17",
    ),
    # ---
    "dirty_log": About("migration", "written pages are logged"),
    "dirty_log_clear": About("migration", "logs can be cleared by range", "", _NEWER, "5.2"),
    "dirty_ring": About(
        "migration", "most bytes of a ring of written pages",
        "", "Use dirty logs; 6.2 brought rings.", "6.2",
    ),
    "dirty_ring_bitmap": About(
        "migration", "with a bitmap for what no vCPU writes", "", "Use dirty logs.", "6.2",
        of="dirty_ring",
    ),
    "eager_split": About("migration", "huge pages can be split ahead of it", "", _NEWER, "6.5"),
    "counter_offset": About(
        "migration", "guests' counters can be offset", "", "Write cntvct_el0 of each vCPU.", "6.4"
    ),
    "writable_id_registers": About(
        "migration", "ID registers that can be changed", "", _NEWER, "6.7"
    ),
    "writable_implementation": About(
        "migration", "guests can be told of another MIDR", "", _NEWER, "6.15"
    ),
    "registers": About("migration", "registers of a vCPU that can be moved"),
    "hypercall_bitmaps": About("migration", "registers that offer hypercalls", "", _NEWER, "5.19"),
    # ---
    "guest_debug": About("debug", "breakpoints and single steps", "", _NEWER, "4.2"),
    "breakpoints": About("debug", "hardware breakpoints"),
    "watchpoints": About("debug", "hardware watchpoints"),
    "statistics_vm": About("debug", "what KVM counts of a VM", "", _NEWER, "5.14"),
    "statistics_vcpu": About("debug", "what KVM counts of a vCPU", "", _NEWER, "5.14"),
    "nisv_to_user": About(
        "debug", "undecoded accesses can come as exits", "", _NEWER, "5.5"
    ),
    "memory_errors_to_user": About(
        "debug", "memory errors can come to the program", "", _NEWER, "6.19"
    ),
    # ---
    "el2": About(
        "nested", "guests can be hypervisors",
        "It needs CPUs with FEAT_NV2, and kvm-arm.mode=nested among the kernel's boot words.",
        "Boot with kvm-arm.mode=nested where the CPU has FEAT_NV2.", "6.16",
    ),
    "el2_e2h0": About(
        "nested", "guest hypervisors can run without VHE",
        "As for guests that are hypervisors; and some CPUs can only do VHE (no FEAT_E2H0).",
        "Run guest hypervisors with VHE.", "6.16", of="el2",
    ),
    "el2_timers": About("nested", "EL2's timers have interrupts", "", _NEWER, "6.4"),
    # ---
    "selftest_edge": About("selftest", "edge interrupts through an irqfd arrive"),
    "selftest_level": About("selftest", "level interrupts arrive, and their end is told"),
    "selftest_ioeventfd": About("selftest", "stores of the guest ring an ioeventfd"),
    "selftest_msi": About("selftest", "MSIs arrive through an ITS"),
}  # fmt: skip
