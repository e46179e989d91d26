/* SPDX-License-Identifier: Apache-2.0
 *
 * Bitmaps of pages, as KVM_GET_DIRTY_LOG fills them, walked: 64-bit words, the lowest bit first. What is
 * found goes into a room of fixed size that Python empties, again and again: one pass, and nothing
 * here allocates. What is looked at is a copy, so a bitmap that changes meanwhile does no harm.
 */
struct pykvm_walk {
	const char *bitmap;
	uint64_t words;
	uint64_t at; /* the next word */
	uint64_t gap; /* clean pages that a run may bridge */
	uint64_t first, end; /* the run that is not told yet; none if they are equal */
	uint32_t *found;
	uint32_t room; /* at least 512 */
};

API void walk_open(struct pykvm_walk *walk, const void *bitmap, uint64_t words, uint64_t gap,
		   uint32_t *found, uint32_t room)
{
	walk->bitmap = bitmap;
	walk->words = words;
	walk->at = 0;
	walk->gap = gap;
	walk->first = walk->end = 0;
	walk->found = found;
	walk->room = room;
}

#define BLOCK 4 /* words that are looked at together: most are empty, many of the others full */

/* Any buffer may be walked, also one that starts at an odd address. What lies beyond it is empty. */
static void take_block(uint64_t block[BLOCK], const char *bitmap, uint64_t at, uint64_t words)
{
	if (at + BLOCK <= words) {
		memcpy(block, bitmap + 8 * at, 8 * BLOCK);
		return;
	}
	memset(block, 0, 8 * BLOCK);
	memcpy(block, bitmap + 8 * at, 8 * (words - at));
}

static int is_empty(const uint64_t block[BLOCK])
{
	return !(block[0] | block[1] | block[2] | block[3]);
}

static int is_full(const uint64_t block[BLOCK])
{
	return !~(block[0] & block[1] & block[2] & block[3]);
}

/* Numbers of the pages that are next, as many as there is room for; returns how many, 0 at the end. */
API uint32_t walk_pages(struct pykvm_walk *walk)
{
	uint64_t at = walk->at, words = walk->words;
	const uint32_t *full = walk->found + walk->room - 64 * BLOCK;
	uint32_t *next = walk->found;

	for (; at < words && next <= full; at += BLOCK) {
		uint32_t page = (uint32_t)(64 * at);
		uint64_t block[BLOCK];

		take_block(block, walk->bitmap, at, words);
		if (is_empty(block))
			continue;
		if (is_full(block)) {
			for (uint32_t bit = 0; bit < 64 * BLOCK; bit++)
				next[bit] = page + bit;
			next += 64 * BLOCK;
			continue;
		}
		for (int i = 0; i < BLOCK; i++, page += 64)
			for (uint64_t word = block[i]; word; word &= word - 1)
				*next++ = page + (uint32_t)__builtin_ctzll(word);
	}
	walk->at = at;
	return (uint32_t)(next - walk->found);
}

/* Tells the run that is open, if there is one. */
static uint32_t *put_run(uint32_t *next, const struct pykvm_walk *walk)
{
	if (walk->first != walk->end) {
		*next++ = (uint32_t)walk->first;
		*next++ = (uint32_t)(walk->end - walk->first);
	}
	return next;
}

/* Pages `first` to `end` are dirty: more of the run that is open, or one that opens. */
static uint32_t *add_pages(uint32_t *next, struct pykvm_walk *walk, uint64_t first, uint64_t end)
{
	if (walk->first == walk->end || first > walk->end + walk->gap) {
		next = put_run(next, walk);
		walk->first = first;
	}
	walk->end = end;
	return next;
}

static uint32_t *add_word(uint32_t *next, struct pykvm_walk *walk, uint64_t word, uint64_t page)
{
	while (word) {
		int from = __builtin_ctzll(word);
		uint64_t beyond = ~(word >> from);
		int to = beyond ? from + __builtin_ctzll(beyond) : 64;

		next = add_pages(next, walk, page + from, page + to);
		word = to < 64 ? word >> to << to : 0;
	}
	return next;
}

/* The runs that are next, each as first page and count; returns how many, 0 at the end. */
API uint32_t walk_runs(struct pykvm_walk *walk)
{
	uint64_t at = walk->at, words = walk->words;
	/* A word ends up to 32 runs, and the end of the bitmap one. */
	const uint32_t *full = walk->found + walk->room - 2 * (32 * BLOCK + 1);
	uint32_t *next = walk->found;

	for (; at < words && next <= full; at += BLOCK) {
		uint64_t page = 64 * at;
		uint64_t block[BLOCK];

		take_block(block, walk->bitmap, at, words);
		if (is_empty(block))
			continue;
		if (is_full(block)) {
			next = add_pages(next, walk, page, page + 64 * BLOCK);
			continue;
		}
		for (int i = 0; i < BLOCK; i++, page += 64)
			next = add_word(next, walk, block[i], page);
	}
	walk->at = at;
	if (at >= words) {
		next = put_run(next, walk);
		walk->first = walk->end;
	}
	return (uint32_t)(next - walk->found) / 2;
}

/* How many bits are set. */
API uint64_t bitmap_count(const void *bitmap, uint64_t words)
{
	uint64_t count = 0;
	uint64_t block[BLOCK];

	for (uint64_t at = 0; at < words; at += BLOCK) {
		take_block(block, bitmap, at, words);
		for (int i = 0; i < BLOCK && !is_empty(block); i++)
			count += (uint64_t)__builtin_popcountll(block[i]);
	}
	return count;
}
