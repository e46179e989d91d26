# SPDX-License-Identifier: Apache-2.0
"""Fields of the ID registers that KVM lists, and what their values mean.

Each line is ``lsb[.width] name: value meaning, …``; fields have 4 bits unless they say otherwise.
A value without a meaning is a number (a count, a size as a power of two), or new. Values above
those listed include what these say, as the architecture orders them.

Source: Arm ARM, chapter D (ID registers).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pykvm.probe.idfields32 import NIBBLES

__all__ = ["Layout", "layouts"]

_TABLE = """
midr_el1
  0 Revision:
  4.12 PartNum:
  16 Architecture: 15 by ID registers
  20 Variant:
  24.8 Implementer:
mpidr_el1
  0.8 Aff0:
  8.8 Aff1:
  16.8 Aff2:
  24.1 MT: 0 cores, 1 threads of a core
  30.1 U: 0 one of several, 1 single
  32.8 Aff3:
ctr_el0
  0 IminLine:
  14.2 L1Ip: 2 VIPT, 3 PIPT
  16 DminLine:
  20 ERG:
  24 CWG:
  28.1 IDC: 1 no clean to unify
  29.1 DIC: 1 no invalidation to unify
  32.6 TminLine:
clidr_el1
  0.3 Ctype1:
  3.3 Ctype2:
  6.3 Ctype3:
  9.3 Ctype4:
  12.3 Ctype5:
  15.3 Ctype6:
  18.3 Ctype7:
  21.3 LoUIS:
  24.3 LoC:
  27.3 LoUU:
  30.3 ICB:
  33.14 Ttypen:
id_aa64pfr0_el1
  0 EL0: 1 AArch64, 2 AArch64 and AArch32
  4 EL1: 1 AArch64, 2 AArch64 and AArch32
  8 EL2: 0 none, 1 AArch64, 2 AArch64 and AArch32
  12 EL3: 0 none, 1 AArch64, 2 AArch64 and AArch32
  16 FP: 0 yes, 1 FEAT_FP16, 15 none
  20 AdvSIMD: 0 yes, 1 FEAT_FP16, 15 none
  24 GIC: 0 by memory, 1 system registers, 3 system registers of GICv4.1
  28 RAS: 0 none, 1 FEAT_RAS, 2 FEAT_RASv1p1, 3 FEAT_RASv2
  32 SVE: 0 none, 1 FEAT_SVE
  36 SEL2: 0 none, 1 FEAT_SEL2
  40 MPAM:
  44 AMU: 0 none, 1 FEAT_AMUv1, 2 FEAT_AMUv1p1
  48 DIT: 0 none, 1 FEAT_DIT
  52 RME: 0 none, 1 FEAT_RME
  56 CSV2: 0 not told, 1 FEAT_CSV2, 2 FEAT_CSV2_2, 3 FEAT_CSV2_3
  60 CSV3: 0 not told, 1 FEAT_CSV3
id_aa64pfr1_el1
  0 BT: 0 none, 1 FEAT_BTI
  4 SSBS: 0 none, 1 FEAT_SSBS, 2 FEAT_SSBS2
  8 MTE: 0 none, 1 FEAT_MTE, 2 FEAT_MTE2, 3 FEAT_MTE3
  12 RAS_frac: 1 FEAT_RASv1p1
  16 MPAM_frac:
  24 SME: 0 none, 1 FEAT_SME, 2 FEAT_SME2
  28 RNDR_trap: 0 none, 1 FEAT_RNG_TRAP
  32 CSV2_frac:
  36 NMI: 0 none, 1 FEAT_NMI
  40 MTE_frac: 0 asynchronous faults, 15 none
  44 GCS: 0 none, 1 FEAT_GCS
  48 THE: 0 none, 1 FEAT_THE
  52 MTEX: 0 none, 1 FEAT_MTE4
  56 DF2: 0 none, 1 FEAT_DoubleFault2
  60 PFAR: 0 none, 1 FEAT_PFAR
