/* SPDX-License-Identifier: Apache-2.0
 *
 * Bitmaps of pages, as KVM_GET_DIRTY_LOG fills them, walked: 64-bit words, the lowest bit first. What is
 * found goes into a room of fixed size that Python empties, again and again: one pass, and nothing
 * here allocates. What is looked at is a copy of a word, so one that changes meanwhile does no harm.
 */
struct pykvm_walk {
	const char *bitmap;
	uint64_t words;
	uint64_t at; /* the next word */
	uint64_t gap; /* clean pages that a run may bridge */
	uint64_t first, end; /* the run that is not told yet; none if they are equal */
	uint32_t *found;
	uint32_t room; /* at least 2 * 33 */
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
static uint64_t word_at(const char *bitmap, uint64_t at)
{
	uint64_t word;

	memcpy(&word, bitmap + 8 * at, sizeof(word));
	return word;
}

/* The next word that has a bit set, from `at` on, or `words`. */
static uint64_t next_word(const char *bitmap, uint64_t at, uint64_t words)
{
	while (at + 4 <= words && !(word_at(bitmap, at) | word_at(bitmap, at + 1) |
				    word_at(bitmap, at + 2) | word_at(bitmap, at + 3)))
		at += 4;
	while (at < words && !word_at(bitmap, at))
		at++;
	return at;
}

/*
 * Most bitmaps are nearly empty, and four empty words are looked at as cheaply as one; but where dirty
 * pages are strewn thinly, looking for four costs more than it finds. So only after some in a row.
 */
#define EMPTY_ENOUGH 4

/* Numbers of the pages that are next, as many as there is room for; returns how many, 0 at the end. */
API uint32_t walk_pages(struct pykvm_walk *walk)
{
	const char *bitmap = walk->bitmap;
	uint64_t at = walk->at, words = walk->words;
	uint32_t *next = walk->found;
	const uint32_t *full = walk->found + walk->room - 64;
	int empty = 0;

	while (next <= full && at < words) {
		uint64_t word = word_at(bitmap, at);
		uint32_t page = (uint32_t)(64 * at);

		at++;
		if (!word) {
			if (++empty == EMPTY_ENOUGH) {
				at = next_word(bitmap, at, words);
				empty = 0;
			}
			continue;
		}
		empty = 0;
		if (word == UINT64_MAX) {
			for (uint32_t bit = 0; bit < 64; bit++)
				next[bit] = page + bit;
			next += 64;
			continue;
		}
		for (; word; word &= word - 1)
			*next++ = page + (uint32_t)__builtin_ctzll(word);
	}
	walk->at = at;
	return (uint32_t)(next - walk->found);
}

static uint32_t *put_run(uint32_t *next, uint64_t first, uint64_t end)
{
	if (first != end) {
		*next++ = (uint32_t)first;
		*next++ = (uint32_t)(end - first);
	}
	return next;
}

/* The runs that are next, each as first page and count; returns how many, 0 at the end. */
API uint32_t walk_runs(struct pykvm_walk *walk)
{
	const char *bitmap = walk->bitmap;
	uint64_t at = walk->at, words = walk->words, gap = walk->gap;
	uint64_t first = walk->first, end = walk->end;
	uint32_t *next = walk->found;
	const uint32_t *full = walk->found + walk->room - 2 * 33; /* a word ends up to 32, the end one */
	int empty = 0;

	while (next <= full && at < words) {
		uint64_t word = word_at(bitmap, at);
		uint64_t page = 64 * at;

		at++;
		if (!word) {
			if (++empty == EMPTY_ENOUGH) {
				at = next_word(bitmap, at, words);
				empty = 0;
			}
			continue;
		}
		empty = 0;
		do {
			unsigned int from = (unsigned int)__builtin_ctzll(word);
			uint64_t beyond = ~(word >> from);
			unsigned int to = beyond ? from + (unsigned int)__builtin_ctzll(beyond) : 64;

			if (first == end || page + from > end + gap) {
				next = put_run(next, first, end);
				first = page + from;
			}
			end = page + to;
			word = to < 64 ? word >> to << to : 0;
		} while (word);
	}
	if (at == words) {
		next = put_run(next, first, end);
		first = end;
	}
	walk->at = at;
	walk->first = first;
	walk->end = end;
	return (uint32_t)(next - walk->found) / 2;
}

/* How many bits are set. */
API uint64_t bitmap_count(const void *bitmap, uint64_t words)
{
	uint64_t count = 0;

	for (uint64_t at = next_word(bitmap, 0, words); at < words; at = next_word(bitmap, at + 1, words))
		count += (uint64_t)__builtin_popcountll(word_at(bitmap, at));
	return count;
}
