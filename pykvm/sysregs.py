# SPDX-License-Identifier: Apache-2.0
"""Encodings of the system registers that KVM lists, by name.

Read by :mod:`pykvm.registers` when the first name is looked up, and by nothing before. What KVM
keeps among the core registers (SP_EL0, SP_EL1, ELR_EL1, SPSR_EL1, FPSR, FPCR) is not here.

Source: Arm ARM, chapter D (system register encodings).
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Encoding", "encodings"]

#: op0, op1, CRn, CRm, op2.
Encoding = tuple[int, int, int, int, int]

#: All but op2, then each register as op2:name.
_TABLE = """
s2_0_c0_c2    0:mdccint_el1 2:mdscr_el1
s2_0_c1_c1    4:oslsr_el1
s2_4_c0_c7    0:dbgvcr32_el2
s3_0_c0_c0    0:midr_el1 5:mpidr_el1 6:revidr_el1
s3_0_c0_c1    0:id_pfr0_el1 1:id_pfr1_el1 2:id_dfr0_el1 3:id_afr0_el1 4:id_mmfr0_el1
s3_0_c0_c1    5:id_mmfr1_el1 6:id_mmfr2_el1 7:id_mmfr3_el1
s3_0_c0_c2    0:id_isar0_el1 1:id_isar1_el1 2:id_isar2_el1 3:id_isar3_el1 4:id_isar4_el1
s3_0_c0_c2    5:id_isar5_el1 6:id_mmfr4_el1 7:id_isar6_el1
s3_0_c0_c3    0:mvfr0_el1 1:mvfr1_el1 2:mvfr2_el1 4:id_pfr2_el1 5:id_dfr1_el1 6:id_mmfr5_el1
s3_0_c0_c4    0:id_aa64pfr0_el1 1:id_aa64pfr1_el1 2:id_aa64pfr2_el1 4:id_aa64zfr0_el1
s3_0_c0_c4    5:id_aa64smfr0_el1 7:id_aa64fpfr0_el1
s3_0_c0_c5    0:id_aa64dfr0_el1 1:id_aa64dfr1_el1 2:id_aa64dfr2_el1 4:id_aa64afr0_el1
s3_0_c0_c5    5:id_aa64afr1_el1
s3_0_c0_c6    0:id_aa64isar0_el1 1:id_aa64isar1_el1 2:id_aa64isar2_el1 3:id_aa64isar3_el1
s3_0_c0_c7    0:id_aa64mmfr0_el1 1:id_aa64mmfr1_el1 2:id_aa64mmfr2_el1 3:id_aa64mmfr3_el1
s3_0_c0_c7    4:id_aa64mmfr4_el1
s3_0_c1_c0    0:sctlr_el1 1:actlr_el1 2:cpacr_el1 3:sctlr2_el1 5:rgsr_el1 6:gcr_el1
s3_0_c1_c2    0:zcr_el1 4:smpri_el1 6:smcr_el1
s3_0_c2_c0    0:ttbr0_el1 1:ttbr1_el1 2:tcr_el1 3:tcr2_el1
s3_0_c2_c1    0:apiakeylo_el1 1:apiakeyhi_el1 2:apibkeylo_el1 3:apibkeyhi_el1
s3_0_c2_c2    0:apdakeylo_el1 1:apdakeyhi_el1 2:apdbkeylo_el1 3:apdbkeyhi_el1
s3_0_c2_c3    0:apgakeylo_el1 1:apgakeyhi_el1
s3_0_c5_c1    0:afsr0_el1 1:afsr1_el1
s3_0_c5_c2    0:esr_el1
s3_0_c5_c6    0:tfsr_el1 1:tfsre0_el1
s3_0_c6_c0    0:far_el1
s3_0_c7_c4    0:par_el1
s3_0_c9_c14   1:pmintenset_el1 2:pmintenclr_el1 6:pmmir_el1
s3_0_c10_c2   0:mair_el1 2:pire0_el1 3:pir_el1 4:por_el1
s3_0_c10_c3   0:amair_el1
s3_0_c12_c0   0:vbar_el1
s3_0_c12_c1   1:disr_el1
s3_0_c13_c0   1:contextidr_el1 4:tpidr_el1 7:scxtnum_el1
s3_0_c14_c1   0:cntkctl_el1
s3_1_c0_c0    1:clidr_el1 6:smidr_el1 7:aidr_el1
s3_2_c0_c0    0:csselr_el1
s3_3_c0_c0    1:ctr_el0
s3_3_c4_c2    2:svcr
s3_3_c4_c4    2:fpmr
s3_3_c9_c12   0:pmcr_el0 1:pmcntenset_el0 2:pmcntenclr_el0 3:pmovsclr_el0 4:pmswinc_el0
s3_3_c9_c12   5:pmselr_el0 6:pmceid0_el0 7:pmceid1_el0
s3_3_c9_c13   0:pmccntr_el0 1:pmxevtyper_el0 2:pmxevcntr_el0
s3_3_c9_c14   0:pmuserenr_el0 3:pmovsset_el0
s3_3_c10_c2   4:por_el0
s3_3_c13_c0   2:tpidr_el0 3:tpidrro_el0 5:tpidr2_el0 7:scxtnum_el0
s3_3_c14_c0   1:cntpct_el0 2:cntvct_el0
s3_3_c14_c2   1:cntp_ctl_el0 2:cntp_cval_el0
s3_3_c14_c3   1:cntv_ctl_el0 2:cntv_cval_el0
s3_3_c14_c15  7:pmccfiltr_el0
s3_4_c0_c0    0:vpidr_el2 5:vmpidr_el2
s3_4_c1_c0    0:sctlr_el2 1:actlr_el2 3:sctlr2_el2
s3_4_c1_c1    0:hcr_el2 1:mdcr_el2 2:cptr_el2 3:hstr_el2 4:hfgrtr_el2 5:hfgwtr_el2 6:hfgitr_el2
s3_4_c1_c1    7:hacr_el2
s3_4_c1_c2    0:zcr_el2 2:hcrx_el2
s3_4_c1_c5    0:nvhcr_el2
s3_4_c2_c0    0:ttbr0_el2 1:ttbr1_el2 2:tcr_el2 3:tcr2_el2
s3_4_c2_c1    0:vttbr_el2 2:vtcr_el2
s3_4_c2_c2    0:vncr_el2
s3_4_c3_c0    0:dacr32_el2
s3_4_c3_c1    0:hdfgrtr2_el2 1:hdfgwtr2_el2 2:hfgrtr2_el2 3:hfgwtr2_el2 4:hdfgrtr_el2
s3_4_c3_c1    5:hdfgwtr_el2 6:hafgrtr_el2 7:hfgitr2_el2
s3_4_c4_c0    0:spsr_el2 1:elr_el2
s3_4_c5_c0    1:ifsr32_el2
s3_4_c5_c1    0:afsr0_el2 1:afsr1_el2
s3_4_c5_c2    0:esr_el2 3:vsesr_el2
s3_4_c5_c3    0:fpexc32_el2
s3_4_c6_c0    0:far_el2 4:hpfar_el2
s3_4_c10_c2   0:mair_el2 2:pire0_el2 3:pir_el2 4:por_el2
s3_4_c10_c3   0:amair_el2
s3_4_c12_c0   0:vbar_el2
s3_4_c12_c1   1:vdisr_el2
s3_4_c12_c11  0:ich_hcr_el2 7:ich_vmcr_el2
s3_4_c13_c0   1:contextidr_el2 2:tpidr_el2
s3_4_c14_c0   3:cntvoff_el2
s3_4_c14_c1   0:cnthctl_el2
s3_4_c14_c2   1:cnthp_ctl_el2 2:cnthp_cval_el2
s3_4_c14_c3   1:cnthv_ctl_el2 2:cnthv_cval_el2
s3_6_c4_c1    0:sp_el2
"""


def _numbered() -> Iterator[tuple[str, Encoding]]:
    """Registers of which there are several."""
    for n in range(16):
        for op2, kind in enumerate(("bvr", "bcr", "wvr", "wcr"), start=4):
            yield f"dbg{kind}{n}_el1", (2, 0, 0, n, op2)
        yield f"ich_lr{n}_el2", (3, 4, 12, 12 + n // 8, n % 8)
    for n in range(31):
        yield f"pmevcntr{n}_el0", (3, 3, 14, 8 + n // 8, n % 8)
        yield f"pmevtyper{n}_el0", (3, 3, 14, 12 + n // 8, n % 8)
    for n in range(4):
        yield f"ich_ap0r{n}_el2", (3, 4, 12, 8, n)
        yield f"ich_ap1r{n}_el2", (3, 4, 12, 9, n)


def encodings() -> Iterator[tuple[str, Encoding]]:
    """Every name, in lower case, with what MRS and MSR encode."""
    for line in _TABLE.split("\n")[1:-1]:
        operands, *names = line.split()
        op0, op1, crn, crm = (int(operand.strip("sc")) for operand in operands.split("_"))
        for entry in names:
            op2, name = entry.split(":")
            yield name, (op0, op1, crn, crm, int(op2))
    yield from _numbered()
