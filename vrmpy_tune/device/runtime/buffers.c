/* Kernel arguments with guards on both sides.
 *
 *   | no access | guard ... | data | guard ... | no access |
 *
 * The guard bytes catch a store just past either end; the memory without access beyond them turns
 * a wilder one into a crash.
 */
#include "runtime.h"

static uint64_t guard_after(const struct buffer *buffer) {
  return buffer->region_bytes - (uint64_t)(buffer->data - buffer->region) - buffer->bytes;
}

struct buffer buffer_create(uint64_t bytes) {
  uint64_t region_bytes = round_up(GUARD_BYTES + bytes + GUARD_BYTES, PAGE_BYTES);
  uint8_t *region = map_isolated(region_bytes, "a kernel argument");
  return (struct buffer){region, region_bytes, region + GUARD_BYTES, bytes};
}

void buffer_prepare(const struct buffer *buffer, uint32_t seed) {
  pattern_fill(buffer->region, buffer->region_bytes, seed);
}

int buffer_check(const struct buffer *buffer, uint32_t seed, struct fault *fault) {
  uint64_t before = (uint64_t)(buffer->data - buffer->region);
  int64_t at = pattern_mismatch(buffer->region, before, seed);
  if (at >= 0) {
    fault->kind = FAULT_BEFORE;
    fault->offset = at - (int64_t)before;
    return 0;
  }
  /* The pattern runs through the whole region, so its phase goes on after the data. */
  uint32_t phase = seed + (uint32_t)((before + buffer->bytes) & 0xff);
  at = pattern_mismatch(buffer->data + buffer->bytes, guard_after(buffer), phase);
  if (at >= 0) {
    fault->kind = FAULT_AFTER;
    fault->offset = (int64_t)buffer->bytes + at;
    return 0;
  }
  return 1;
}