id_aa64pfr2_el1
  0 MTEPERM: 0 none, 1 FEAT_MTE_PERM
  4 MTESTOREONLY: 0 none, 1 FEAT_MTE_STORE_ONLY
  8 MTEFAR: 0 none, 1 FEAT_MTE_TAGGED_FAR
  12 GCIE: 0 none, 1 FEAT_GCIE
  16 UINJ: 0 none, 1 FEAT_UINJ
  32 FPMR: 0 none, 1 FEAT_FPMR
id_aa64zfr0_el1
  0 SVEver: 0 SVE, 1 FEAT_SVE2, 2 FEAT_SVE2p1, 3 FEAT_SVE2p2
  4 AES: 0 none, 1 FEAT_SVE_AES, 2 FEAT_SVE_PMULL128
  12 EltPerm: 0 none, 1 FEAT_SVE2p2
  16 BitPerm: 0 none, 1 FEAT_SVE_BitPerm
  20 BF16: 0 none, 1 FEAT_BF16, 2 FEAT_EBF16
  24 B16B16: 0 none, 1 FEAT_SVE_B16B16
  32 SHA3: 0 none, 1 FEAT_SVE_SHA3
  40 SM4: 0 none, 1 FEAT_SVE_SM4
  44 I8MM: 0 none, 1 FEAT_I8MM
  48 F16MM:
  52 F32MM: 0 none, 1 FEAT_F32MM
  56 F64MM: 0 none, 1 FEAT_F64MM
id_aa64smfr0_el1
  0.1 SMOP4:
  16.1 STMOP:
  23.1 SFEXPA:
  24.1 AES:
  25.1 SBitPerm:
  28.1 SF8DP2:
  29.1 SF8DP4:
  30.1 SF8FMA:
  32.1 F32F32:
  33.1 BI32I32:
  34.1 B16F32:
  35.1 F16F32:
  36 I8I32:
  40.1 F8F32:
  41.1 F8F16:
  42.1 F16F16:
  43.1 B16B16:
  44 I16I32:
  48.1 F64F64:
  52 I16I64:
  56 SMEver: 0 SME, 1 FEAT_SME2, 2 FEAT_SME2p1
  60.1 LUTv2:
  61.1 LUT6:
  63.1 FA64:
id_aa64fpfr0_el1
  0.1 F8E5M2:
  1.1 F8E4M3:
  15.1 F16MM2:
  26.1 F8MM4:
  27.1 F8MM8:
  28.1 F8DP2:
  29.1 F8DP4:
  30.1 F8FMA:
  31.1 F8CVT:
id_aa64dfr0_el1
  0 DebugVer: 6 Armv8, 7 Armv8 with VHE, 8 FEAT_Debugv8p2, 9 FEAT_Debugv8p4, 10 FEAT_Debugv8p8
  4 TraceVer: 0 none, 1 trace registers
  8 PMUVer: 0 none, 1 FEAT_PMUv3, 4 FEAT_PMUv3p1, 5 FEAT_PMUv3p4, 6 FEAT_PMUv3p5, 7 FEAT_PMUv3p7
  12 BRPs:
  16 PMSS: 0 none, 1 FEAT_PMUv3_SS
  20 WRPs:
  24 SEBEP: 0 none, 1 FEAT_SEBEP
  28 CTX_CMPs:
  32 PMSVer: 0 none, 1 FEAT_SPE, 2 FEAT_SPEv1p1, 3 FEAT_SPEv1p2, 4 FEAT_SPEv1p3, 5 FEAT_SPEv1p4
  36 DoubleLock: 0 yes, 15 none
  40 TraceFilt: 0 none, 1 FEAT_TRF
  44 TraceBuffer: 0 none, 1 FEAT_TRBE
  48 MTPMU: 0 not told, 1 FEAT_MTPMU, 15 none
  52 BRBE: 0 none, 1 FEAT_BRBE, 2 FEAT_BRBEv1p1
  56 ExtTrcBuff: 0 none, 1 FEAT_TRBE_EXT
  60 HPMN0: 0 none, 1 FEAT_HPMN0
