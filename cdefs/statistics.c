/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics, of a VM or a vCPU alike.
 */
API int get_stats_fd(int vm_or_vcpu, int *made)
{
	return hand_over(request(vm_or_vcpu, KVM_GET_STATS_FD, 0), made);
}
