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

/* Any buffer may be walked, also one that starts at an odd address. */
static inline uint64_t word_at(const char *bitmap, uint64_t at)
{
	uint64_t word;

	memcpy(&word, bitmap + 8 * at, sizeof(word));
	return word;
}

/*
 * Four words are looked at together: most bitmaps are nearly empty, and what is dirty comes in runs.
 * They stay in registers; in an array they would be stored and loaded again, at twice the price.
 */
#define TAKE_FOUR(bitmap, at)                                                                    \
	uint64_t a = word_at(bitmap, at), b = word_at(bitmap, at + 1);                           \
	uint64_t c = word_at(bitmap, at + 2), d = word_at(bitmap, at + 3)

static inline uint32_t *put_pages(uint32_t *next, uint64_t word, uint32_t page)
{
	if (!~word) {
		for (uint32_t bit = 0; bit < 64; bit++)
			next[bit] = page + bit;
		return next + 64;
	}
	for (; word; word &= word - 1) {
		*next++ = page + (uint32_t)__builtin_ctzll(word);
		/* Else gcc counts the word's bits to know where `next` ends, which it knows already. */
		__asm__("" : "+r"(next));
	}
	return next;
}

/* Numbers of the pages that are next, as many as there is room for; returns how many, 0 at the end. */
API uint32_t walk_pages(struct pykvm_walk *walk)
{
	const char *bitmap = walk->bitmap;
	uint64_t at = walk->at, words = walk->words;
	uint32_t *next = walk->found;
	const uint32_t *full = next + walk->room - 4 * 64;

	for (; at + 4 <= words && next <= full; at += 4) {
		TAKE_FOUR(bitmap, at);
		uint32_t page = (uint32_t)(64 * at);

		if (!(a | b | c | d))
			continue;
		next = put_pages(next, a, page);
		next = put_pages(next, b, page + 64);
		next = put_pages(next, c, page + 128);
		next = put_pages(next, d, page + 192);
	}
	for (; at + 4 > words && at < words && next <= full; at++)
		next = put_pages(next, word_at(bitmap, at), (uint32_t)(64 * at));
	walk->at = at;
	return (uint32_t)(next - walk->found);
}

/* Tells the run that is open, if there is one. */
static inline uint32_t *put_run(uint32_t *next, const struct pykvm_walk *walk)
{
	if (walk->first != walk->end) {
		*next++ = (uint32_t)walk->first;
		*next++ = (uint32_t)(walk->end - walk->first);
	}
	return next;
}

/* Pages `first` to `end` are dirty: more of the run that is open, or one that opens. */
static inline uint32_t *add_pages(uint32_t *next, struct pykvm_walk *walk, uint64_t first,
				  uint64_t end)
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
	const char *bitmap = walk->bitmap;
	uint64_t at = walk->at, words = walk->words;
	uint32_t *next = walk->found;
	/* A word ends up to 32 runs, and the end of the bitmap one. */
	const uint32_t *full = next + walk->room - 2 * (4 * 32 + 1);

	for (; at + 4 <= words && next <= full; at += 4) {
		TAKE_FOUR(bitmap, at);
		uint64_t page = 64 * at;

		if (!(a | b | c | d))
			continue;
		if (!~(a & b & c & d)) {
			next = add_pages(next, walk, page, page + 4 * 64);
			continue;
		}
		next = add_word(next, walk, a, page);
		next = add_word(next, walk, b, page + 64);
		next = add_word(next, walk, c, page + 128);
		next = add_word(next, walk, d, page + 192);
	}
	for (; at + 4 > words && at < words && next <= full; at++)
		next = add_word(next, walk, word_at(bitmap, at), 64 * at);
	walk->at = at;
	if (at == words) {
		next = put_run(next, walk);
		walk->first = walk->end;
	}
	return (uint32_t)(next - walk->found) / 2;
}

/* How many bits are set. */
API uint64_t bitmap_count(const void *bitmap, uint64_t words)
{
	uint64_t count = 0;

	for (uint64_t at = 0; at < words; at++)
		count += (uint64_t)__builtin_popcountll(word_at(bitmap, at));
	return count;
}
