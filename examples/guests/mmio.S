/* SPDX-License-Identifier: Apache-2.0
 *
 * mmio: for every kind of load, stores a value to ECHO in that width, then loads from ECHO.
 * Proves that KVM and the VMM agree about width, byte order, sign extension and size of register.
 *
 * x2 = value to store, of which each store takes the low bytes
 * Report: results 0-8 = the 64-bit register after `ldrb w`, `ldrh w`, `ldr w`, `ldr x`, `ldrsb w`,
 * `ldrsb x`, `ldrsh w`, `ldrsh x`, `ldrsw x`; count = how many of them are there.
 *
 * KVM got sign extension wrong until a fix of mid-2026: it cut the value to the width of the access
 * after having extended it, so that results 4-8 come without their sign. Seen so with the kernels
 * 6.1.176 and 6.12.107; right with 7.3.4.
 */
#include "runtime/boot.inc"

.macro echo_test number, store, load:vararg
	\store, [x10]
	mov	x11, #-1			// a load of a W register must clear the upper half
	\load, [x10]
	str	x11, [report, #(REPORT_RESULTS + 8 * \number)]
	count	REPORT_COUNT
.endm

main:
	enter
	publish	REPORT_READY
	mov_immediate x10, ECHO_GPA
	echo_test 0, "strb w2", ldrb w11
	echo_test 1, "strh w2", ldrh w11
	echo_test 2, "str w2", ldr w11
	echo_test 3, "str x2", ldr x11
	echo_test 4, "strb w2", ldrsb w11
	echo_test 5, "strb w2", ldrsb x11
	echo_test 6, "strh w2", ldrsh w11
	echo_test 7, "strh w2", ldrsh x11
	echo_test 8, "str w2", ldrsw x11
	leave
