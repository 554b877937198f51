/* One call of memset (FUNCTION 0), memcpy (1) or what LLVM calls for aligned copies (3) of SIZE bytes
 * at the given offsets; 2 for none. */
#include "kernel.h"

static void *(*volatile set)(void *, int, size_t) = memset;
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *, const void *, size_t);
static void *(*volatile copy_aligned)(void *, const void *, size_t) =
    __hexagon_memcpy_likely_aligned_min32bytes_mult8bytes;

KERNEL {
  UNUSED;
  uint8_t *to = bytes(arguments, 1) + TO;
  const uint8_t *from = bytes(arguments, 0) + FROM;
  switch (FUNCTION) {
    case 0:
      set(to, 0, SIZE);
      break;
    case 1:
      copy(to, from, SIZE);
      break;
    case 3:
      copy_aligned(to, from, SIZE);
      break;
    default:
      break;
  }
  return 0;
}
