/* SPDX-License-Identifier: Apache-2.0
 *
 * The system descriptor, /dev/kvm. Each name carries the kernel that brought it, and the word
 * arm64 where the name exists, or means this, on arm64 only.
 */
#define KVM_GET_API_VERSION KVM_NONE(0x00) /* 3.9 */
#define KVM_CREATE_VM KVM_NONE(0x01) /* 3.9 */
#define KVM_CHECK_EXTENSION KVM_NONE(0x03) /* 3.9 */
#define KVM_GET_VCPU_MMAP_SIZE KVM_NONE(0x04) /* 3.9 */

/* The only version that was ever stable. */
#define KVM_API_VERSION 12 /* 3.9 */

/* Bits of KVM_CREATE_VM's type. */
#define KVM_VM_TYPE_ARM_IPA_SIZE_MASK 0xff /* 4.20 */
