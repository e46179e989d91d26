/* SPDX-License-Identifier: Apache-2.0
 *
 * lpi: maps the events of one device to LPIs through the ITS, takes these and counts them by event.
 * Proves that MSIs (KVM_SIGNAL_MSI, an irqfd on an MSI route) become LPIs, that often. It sets up
 * as an operating system does, so that the host has nothing to prepare but GICv3 and ITS.
 *
 * x2 = DeviceID, x3 = number of events: EventID n becomes LPI 8192 + n
 * Report: lpi_taken, lpi_ended, spurious, last INTID; wakeups of the main loop. Ready when the ITS
 * has executed all commands. Ends as `spi` does.
 *
 * For one CPU: there is one pending table, and the LPIs go to the CPU that runs this.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"
#include "runtime/lpi.inc"
#include "runtime/its.inc"

device_id	.req	x24
event		.req	x25

main:
	enter
	cmp	gic_version, #3
	b.ne	3f
	sub	x9, x3, #1
	cmp	x9, #REPORT_LPI_COUNT
	b.hs	3f
	mov	device_id, x2
	mov	x0, #LPI_FIRST_INTID
	mov	x1, x3
	mov	x2, #0
	bl	interrupts_init

	mov	x0, intid_count
	bl	lpi_init
	mov	x0, device_id
	bl	its_init
	mov	x0, device_id
	bl	its_map_device
	mov	event, #0
1:	mov	x0, device_id
	mov	x1, event
	add	x2, first_intid, event
	bl	its_map_event
	add	event, event, #1
	cmp	event, intid_count
	b.lo	1b
	bl	its_execute

	publish	REPORT_READY
2:	ldr	x9, [report, #REPORT_HOST_STOP]
	cbnz	x9, 4f
	sleep_until_interrupt
	b	2b
3:	die	STOP_BAD_ARGUMENT
4:	leave

serve_device:
	ret
