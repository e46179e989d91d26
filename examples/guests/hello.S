/* SPDX-License-Identifier: Apache-2.0
 *
 * hello: prints a message, one MMIO store per character, and powers off.
 * Proves that a guest runs at all, and that MMIO exits carry the right bytes in the right order.
 *
 * x2 = address of the message, or 0 for the one that is built in; x3 = its length in bytes
 * Report: count = characters printed.
 */
#include "runtime/boot.inc"

main:
	enter
	publish	REPORT_READY
	mov_immediate x10, CONSOLE_GPA
	cbnz	x2, 1f
	adr	x2, message
	mov	x3, #(message_end - message)
1:	cbz	x3, 2f
	ldrb	w11, [x2], #1
	strb	w11, [x10]
	count	REPORT_COUNT
	sub	x3, x3, #1
	b	1b
2:	leave

message:
	.ascii	"Hello from EL1!\n"
message_end:
	.balign	4
