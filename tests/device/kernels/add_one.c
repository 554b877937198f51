/* Adds one to every byte; a multiple of the packets that -DREPEAT says. */
#include "kernel.h"

#ifndef REPEAT
#define REPEAT 1
#endif

KERNEL {
  UNUSED;
  const volatile uint8_t *input = bytes(arguments, 0);
  volatile uint8_t *output = bytes(arguments, 1);
  for (int repeat = 0; repeat < REPEAT; ++repeat) {
    for (int64_t i = 0; i < length(arguments, 0); ++i) {
      output[i] = (uint8_t)(input[i] + 1);
    }
  }
  return 0;
}
