/* The memset that a phone's C library gives to benchmark kernels, which clear their sums with it.
 *
 * Qualcomm's works on scalar registers: it aligns the address, clears 32 bytes at a time by dczeroa
 * where it can, stores doublewords, then the rest.  (The runtime's own, in hvx_memory.c, stores whole
 * vectors and would make rebuilt kernels quicker than the measured ones.)
 */
#include <stddef.h>
#include <stdint.h>

#define BLOCK_BYTES 32u

void *published_memset(void *destination, int value, size_t count) {
  uint8_t *at = destination;
  uint64_t bytes = (uint8_t)value * 0x0101010101010101u;
  for (; count != 0 && ((uintptr_t)at & 7) != 0; --count) {
    *at++ = (uint8_t)value;
  }
  if (count >= 4 * BLOCK_BYTES) {
    for (; ((uintptr_t)at & (BLOCK_BYTES - 1)) != 0; count -= 8, at += 8) {
      *(uint64_t *)at = bytes;
    }
    for (size_t blocks = count / BLOCK_BYTES; value == 0 && blocks != 0; --blocks) {
      __builtin_HEXAGON_Y2_dczeroa(at);
      at += BLOCK_BYTES;
      count -= BLOCK_BYTES;
    }
  }
  for (size_t words = count / 8; words != 0; --words, at += 8) {
    *(uint64_t *)at = bytes;
  }
  if (count & 4) {
    *(uint32_t *)at = (uint32_t)bytes;
    at += 4;
  }
  if (count & 2) {
    *(uint16_t *)at = (uint16_t)bytes;
    at += 2;
  }
  if (count & 1) {
    *at = (uint8_t)value;
  }
  return destination;
}
