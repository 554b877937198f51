/* Ends badly, in the way that -DWAY says. */
#include <stdlib.h>

#include "kernel.h"

#define WILD_STORE 1
#define STACK_OVERFLOW 2
#define ILLEGAL_INSTRUCTION 3
#define EXIT 4
#define NULL_LOAD 5
#define GREEDY 6

#pragma clang diagnostic ignored "-Winfinite-recursion"

static __attribute__((noinline)) int deeper(int depth) {
  volatile uint8_t frame[FRAME_BYTES];
  frame[0] = (uint8_t)depth;
  return deeper(depth + 1) + frame[0];
}

KERNEL {
  UNUSED;
  switch (WAY) {
    case WILD_STORE:
      *(volatile uint32_t *)0xf0000000u = 1;
      break;
    case STACK_OVERFLOW:
      return deeper(0);
    case ILLEGAL_INSTRUCTION:
      __asm__ volatile(".word 0xffffffff");
      break;
    case EXIT:
      exit(0);
    case NULL_LOAD:
      return *(volatile int *)4u;
    case GREEDY:
      for (;;) {
        volatile uint8_t *block = malloc(1u << 24);
        if (block == NULL) {
          abort();
        }
        *block = 1;
      }
  }
  return 0;
}
