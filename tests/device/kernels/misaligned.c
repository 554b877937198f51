/* Copies input to output, then makes one scalar access ACCESS at byte OFFSET of the output. */
#include "kernel.h"

KERNEL {
  UNUSED;
  memcpy(bytes(arguments, 1), bytes(arguments, 0), (size_t)length(arguments, 0));
  uint8_t *address = bytes(arguments, 1) + OFFSET;
  __asm__ volatile("{ " ACCESS " }" : : "r"(address) : "r2", "r3", "v0", "memory");
  return 0;
}
