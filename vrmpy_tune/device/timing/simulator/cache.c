#include "cache.h"

#include <stdlib.h>
#include <string.h>

static uint64_t set_count(const struct cache *cache) { return (uint64_t)cache->set_mask + 1; }

void cache_create(struct cache *cache, uint64_t bytes, uint32_t ways, uint32_t line_bytes) {
  *cache = (struct cache){.ways = ways};
  while ((1u << cache->line_shift) < line_bytes) {
    ++cache->line_shift;
  }
  uint64_t sets = bytes / ((uint64_t)ways * line_bytes);
  if (sets == 0) {
    return;
  }
  while ((sets & (sets - 1)) != 0) {
    sets &= sets - 1;
  }
  cache->set_mask = (uint32_t)sets - 1;
  cache->lines = calloc(sets * ways, sizeof *cache->lines);
  if (cache->lines == NULL) {
    abort();
  }
}

bool cache_use(struct cache *cache, uint32_t address) {
  if (cache->lines == NULL) {
    return false;
  }
  uint32_t line = address >> cache->line_shift;
  uint32_t *set = cache->lines + (uint64_t)(line & cache->set_mask) * cache->ways;
  uint32_t tag = line + 1;
  uint32_t way = 0;
  while (way < cache->ways - 1 && set[way] != tag) {
    ++way;
  }
  bool hit = set[way] == tag;
  memmove(set + 1, set, way * sizeof *set);
  set[0] = tag;
  return hit;
}

void cache_empty(struct cache *cache) {
  if (cache->lines != NULL) {
    memset(cache->lines, 0, set_count(cache) * cache->ways * sizeof *cache->lines);
  }
}

void cache_destroy(struct cache *cache) { free(cache->lines); }
