/* SPDX-License-Identifier: Apache-2.0
 *
 * mixed: takes interrupts of every kind and counts them by INTID: SPIs, a PPI, the virtual timer's,
 * LPIs. Proves that a machine that was saved and restored has lost none, and made none of its own.
 *
 * x2 = first SPI, x3 = number of SPIs, x4 = how many of them, the last ones, are level-triggered,
 * x5 = a PPI, x6 = how often a second the timer fires, x7 = events that become LPIs 8192 on (they
 * are of device MIXED_DEVICE_ID); each of the last three may be 0
 * Report: taken, ended, lpi_taken, lpi_ended, spurious; count = turns of the main loop; wakeups;
 * result 0 = interrupts of the timer that it had no cause for
 *
 * The guest leaves for the host at two points, so that a VMM in one thread can do what it likes with
 * a machine whose state it knows: in each turn of the main loop, with interrupts masked, by a store
 * to DOORBELL; and in each interrupt, between acknowledge and end, by a store of the INTID to
 * DEVICE_ACK, which must lower a level. Between that and the end, interrupts of higher priority are
 * let in. While the host's word is not 0, each turn sleeps until an interrupt comes.
 * It ends as `spi` does. Several CPUs may run this, each with SPIs of its own (no two in the same
 * 32); one of them may have LPIs.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"
#include "runtime/lpi.inc"
#include "runtime/its.inc"

#define CNTV_CTL_ENABLE		(1 << 0)
#define CNTV_CTL_ISTATUS_BIT	2

first_spi	.req	x24
spi_count	.req	x25
level_count	.req	x26
timer_ticks	.req	x27

main:
	enter
	mov	first_spi, x2
	mov	spi_count, x3
	mov	level_count, x4
	stp	x5, x7, [sp, #-16]!
	mov	timer_ticks, #0
	cbz	x6, 1f
	mrs	x9, cntfrq_el0
	udiv	timer_ticks, x9, x6
1:	mov	x0, #0				// every INTID is expected
	mov_immediate x1, LPI_FIRST_INTID + REPORT_LPI_COUNT
	mov	x2, #0
	bl	interrupts_init

	bl	enable_spis
	ldr	x0, [sp]
	cbz	x0, 2f
	bl	gic_enable_ppi
2:	ldr	x0, [sp, #8]
	cbz	x0, 3f
	bl	enable_lpis
3:	cbz	timer_ticks, 4f
	mov	x0, #VIRTUAL_TIMER_INTID
	bl	gic_enable_ppi
	bl	arm_timer
	mov	x9, #CNTV_CTL_ENABLE
	msr	cntv_ctl_el0, x9
	isb

4:	publish	REPORT_READY
5:	ldr	x9, [report, #REPORT_HOST_STOP]
	cbnz	x9, 8f
	mov_immediate x10, DOORBELL_GPA
	ldr	x9, [report, #REPORT_COUNT]
	str	w9, [x10]
	ldr	x9, [report, #REPORT_HOST_WORD]
	cbz	x9, 6f
	sleep_until_interrupt
	b	7f
6:	msr	daifclr, #2
	isb
	msr	daifset, #2
7:	count	REPORT_COUNT
	b	5b
8:	msr	cntv_ctl_el0, xzr
	add	sp, sp, #16
	leave

enable_spis:
	enter
	mov	x28, spi_count
1:	cbz	x28, 2f
	sub	x9, spi_count, x28
	add	x0, first_spi, x9
	cmp	x28, level_count		// what is left
	cset	x1, ls
	bl	gic_enable_spi
	sub	x28, x28, #1
	b	1b
2:	leave

// x0 = number of events. Done with the SPIs: their registers serve as counters here.
enable_lpis:
	enter
	mov	spi_count, x0
	bl	lpi_init
	mov	x0, #MIXED_DEVICE_ID
	bl	its_init
	mov	x0, #MIXED_DEVICE_ID
	bl	its_map_device
	mov	level_count, #0
1:	mov	x0, #MIXED_DEVICE_ID
	mov	x1, level_count
	add	x2, level_count, #LPI_FIRST_INTID
	bl	its_map_event
	add	level_count, level_count, #1
	cmp	level_count, spi_count
	b.lo	1b
	bl	its_execute
	leave

// Destroys x9.
arm_timer:
	isb
	mrs	x9, cntvct_el0
	add	x9, x9, timer_ticks
	msr	cntv_cval_el0, x9
	isb
	ret

serve_device:
	enter
	cmp	x0, #VIRTUAL_TIMER_INTID
	b.ne	2f
	mrs	x9, cntv_ctl_el0
	tbnz	x9, #CNTV_CTL_ISTATUS_BIT, 1f
	count	REPORT_RESULTS
1:	bl	arm_timer			// its line falls
2:	mov_immediate x10, DEVICE_ACK_GPA
	str	w0, [x10]
	mrs	x9, elr_el1
	mrs	x10, spsr_el1
	stp	x9, x10, [sp, #-16]!
	msr	daifclr, #2
	isb
	msr	daifset, #2
	ldp	x9, x10, [sp], #16
	msr	elr_el1, x9
	msr	spsr_el1, x10
	leave