id_aa64dfr1_el1
  0.8 SYSPMUID:
  8.8 BRPs:
  16.8 WRPs:
  24.8 CTX_CMPs:
  32 SPMU: 0 none, 1 FEAT_SPMU
  36 PMICNTR: 0 none, 1 FEAT_PMUv3_ICNTR
  40 ABLE: 0 none, 1 FEAT_ABLE
  44 ITE: 0 none, 1 FEAT_ITE
  48 EBEP: 0 none, 1 FEAT_EBEP
  52 DPFZS:
  56.8 ABL_CMPs:
id_aa64isar0_el1
  4 AES: 0 none, 1 FEAT_AES, 2 FEAT_PMULL
  8 SHA1: 0 none, 1 FEAT_SHA1
  12 SHA2: 0 none, 1 FEAT_SHA256, 2 FEAT_SHA512
  16 CRC32: 0 none, 1 FEAT_CRC32
  20 Atomic: 0 none, 2 FEAT_LSE, 3 FEAT_LSE128
  24 TME: 0 none, 1 FEAT_TME
  28 RDM: 0 none, 1 FEAT_RDM
  32 SHA3: 0 none, 1 FEAT_SHA3
  36 SM3: 0 none, 1 FEAT_SM3
  40 SM4: 0 none, 1 FEAT_SM4
  44 DP: 0 none, 1 FEAT_DotProd
  48 FHM: 0 none, 1 FEAT_FHM
  52 TS: 0 none, 1 FEAT_FlagM, 2 FEAT_FlagM2
  56 TLB: 0 none, 1 FEAT_TLBIOS, 2 FEAT_TLBIRANGE
  60 RNDR: 0 none, 1 FEAT_RNG
id_aa64isar1_el1
  0 DPB: 0 none, 1 FEAT_DPB, 2 FEAT_DPB2
  4 APA: 0 none, 1 FEAT_PAuth, 2 FEAT_EPAC, 3 FEAT_PAuth2, 4 FEAT_FPAC, 5 FEAT_FPACCOMBINE
  8 API: 0 none, 1 FEAT_PAuth, 2 FEAT_EPAC, 3 FEAT_PAuth2, 4 FEAT_FPAC, 5 FEAT_FPACCOMBINE
  12 JSCVT: 0 none, 1 FEAT_JSCVT
  16 FCMA: 0 none, 1 FEAT_FCMA
  20 LRCPC: 0 none, 1 FEAT_LRCPC, 2 FEAT_LRCPC2, 3 FEAT_LRCPC3
  24 GPA: 0 none, 1 QARMA5
  28 GPI: 0 none, 1 of the implementation's own
  32 FRINTTS: 0 none, 1 FEAT_FRINTTS
  36 SB: 0 none, 1 FEAT_SB
  40 SPECRES: 0 none, 1 FEAT_SPECRES, 2 FEAT_SPECRES2
  44 BF16: 0 none, 1 FEAT_BF16, 2 FEAT_EBF16
  48 DGH: 0 none, 1 FEAT_DGH
  52 I8MM: 0 none, 1 FEAT_I8MM
  56 XS: 0 none, 1 FEAT_XS
  60 LS64: 0 none, 1 FEAT_LS64, 2 FEAT_LS64_V, 3 FEAT_LS64_ACCDATA
