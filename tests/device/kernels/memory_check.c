/* Compares memset, memcpy and memmove with byte loops, for many sizes and alignments.
 *
 * Output, in int32: the wrong results, and the first wrong case (function, size, two offsets). */
#include "kernel.h"

#define MARGIN 256
#define LARGEST 300
#define SPACE (MARGIN + 128 + LARGEST + 64 + MARGIN)

static uint8_t actual[SPACE] __attribute__((aligned(128)));
static uint8_t expected[SPACE] __attribute__((aligned(128)));
static uint8_t source[SPACE] __attribute__((aligned(128)));

static void fill(volatile uint8_t *to, int seed) {
  for (int i = 0; i < SPACE; ++i) {
    to[i] = (uint8_t)(i * 37 + seed);
  }
}

static int equal(void) {
  const uint64_t *a = (const uint64_t *)actual;
  const uint64_t *e = (const uint64_t *)expected;
  for (int i = 0; i < SPACE / 8; ++i) {
    if (a[i] != e[i]) {
      return 0;
    }
  }
  return 1;
}

static void copy_bytes(volatile uint8_t *to, const volatile uint8_t *from, int size, int upwards) {
  for (int i = 0; i < size; ++i) {
    int at = upwards ? i : size - 1 - i;
    to[at] = from[at];
  }
}

/* Functions that the compiler cannot replace. */
static void *(*volatile set)(void *, int, size_t) = memset;
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;

static void check(int function, int size, int to, int from, int32_t *report) {
  uint8_t *destination = actual + MARGIN + to;
  uint8_t *wanted = expected + MARGIN + to;
  void *returned;
  if (function == 0) {
    returned = set(destination, 0x1a5, (size_t)size);
    for (volatile uint8_t *at = wanted; at < wanted + size; ++at) {
      *at = 0xa5;
    }
  } else if (function == 1) {
    returned = copy(destination, source + MARGIN + from, (size_t)size);
    copy_bytes(wanted, source + MARGIN + from, size, 1);
  } else {
    returned = move(destination, actual + MARGIN + from, (size_t)size);
    copy_bytes(wanted, expected + MARGIN + from, size, to < from);
  }
  if (returned != destination || !equal()) {
    if (report[0]++ == 0) {
      report[1] = function, report[2] = size, report[3] = to, report[4] = from;
    }
    fill(actual, 11);
    fill(expected, 11);
  }
}

KERNEL {
  UNUSED;
  static const int offsets[] = {0, 1, 3, 4, 8, 63, 64, 100, 127};
  const int kinds = (int)(sizeof offsets / sizeof *offsets);
  int32_t *report = (int32_t *)bytes(arguments, 1);
  memset(report, 0, 5 * sizeof *report);
  fill(source, 5);
  fill(actual, 11);
  fill(expected, 11);
  for (int size = 0; size <= LARGEST; size += STRIDE) {
    for (int a = 0; a < kinds; ++a) {
      check(0, size, offsets[a], 0, report);
      for (int b = (size + a) % 3; b < kinds; b += 3) {
        check(1, size, offsets[a], offsets[b], report);
        check(2, size, offsets[a], offsets[b], report);
      }
    }
  }
  return 0;
}
