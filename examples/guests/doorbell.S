/* SPDX-License-Identifier: Apache-2.0
 *
 * doorbell: stores to DOORBELL a number of times, then powers off.
 * Proves that each store arrives, at an ioeventfd or as an MMIO exit, with its value; and, when it
 * waits, that the way back works too.
 *
 * x2 = number of stores, x3 = width in bytes (1, 2, 4, 8), x4 = first value, x5 = added to it after
 * each store, x6 = what to wait for after each store:
 *   WAIT_NONE       nothing
 *   WAIT_HOST       the host's word in the report, to be at least the number of stores made
 *   WAIT_INTERRUPT  one edge-triggered SPI more; x7 = its INTID
 * Report: count = stores made; with WAIT_INTERRUPT also taken, ended, spurious.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"

remaining	.req	x24
width		.req	x25
value		.req	x26
step		.req	x27
wait_for	.req	x28

main:
	enter
	mov	remaining, x2
	mov	width, x3
	mov	value, x4
	mov	step, x5
	mov	wait_for, x6
	cmp	wait_for, #WAIT_INTERRUPT
	b.ne	1f
	mov	x0, x7
	mov	x1, #1
	mov	x2, #0
	bl	interrupts_init
	mov	x0, first_intid
	mov	x1, #0
	bl	gic_enable_spi

1:	publish	REPORT_READY
2:	cbz	remaining, 3f
	bl	ring
	count	REPORT_COUNT
	bl	wait
	add	value, value, step
	sub	remaining, remaining, #1
	b	2b
3:	leave

ring:
	mov_immediate x10, DOORBELL_GPA
	cmp	width, #1
	b.eq	1f
	cmp	width, #2
	b.eq	2f
	cmp	width, #4
	b.eq	4f
	cmp	width, #8
	b.eq	8f
	die	STOP_BAD_ARGUMENT
1:	strb	w26, [x10]
	ret
2:	strh	w26, [x10]
	ret
4:	str	w26, [x10]
	ret
8:	str	value, [x10]
	ret

wait:
	ldr	x10, [report, #REPORT_COUNT]
	cmp	wait_for, #WAIT_HOST
	b.eq	1f
	cmp	wait_for, #WAIT_INTERRUPT
	b.eq	2f
	ret

1:	wait_for_host_word x10
	ret

2:	add	x11, report, first_intid, lsl #3
3:	ldr	x9, [x11, #REPORT_TAKEN]
	cmp	x9, x10
	b.hs	4f
	sleep_until_interrupt
	b	3b
4:	ret

serve_device:
	ret