id_aa64isar2_el1
  0 WFxT: 0 none, 2 FEAT_WFxT
  4 RPRES: 0 none, 1 FEAT_RPRES
  8 GPA3: 0 none, 1 QARMA3
  12 APA3: 0 none, 1 FEAT_PAuth, 2 FEAT_EPAC, 3 FEAT_PAuth2, 4 FEAT_FPAC, 5 FEAT_FPACCOMBINE
  16 MOPS: 0 none, 1 FEAT_MOPS
  20 BC: 0 none, 1 FEAT_HBC
  24 PAC_frac: 0 none, 1 FEAT_CONSTPACFIELD
  28 CLRBHB: 0 none, 1 FEAT_CLRBHB
  32 SYSREG_128: 0 none, 1 FEAT_SYSREG128
  36 SYSINSTR_128: 0 none, 1 FEAT_SYSINSTR128
  40 PRFMSLC: 0 none, 1 FEAT_PRFMSLC
  44 PCDPHINT: 0 none, 1 FEAT_PCDPHINT
  48 RPRFM: 0 none, 1 FEAT_RPRFM
  52 CSSC: 0 none, 1 FEAT_CSSC, 2 FEAT_CMPBR
  56 LUT: 0 none, 1 FEAT_LUT
  60 ATS1A: 0 none, 1 FEAT_ATS1A
id_aa64isar3_el1
  0 CPA: 0 none, 1 FEAT_CPA, 2 FEAT_CPA2
  4 FAMINMAX: 0 none, 1 FEAT_FAMINMAX
  8 TLBIW: 0 none, 1 FEAT_TLBIW
  12 PACM: 0 none, 1 trivial, 2 FEAT_PAuth_LR
  16 LSFE: 0 none, 1 FEAT_LSFE
  20 OCCMO: 0 none, 1 FEAT_OCCMO
  24 LSUI: 0 none, 1 FEAT_LSUI
  28 FPRCVT: 0 none, 1 FEAT_FPRCVT
id_aa64mmfr0_el1
  0 PARange: 0 32 bits, 1 36 bits, 2 40 bits, 3 42 bits, 4 44 bits, 5 48 bits, 6 52 bits, 7 56 bits
  4 ASIDBits: 0 8 bits, 2 16 bits
  8 BigEnd: 0 none, 1 FEAT_MixedEnd
  12 SNSMem: 0 none, 1 yes
  16 BigEndEL0: 0 none, 1 FEAT_MixedEndEL0
  20 TGran16: 0 none, 1 yes, 2 with 52 bits
  24 TGran64: 0 yes, 15 none
  28 TGran4: 0 yes, 1 with 52 bits, 15 none
  32 TGran16_2: 0 as TGran16, 1 none, 2 yes, 3 with 52 bits
  36 TGran64_2: 0 as TGran64, 1 none, 2 yes
  40 TGran4_2: 0 as TGran4, 1 none, 2 yes, 3 with 52 bits
  44 ExS: 0 none, 1 FEAT_ExS
  56 FGT: 0 none, 1 FEAT_FGT, 2 FEAT_FGT2
  60 ECV: 0 none, 1 FEAT_ECV, 2 FEAT_ECV with offset
id_aa64mmfr1_el1
  0 HAFDBS: 0 none, 1 access flag, 2 FEAT_HAFDBS, 3 FEAT_HAFT, 4 FEAT_HDBSS
  4 VMIDBits: 0 8 bits, 2 16 bits
  8 VH: 0 none, 1 FEAT_VHE
  12 HPDS: 0 none, 1 FEAT_HPDS, 2 FEAT_HPDS2
  16 LO: 0 none, 1 FEAT_LOR
  20 PAN: 0 none, 1 FEAT_PAN, 2 FEAT_PAN2, 3 FEAT_PAN3
  24 SpecSEI: 0 none, 1 yes
  28 XNX: 0 none, 1 FEAT_XNX
  32 TWED: 0 none, 1 FEAT_TWED
  36 ETS: 0 none, 2 FEAT_ETS2, 3 FEAT_ETS3
  40 HCX: 0 none, 1 FEAT_HCX
  44 AFP: 0 none, 1 FEAT_AFP
  48 nTLBPA: 0 none, 1 FEAT_nTLBPA
  52 TIDCP1: 0 none, 1 FEAT_TIDCP1
  56 CMOW: 0 none, 1 FEAT_CMOW
  60 ECBHB: 0 none, 1 FEAT_ECBHB
