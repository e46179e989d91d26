/* SPDX-License-Identifier: Apache-2.0
 *
 * execute: runs what the host put at SCRATCH_GPA, as a function: a few instructions that end in RET.
 * Proves what one instruction does: reads a register, makes a call, steps into a trap.
 *
 * x2 to x7 = the function's x0 to x5
 * Report: results 0-7 = its x0 to x7 afterwards, result 8 = synchronous exceptions that it took,
 * results 9-11 = ESR, FAR and ELR of the last one, result 12 = interrupts and SErrors that it took,
 * result 13 = ESR of the last SError.
 *
 * An exception skips the instruction that took it. Interrupts are masked unless the function
 * unmasks them; they are counted, and come back masked. x19 is the report's block and must be kept.
 */
#define CATCHES_EXCEPTIONS
#include "runtime/boot.inc"

#define RESULT(n)	(REPORT_RESULTS + 8 * (n))

main:
	enter
	publish	REPORT_READY
	mov_immediate x16, SCRATCH_GPA
	mov	x0, x2
	mov	x1, x3
	mov	x2, x4
	mov	x3, x5
	mov	x4, x6
	mov	x5, x7
	mov	x6, #0
	mov	x7, #0
	isb
	blr	x16
	stp	x0, x1, [report, #RESULT(0)]
	stp	x2, x3, [report, #RESULT(2)]
	stp	x4, x5, [report, #RESULT(4)]
	stp	x6, x7, [report, #RESULT(6)]
	leave

// Both keep all registers, so that the function sees nothing of them.
caught_synchronous:
	stp	x9, x10, [sp, #-16]!
	count	RESULT(8)
	mrs	x9, esr_el1
	mrs	x10, far_el1
	stp	x9, x10, [report, #RESULT(9)]
	mrs	x9, elr_el1
	str	x9, [report, #RESULT(11)]
	add	x9, x9, #4
	msr	elr_el1, x9
	ldp	x9, x10, [sp], #16
	eret

caught_asynchronous:
	stp	x9, x10, [sp, #-16]!
	count	RESULT(12)
	mrs	x9, esr_el1
	str	x9, [report, #RESULT(13)]
	mrs	x9, spsr_el1
	orr	x9, x9, #0x3c0			// masked from now on
	msr	spsr_el1, x9
	ldp	x9, x10, [sp], #16
	eret
