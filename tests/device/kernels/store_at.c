/* Copies input to output, then stores one byte at offset OFFSET of argument ARGUMENT. */
#include "kernel.h"

KERNEL {
  UNUSED;
  memcpy(bytes(arguments, 1), bytes(arguments, 0), (size_t)length(arguments, 0));
  volatile uint8_t *target = bytes(arguments, ARGUMENT) + (OFFSET);
  *target = (uint8_t)~*target;
  return 0;
}
