/* SPDX-License-Identifier: Apache-2.0
 *
 * spi: takes shared peripheral interrupts and counts them by INTID, asleep in between.
 * Proves that what the host injects (irqfd, KVM_IRQ_LINE) arrives, that often, and is ended.
 *
 * x2 = first INTID, x3 = number of INTIDs, x4 = SPI_* flags:
 *   SPI_LEVEL       level-triggered instead of edge-triggered
 *   SPI_ACK_DEVICE  store the INTID to DEVICE_ACK between acknowledge and end, as a driver would
 *   SPI_SPLIT_EOI   EOImode 1: end (priority drop) and deactivation are two steps
 * Report: taken, ended, spurious, last INTID; wakeups of the main loop. Ends when the host has set
 * `stop` and the CPU wakes: after an interrupt, or when the vCPU is kicked and run again.
 *
 * Several CPUs may run this, each with INTIDs of its own; no two in the same 32, which share words
 * of the distributor.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"

main:
	enter
	mov	x0, x2
	mov	x1, x3
	mov	x2, x4
	bl	interrupts_init
	mov	x24, first_intid
	add	x25, first_intid, intid_count
1:	mov	x0, x24
	and	x1, interrupt_flags, #SPI_LEVEL
	bl	gic_enable_spi
	add	x24, x24, #1
	cmp	x24, x25
	b.lo	1b

	publish	REPORT_READY
2:	ldr	x9, [report, #REPORT_HOST_STOP]
	cbnz	x9, 3f
	sleep_until_interrupt
	b	2b
3:	leave

serve_device:
	tst	interrupt_flags, #SPI_ACK_DEVICE
	b.eq	1f
	mov_immediate x10, DEVICE_ACK_GPA
	str	w0, [x10]
1:	ret
