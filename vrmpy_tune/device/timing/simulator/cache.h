/* A set-associative cache that replaces the line used longest ago. */
#ifndef VRMPY_CACHE_H
#define VRMPY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct cache {
  uint32_t *lines; /* sets x ways, most recent first; line number + 1, 0 for none */
  uint32_t set_mask;
  uint32_t ways;
  uint32_t line_shift;
};

/* `bytes` / (`ways` * `line_bytes`) is rounded down to a power of two; 0 sets: nothing ever hits. */
void cache_create(struct cache *cache, uint64_t bytes, uint32_t ways, uint32_t line_bytes);

/* Use the line of `address`; whether it was there. */
bool cache_use(struct cache *cache, uint32_t address);

void cache_empty(struct cache *cache);
void cache_destroy(struct cache *cache);

#endif
