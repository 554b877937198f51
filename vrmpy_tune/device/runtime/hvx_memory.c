/* memset, memcpy and memmove with HVX, in place of musl's (2 packets per byte for memset).
 *
 * Every store touches exactly the bytes asked for: whole vectors through unaligned stores, shorter
 * pieces through byte-enabled ones.  Loads of pieces shorter than a vector read whole aligned
 * vectors, but only those that hold at least one byte asked for; such a load can neither fault nor
 * be noticed.
 *
 * Compiled with -fno-builtin, or these loops would be turned into calls of themselves.
 */
#include "runtime.h"

#include <hexagon_protos.h>
#include <hexagon_types.h>

#define ADDRESS(pointer) ((uintptr_t)(pointer))
#define OFFSET(pointer) ((uint32_t)(ADDRESS(pointer) % VECTOR_BYTES))
#define BASE(pointer) ((HVX_Vector *)(ADDRESS(pointer) - OFFSET(pointer)))

/* Store bytes [0, count) of `vector` at `to`, 0 < count < 128, in any alignment. */
static inline void store_piece(uint8_t *to, HVX_Vector vector, uint32_t count) {
  uint32_t offset = OFFSET(to);
  uint32_t end = offset + count;
  HVX_Vector *base = BASE(to);
  HVX_Vector turned = Q6_V_vlalign_VVR(vector, vector, (int32_t)offset);
  /* vsetq counts modulo 128: of 0 it is no lane, so that `not` makes all of them. */
  HVX_VectorPred from = Q6_Q_not_Q(Q6_Q_vsetq_R((int32_t)offset));
  if (end < VECTOR_BYTES) {
    Q6_vmem_QRIV(Q6_Q_and_QQ(from, Q6_Q_vsetq_R((int32_t)end)), base, turned);
    return;
  }
  Q6_vmem_QRIV(from, base, turned);
  if (end > VECTOR_BYTES) {
    Q6_vmem_QRIV(Q6_Q_vsetq_R((int32_t)(end - VECTOR_BYTES)), base + 1, turned);
  }
}

/* Load `count` bytes, 0 < count < 128, to the front of a vector; the rest is arbitrary. */
static inline HVX_Vector load_piece(const uint8_t *from, uint32_t count) {
  const HVX_Vector *base = BASE(from);
  HVX_Vector low = base[0];
  HVX_Vector high = OFFSET(from) + count > VECTOR_BYTES ? base[1] : low;
  return Q6_V_valign_VVR(high, low, (int32_t)ADDRESS(from));
}

void *memset(void *destination, int value, size_t count) {
  uint8_t *to = destination;
  HVX_Vector splat = Q6_V_vsplat_R((int32_t)((uint8_t)value * 0x01010101u));
  if (count < VECTOR_BYTES) {
    if (count > 0) {
      store_piece(to, splat, (uint32_t)count);
    }
    return destination;
  }
  /* An unaligned vector at each end, aligned ones between; the ends may overlap those.  Counted
   * loops, since only they become hardware loops. */
  uint8_t *end = to + count;
  *(HVX_UVector *)to = splat;
  HVX_Vector *at = BASE(to) + 1;
  for (int32_t vectors = (int32_t)(BASE(end) - at); vectors > 0; --vectors) {
    *at++ = splat;
  }
  *(HVX_UVector *)(end - VECTOR_BYTES) = splat;
  return destination;
}

void *memcpy(void *restrict destination, const void *restrict source, size_t count) {
  uint8_t *to = destination;
  const uint8_t *from = source;
  if (count < VECTOR_BYTES) {
    if (count > 0) {
      store_piece(to, load_piece(from, (uint32_t)count), (uint32_t)count);
    }
    return destination;
  }
  uint8_t *end = to + count;
  const uint8_t *from_end = from + count;
  *(HVX_UVector *)to = *(const HVX_UVector *)from;
  from += VECTOR_BYTES - OFFSET(to);
  HVX_Vector *at = BASE(to) + 1;
  int32_t vectors = (int32_t)(BASE(end) - at);
  if (OFFSET(from) == 0) {
    /* Aligned on both sides: a load and a store in one packet. */
    const HVX_Vector *in = (const HVX_Vector *)from;
    for (; vectors > 0; --vectors) {
      *at++ = *in++;
    }
  } else {
    const HVX_UVector *in = (const HVX_UVector *)from;
    for (; vectors > 0; --vectors) {
      *at++ = *in++;
    }
  }
  *(HVX_UVector *)(end - VECTOR_BYTES) = *(const HVX_UVector *)(from_end - VECTOR_BYTES);
  return destination;
}

/* What LLVM calls in place of memcpy where the size is known, a multiple of 8, and both sides are
 * aligned; that of its runtime library copies 8 bytes a packet. */
void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *restrict destination,
                                                            const void *restrict source,
                                                            size_t count) {
  return memcpy(destination, source, count);
}

/* Every load happens before the stores that may overwrite its bytes: whole vectors go upwards when
 * the destination is lower and downwards when it is higher, the remainder comes last. */
void *memmove(void *destination, const void *source, size_t count) {
  uint8_t *to = destination;
  const uint8_t *from = source;
  if (ADDRESS(to) - ADDRESS(from) >= count && ADDRESS(from) - ADDRESS(to) >= count) {
    return memcpy(destination, source, count);
  }
  uint32_t rest = (uint32_t)(count % VECTOR_BYTES);
  size_t whole = count - rest;
  if (to < from) {
    for (size_t at = 0; at < whole; at += VECTOR_BYTES) {
      *(HVX_UVector *)(to + at) = *(const HVX_UVector *)(from + at);
    }
    to += whole;
    from += whole;
  } else {
    for (size_t at = count; at > rest; at -= VECTOR_BYTES) {
      *(HVX_UVector *)(to + at - VECTOR_BYTES) = *(const HVX_UVector *)(from + at - VECTOR_BYTES);
    }
  }
  if (rest > 0) {
    store_piece(to, load_piece(from, rest), rest);
  }
  return destination;
}
