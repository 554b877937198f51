/* One call of memset (FUNCTION 0) or memcpy (1) of SIZE bytes at the given offsets; 2 for none. */
#include "kernel.h"

static void *(*volatile set)(void *, int, size_t) = memset;
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

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
    default:
      break;
  }
  return 0;
}
