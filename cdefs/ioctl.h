/* SPDX-License-Identifier: Apache-2.0
 *
 * How KVM builds a request number: direction, size of the argument, the letter 0xAE, an ordinal.
 * arm64 and x86_64 share this encoding; the oracle checks every result, not this recipe.
 */
#define KVM_REQUEST(direction, size, nr) ((direction) << 30 | (unsigned)(size) << 16 | 0xAE00u | (nr))
#define KVM_NONE(nr) KVM_REQUEST(0u, 0, nr)
#define KVM_WRITES(nr, type) KVM_REQUEST(1u, sizeof(type), nr)
#define KVM_READS(nr, type) KVM_REQUEST(2u, sizeof(type), nr)
#define KVM_EXCHANGES(nr, type) KVM_REQUEST(3u, sizeof(type), nr)
