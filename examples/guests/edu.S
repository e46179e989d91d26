/* SPDX-License-Identifier: Apache-2.0
 *
 * edu: drives QEMU's device of that name, whose registers the host has mapped at EDU, and takes its
 * level-triggered interrupt.
 * Proves that a device's line reaches the guest for as long as it is up: it raises the line, leaves
 * it up for some ends of the interrupt, then lowers it in the handler, as a driver does.
 *
 * x2 = INTID, x3 = ends that the line is left up for, x4 = flags: SPI_ACK_DEVICE stores the INTID to
 * DEVICE_ACK in each interrupt, which leaves the guest; without, nothing does. x5 = how often.
 * Report: taken, ended, spurious, last INTID; count = times that it has raised the line; result 0 =
 * ends still to come, result 1 = times that it has lowered it, result 2 = the device's status after
 * that. `waiting` is 1 when it has done all; it ends at its next wake-up after `stop`.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"

main:
	enter
	mov	x24, x3
	mov	x25, x5
	mov_immediate x26, EDU_GPA
	mov	x0, x2
	mov	x1, #1
	mov	x2, x4
	bl	interrupts_init
	mov	x0, first_intid
	mov	x1, #SPI_LEVEL
	bl	gic_enable_spi
	publish	REPORT_READY

1:	cbz	x25, 3f
	str	x24, [report, #REPORT_RESULTS]
	ldr	x27, [report, #(REPORT_RESULTS + 8)]
	count	REPORT_COUNT
	mov	w9, #1
	str	w9, [x26, #EDU_RAISE]
2:	sleep_until_interrupt
	ldr	x9, [report, #(REPORT_RESULTS + 8)]
	cmp	x9, x27
	b.eq	2b
	sub	x25, x25, #1
	b	1b

3:	publish	REPORT_WAITING
4:	ldr	x9, [report, #REPORT_HOST_STOP]
	cbnz	x9, 5f
	sleep_until_interrupt
	b	4b
5:	leave

serve_device:
	ldr	x9, [report, #REPORT_RESULTS]
	cbz	x9, 1f
	sub	x9, x9, #1
	str	x9, [report, #REPORT_RESULTS]
	b	2f
1:	mov_immediate x10, EDU_GPA
	mov	w9, #1
	str	w9, [x10, #EDU_LOWER]
	ldr	w9, [x10, #EDU_STATUS]		// its answer comes after the store has arrived
	str	x9, [report, #(REPORT_RESULTS + 16)]
	count	(REPORT_RESULTS + 8)
2:	tst	interrupt_flags, #SPI_ACK_DEVICE
	b.eq	3f
	mov_immediate x10, DEVICE_ACK_GPA
	str	w0, [x10]
3:	ret
