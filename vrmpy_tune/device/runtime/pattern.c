/* Known bytes, and finding the first that changed. */
#define _GNU_SOURCE /* memfd_create */
#include "runtime.h"

#include <hexagon_protos.h>
#include <hexagon_types.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PERIOD 256u

/* Multiplying by an odd number visits every byte value once per period, so that a store of any
 * constant is seen after at most one byte. */
#define STEP 37u

#define BLOCK_BYTES 4096u /* compared at once */
#define FILE_BYTES 65536u /* filled at once */
#define SMALL_BYTES 1024u /* below this, a system call costs more than vector stores */

/* One period more than a block, so that a block can be read from any starting seed. */
static uint8_t table[BLOCK_BYTES + PERIOD] __attribute__((aligned(128)));

/* The pattern again, as a file: QEMU emulates a vector store byte by byte, so that reading large
 * pieces from a file is some 50 times quicker than storing them. */
static int file = -1;

void pattern_create(void) {
  for (uint32_t i = 0; i < PERIOD; ++i) {
    table[i] = (uint8_t)(i * STEP);
  }
  for (uint32_t i = PERIOD; i < sizeof table; i += PERIOD) {
    memcpy(table + i, table, PERIOD);
  }
  file = memfd_create("pattern", 0);
  for (uint32_t i = 0; i < FILE_BYTES + BLOCK_BYTES; i += BLOCK_BYTES) {
    if (write(file, table, BLOCK_BYTES) != (ssize_t)BLOCK_BYTES) {
      failure("cannot write an anonymous file");
    }
  }
}

void pattern_fill(uint8_t *memory, uint64_t bytes, uint32_t seed) {
  uint32_t phase = seed % PERIOD;
  if (bytes <= SMALL_BYTES) {
    memcpy(memory, table + phase, (size_t)bytes);
    return;
  }
  for (uint64_t done = 0; done < bytes; done += FILE_BYTES) {
    uint64_t left = bytes - done;
    size_t piece = left < FILE_BYTES ? (size_t)left : FILE_BYTES;
    if (pread(file, memory + done, piece, (off_t)phase) != (ssize_t)piece) {
      failure("cannot read an anonymous file");
    }
  }
}

int64_t pattern_mismatch(const uint8_t *memory, uint64_t bytes, uint32_t seed) {
  const uint8_t *expected = table + seed % PERIOD;
  for (uint64_t done = 0; done < bytes; done += BLOCK_BYTES) {
    uint64_t left = bytes - done;
    int64_t at = first_difference(memory + done, expected, left < BLOCK_BYTES ? left : BLOCK_BYTES);
    if (at >= 0) {
      return (int64_t)done + at;
    }
  }
  return -1;
}

static int any_bit(HVX_Vector vector) {
  for (int32_t distance = VECTOR_BYTES / 2; distance >= 4; distance /= 2) {
    vector = Q6_V_vor_VV(vector, Q6_V_vror_VR(vector, distance));
  }
  return Q6_R_vextract_VR(vector, 0) != 0;
}

/* True when `vectors` vectors are equal; no alignment is assumed. */
static int vectors_equal(const uint8_t *left, const uint8_t *right, uint32_t vectors) {
  HVX_Vector difference = Q6_V_vzero();
  for (uint32_t i = 0; i < vectors; ++i) {
    HVX_Vector a = ((const HVX_UVector *)left)[i];
    HVX_Vector b = ((const HVX_UVector *)right)[i];
    difference = Q6_V_vor_VV(difference, Q6_V_vxor_VV(a, b));
  }
  return !any_bit(difference);
}

int64_t first_difference(const uint8_t *left, const uint8_t *right, uint64_t bytes) {
  /* Large steps first, since any_bit costs more than comparing a vector does. */
  static const uint32_t steps[] = {32, 8, 1};
  uint64_t at = 0;
  for (uint32_t s = 0; s < sizeof steps / sizeof *steps; ++s) {
    uint64_t step_bytes = (uint64_t)steps[s] * VECTOR_BYTES;
    while (at + step_bytes <= bytes && vectors_equal(left + at, right + at, steps[s])) {
      at += step_bytes;
    }
  }
  for (; at < bytes; ++at) {
    if (left[at] != right[at]) {
      return (int64_t)at;
    }
  }
  return -1;
}