id_aa64mmfr2_el1
  0 CnP: 0 none, 1 FEAT_TTCNP
  4 UAO: 0 none, 1 FEAT_UAO
  8 LSM: 0 none, 1 FEAT_LSMAOC
  12 IESB: 0 none, 1 FEAT_IESB
  16 VARange: 0 48 bits, 1 FEAT_LVA, 2 FEAT_LVA3
  20 CCIDX: 0 none, 1 FEAT_CCIDX
  24 NV: 0 none, 1 FEAT_NV, 2 FEAT_NV2
  28 ST: 0 none, 1 FEAT_TTST
  32 AT: 0 none, 1 FEAT_LSE2
  36 IDS: 0 none, 1 FEAT_IDST, 2 FEAT_IDTE3
  40 FWB: 0 none, 1 FEAT_S2FWB
  48 TTL: 0 none, 1 FEAT_TTL
  52 BBM: 0 level 0, 1 level 1, 2 level 2
  56 EVT: 0 none, 1 FEAT_EVT, 2 FEAT_EVT with TLBI
  60 E0PD: 0 none, 1 FEAT_E0PD
id_aa64mmfr3_el1
  0 TCRX: 0 none, 1 FEAT_TCR2
  4 SCTLRX: 0 none, 1 FEAT_SCTLR2
  8 S1PIE: 0 none, 1 FEAT_S1PIE
  12 S2PIE: 0 none, 1 FEAT_S2PIE
  16 S1POE: 0 none, 1 FEAT_S1POE
  20 S2POE: 0 none, 1 FEAT_S2POE
  24 AIE: 0 none, 1 FEAT_AIE
  28 MEC: 0 none, 1 FEAT_MEC
  32 D128: 0 none, 1 FEAT_D128
  36 D128_2: 0 none, 1 FEAT_D128
  40 SNERR:
  44 ANERR:
  52 SDERR:
  56 ADERR:
  60 Spec_FPACC: 0 not told, 1 none
id_aa64mmfr4_el1
  0 PoPS:
  4 EIESB:
  8 ASID2: 0 none, 1 FEAT_ASID2
  12 HACDBS: 0 none, 1 FEAT_HACDBS
  16 FGWTE3: 0 none, 1 FEAT_FGWTE3
  20 NV_frac: 0 NV and NV2, 1 FEAT_NV2p1 alone
  24 E2H0: 0 FEAT_E2H0, 14 none and NV1 is RES0, 15 none
  28 RMEGDI:
  32 EAESR:
  36 E3DSE: 0 none, 1 FEAT_E3DSE
  40 TLBID:
  44 SRMASK: 0 none, 1 FEAT_SRMASK
  48 TPS:
  52 TEV:
  56 SCRX:
  60 MTEFGT:
"""

#: lsb, width, name, and what values mean.
Layout = tuple[int, int, str, dict[int, str]]


def _parsed() -> Iterator[tuple[str, list[Layout]]]:
    fields: list[Layout] = []
    for line in _TABLE.splitlines():
        if line and not line.startswith(" "):
            fields = []
            yield line, fields
        elif line:
            head, _, meanings = line.partition(":")
            place, name = head.split()
            lsb, _, width = place.partition(".")
            split = (text.split(maxsplit=1) for text in meanings.split(",") if text.strip())
            values = {int(value): meaning for value, meaning in split}
            fields.append((int(lsb), int(width or 4), name, values))


def _parsed32() -> Iterator[tuple[str, list[Layout]]]:
    for line in NIBBLES.strip().splitlines():
        register, *names = line.split()
        yield register, [(4 * n, 4, name, {}) for n, name in enumerate(names) if name != "-"]


@cache
def layouts() -> dict[str, list[Layout]]:
    """By a register's name, its fields from the lowest bit up."""
    return dict([*_parsed(), *_parsed32()])
