/* SPDX-License-Identifier: Apache-2.0
 *
 * fault: takes an exception that it does not expect.
 * Proves that such an exception, in any guest, ends in a report and a stop, and not in silence.
 *
 * x2 = FAULT_*: a BRK, an undefined instruction, a load from an address that is not mapped, or a
 * jump into device memory
 * Report: exception and its registers, stop reason.
 */
#include "runtime/boot.inc"

main:
	enter
	publish	REPORT_READY
	mov_immediate x10, UNTRANSLATED_ADDRESS
	mov_immediate x11, MMIO_GPA
	cmp	x2, #FAULT_BRK
	b.eq	1f
	cmp	x2, #FAULT_UNDEFINED
	b.eq	2f
	cmp	x2, #FAULT_DATA_ABORT
	b.eq	3f
	cmp	x2, #FAULT_INSTRUCTION_ABORT
	b.eq	4f
	die	STOP_BAD_ARGUMENT
1:	brk	#0x123
2:	udf	#0
3:	ldr	x9, [x10]
4:	br	x11
