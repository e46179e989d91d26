/* SPDX-License-Identifier: Apache-2.0
 *
 * timer: arms a timer of its CPU, sleeps until the interrupt comes, does it again; in the end powers
 * off.
 * Proves that the in-kernel timer and the vGIC work together.
 *
 * x2 = ticks until it fires, x3 = how many times, x4 = INTID of its PPI, x5 = 1 for the physical
 * timer instead of the virtual one
 * Report: taken, ended, spurious; count = rounds; result 0 = least ticks of its counter that a
 * round took.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"

#define TIMER_ENABLE		(1 << 0)

ticks		.req	x24
rounds		.req	x25
armed_at	.req	x26
least_ticks	.req	x27
intid		.req	x28
physical	.req	x29

// One of two instructions, by the timer.
.macro for_timer virtual, physical_one
	cbnz	physical, 8f
	\virtual
	b	9f
8:	\physical_one
9:
.endm

.macro read_counter register
	for_timer "mrs \register, cntvct_el0", "mrs \register, cntpct_el0"
.endm

main:
	enter
	mov	ticks, x2
	mov	rounds, x3
	mov	least_ticks, #-1
	mov	intid, x4
	mov	physical, x5
	mov	x0, intid
	mov	x1, #1
	mov	x2, #0
	bl	interrupts_init
	mov	x0, intid
	bl	gic_enable_ppi
	publish	REPORT_READY

1:	ldr	x9, [report, #REPORT_COUNT]
	cmp	x9, rounds
	b.hs	4f
	isb
	read_counter armed_at
	add	x9, armed_at, ticks
	for_timer "msr cntv_cval_el0, x9", "msr cntp_cval_el0, x9"
	mov	x9, #TIMER_ENABLE
	for_timer "msr cntv_ctl_el0, x9", "msr cntp_ctl_el0, x9"
	isb

2:	add	x10, report, #REPORT_TAKEN
	ldr	x10, [x10, intid, lsl #3]
	ldr	x9, [report, #REPORT_COUNT]
	cmp	x10, x9
	b.hi	3f
	sleep_until_interrupt
	b	2b

3:	isb
	read_counter x9
	sub	x9, x9, armed_at
	cmp	x9, least_ticks
	csel	least_ticks, x9, least_ticks, lo
	str	least_ticks, [report, #REPORT_RESULTS]
	count	REPORT_COUNT
	b	1b
4:	leave

// The timer's line is level-triggered: it must fall before the end, or the interrupt comes again.
serve_device:
	for_timer "msr cntv_ctl_el0, xzr", "msr cntp_ctl_el0, xzr"
	isb
	ret
