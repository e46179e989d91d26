/* SPDX-License-Identifier: Apache-2.0
 *
 * spi: takes shared peripheral interrupts and counts them by INTID, asleep in between.
 * Proves that what the host injects (irqfd, KVM_IRQ_LINE) arrives, that often, and is ended.
 *
 * x2 = first INTID, x3 = number of INTIDs, x4 = SPI_* flags:
 *   SPI_LEVEL       level-triggered instead of edge-triggered
 *   SPI_ACK_DEVICE  store the INTID to DEVICE_ACK between acknowledge and end, as a driver would
 *   SPI_SPLIT_EOI   EOImode 1: end (priority drop) and deactivation are two steps
 *   SPI_LATE_SETUP  report `waiting`, and leave the SPIs as reset made them, disabled and
 *                   edge-triggered, until the host says go on
 *   SPI_READ_STATUS load the INTID's DEVICE_STATUS after acknowledge, as a driver would; after 0,
 *                   no store to DEVICE_ACK
 * Report: taken, ended, spurious, last INTID; wakeups of the main loop; result 0 = the status read
 * last, result 1 = how many were 0. Ends when the host has set `stop` and the CPU wakes: after an
 * interrupt, or when the vCPU is kicked and run again.
 *
 * A level that stays up is taken again after each end: the counts go on, but the main loop stands
 * still and sees no `stop` until the host lowers the line. Without SPI_READ_STATUS and
 * SPI_ACK_DEVICE, acknowledge and end happen without leaving the guest.
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
	tst	interrupt_flags, #SPI_LATE_SETUP
	b.eq	1f
	publish	REPORT_WAITING
	mov	x10, #1
	wait_for_host_word x10
	str	xzr, [report, #REPORT_WAITING]

1:	mov	x24, first_intid
	add	x25, first_intid, intid_count
2:	mov	x0, x24
	and	x1, interrupt_flags, #SPI_LEVEL
	bl	gic_enable_spi
	add	x24, x24, #1
	cmp	x24, x25
	b.lo	2b

	publish	REPORT_READY
3:	ldr	x9, [report, #REPORT_HOST_STOP]
	cbnz	x9, 4f
	sleep_until_interrupt
	b	3b
4:	leave

serve_device:
	tst	interrupt_flags, #SPI_READ_STATUS
	b.eq	1f
	mov_immediate x10, DEVICE_STATUS_GPA
	ldr	w11, [x10, x0, lsl #2]
	str	x11, [report, #REPORT_RESULTS]
	cbz	w11, 3f
1:	tst	interrupt_flags, #SPI_ACK_DEVICE
	b.eq	2f
	mov_immediate x10, DEVICE_ACK_GPA
	str	w0, [x10]
2:	ret
3:	count	(REPORT_RESULTS + 8)
	ret
