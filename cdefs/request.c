/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place from which the kernel is called.
 */
#ifdef PYKVM_TRACE
#include PYKVM_TRACE /* the test build: what it includes records each call, and can leave one out */
#else
#define TRACE_EXIT(fd, run) ((void)0)
#endif

static int request(int fd, unsigned int number, uintptr_t argument)
{
	int result = ioctl(fd, number, argument);

	return result < 0 ? -errno : result;
}
