/* SPDX-License-Identifier: Apache-2.0
 *
 * What vcpu_run() and its kin answer. From 0 on it is a handler of stores: its range's slots * 4 + log2
 * of the bytes. From PYKVM_LOADS down, such a handler of loads; from PYKVM_EXITS down, the reason of an
 * exit; else -errno, or one of results.h or of these. (The most frequent has the shortest way in
 * Python: one comparison, and a number so small that it need not be made.)
 */
#define PYKVM_LOADS -0x10000000 /* own: less the handler of loads */
#define PYKVM_EXITS -0x10000 /* own: less the reason of an exit */
#define PYKVM_DRAIN -5010 /* own: stores wait that came before; ask vcpu_owed() once they are gone */
#define PYKVM_TOO_WIDE -5011 /* own: a reply does not fit the guest's load */
#define PYKVM_UNSEEN -5012 /* own: given up with the last answer, which Python never saw */
#define PYKVM_NOTHING -5013 /* own: there is no answer */
#define PYKVM_AGAIN -5014 /* own: to be served once the stores are gone that wait for the same range */

/* Kinds of ranges. */
#define PYKVM_RANGE_HANDLER 0x20000 /* own: Python serves some of its accesses */
#define PYKVM_RANGE_IGNORE 0x20001 /* own: loads read zero, stores are ignored */
#define PYKVM_RANGE_CONSTANT 0x20002 /* own: loads read fixed bytes, stores are ignored */
#define PYKVM_RANGE_LATCH 0x20003 /* own: loads read what was stored last */
#define PYKVM_RANGE_COUNTER 0x20004 /* own: as IGNORE, and counts both */
#define PYKVM_RANGE_RING 0x20005 /* own: stores are kept, loads are left to Python */
#define PYKVM_RANGE_STATUS 0x20006 /* own: a latch whose stores are ignored */
