# SPDX-License-Identifier: Apache-2.0
"""Fields of the ID registers that describe AArch32: 4 bits each, from the lowest up.

What a value means is in the manual; as with the others, more is newer. ``-`` is reserved.

Source: Arm ARM, chapter D (ID registers).
"""

from __future__ import annotations

__all__ = ["NIBBLES"]

NIBBLES = """
id_pfr0_el1 State0 State1 State2 State3 CSV2 AMU DIT RAS
id_pfr1_el1 ProgMod Security MProgMod Virtualization GenTimer Sec_frac Virt_frac GIC
id_pfr2_el1 CSV3 SSBS RAS_frac
id_dfr0_el1 CopDbg CopSDbg MMapDbg CopTrc MMapTrc MProfDbg PerfMon TraceFilt
id_dfr1_el1 MTPMU HPMN0
id_mmfr0_el1 VMSA PMSA OuterShr ShareLvl TCM AuxReg FCSE InnerShr
id_mmfr1_el1 L1HvdVA L1UniVA L1HvdSW L1UniSW L1Hvd L1Uni L1TstCln BPred
id_mmfr2_el1 L1HvdFG L1HvdBG L1HvdRng HvdTLB UniTLB MemBarr WFIStall HWAccFlg
id_mmfr3_el1 CMaintVA CMaintSW BPMaint MaintBcst PAN CohWalk CMemSz Supersec
id_mmfr4_el1 SpecSEI AC2 XNX CnP HPDS LSM CCIDX EVT
id_mmfr5_el1 ETS nTLBPA
id_isar0_el1 Swap BitCount BitField CmpBranch Coproc Debug Divide
id_isar1_el1 Endian Except Except_AR Extend IfThen Immediate Interwork Jazelle
id_isar2_el1 LoadStore MemHint MultiAccessInt Mult MultS MultU PSR_AR Reversal
id_isar3_el1 Saturate SIMD SVC SynchPrim TabBranch T32Copy TrueNOP T32EE
id_isar4_el1 Unpriv WithShifts Writeback SMC Barrier SynchPrim_frac PSR_M SWP_frac
id_isar5_el1 SEVL AES SHA1 SHA2 CRC32 - RDM VCMA
id_isar6_el1 JSCVT DP FHM SB SPECRES BF16 I8MM
mvfr0_el1 SIMDReg FPSP FPDP FPTrap FPDivide FPSqrt FPShVec FPRound
mvfr1_el1 FPFtZ FPDNaN SIMDLS SIMDInt SIMDSP SIMDHP FPHP SIMDFMAC
mvfr2_el1 SIMDMisc FPMisc
"""
