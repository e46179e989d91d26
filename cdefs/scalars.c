/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers in memory that a guest reads and writes at the same time: each access is one, never torn, and
 * acquire and release order what lies around it. Python promises neither for a slice.
 */
static int is_scalar(uint64_t size, uint64_t offset, uint64_t width)
{
	return (width == 1 || width == 2 || width == 4 || width == 8) && width <= size &&
	       offset <= size - width && offset % width == 0;
}

/* All ones also stands for what cannot be: Python finds out. `memory` is aligned to a page. */
#define LOAD(order)                                                                             \
	do {                                                                                    \
		const char *place;                                                              \
												\
		if (!is_scalar(size, offset, width))                                            \
			return UINT64_MAX;                                                      \
		place = (const char *)memory + offset;                                          \
		if (width == 1)                                                                 \
			return __atomic_load_n((const uint8_t *)place, order);                  \
		if (width == 2)                                                                 \
			return __atomic_load_n((const uint16_t *)place, order);                 \
		if (width == 4)                                                                 \
			return __atomic_load_n((const uint32_t *)place, order);                 \
		return __atomic_load_n((const uint64_t *)place, order);                         \
	} while (0)

#define STORE(order)                                                                            \
	do {                                                                                    \
		char *place;                                                                    \
												\
		if (!is_scalar(size, offset, width) || (width < 8 && value >> 8 * width))       \
			return -EINVAL;                                                         \
		place = (char *)memory + offset;                                                \
		if (width == 1)                                                                 \
			__atomic_store_n((uint8_t *)place, (uint8_t)value, order);              \
		else if (width == 2)                                                            \
			__atomic_store_n((uint16_t *)place, (uint16_t)value, order);            \
		else if (width == 4)                                                            \
			__atomic_store_n((uint32_t *)place, (uint32_t)value, order);            \
		else                                                                            \
			__atomic_store_n((uint64_t *)place, value, order);                      \
		return 0;                                                                       \
	} while (0)

/* Also orders a store before a later load, which release and acquire do not. */
API void memory_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

API uint64_t load_scalar(const void *memory, uint64_t size, uint64_t offset, uint64_t width)
{
	LOAD(__ATOMIC_RELAXED);
}

API uint64_t load_acquire(const void *memory, uint64_t size, uint64_t offset, uint64_t width)
{
	LOAD(__ATOMIC_ACQUIRE);
}

API int store_scalar(void *memory, uint64_t size, uint64_t offset, uint64_t width, uint64_t value)
{
	STORE(__ATOMIC_RELAXED);
}

API int store_release(void *memory, uint64_t size, uint64_t offset, uint64_t width, uint64_t value)
{
	STORE(__ATOMIC_RELEASE);
}
