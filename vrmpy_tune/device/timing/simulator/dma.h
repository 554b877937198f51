/* The user DMA: one engine for all contexts, which moves lines in the order in which transfers were
 * started.
 *
 * The latency of a transfer passes while the ones before it move.  The engine goes past L2, as it may
 * for constants: it takes the memory behind L2, line by line in turn with the contexts' misses, and
 * the port of VTCM.
 */
#ifndef VRMPY_DMA_H
#define VRMPY_DMA_H

#include <stdbool.h>
#include <stdint.h>

struct transfer {
  uint32_t number; /* of those that the call starts, from 0 in the trace's order */
  uint32_t from;
  uint32_t to;
  uint32_t bytes;
};

struct started {
  struct transfer transfer;
  int64_t ready; /* when its first line can move */
};

struct dma {
  struct started *queue; /* in the order of their start */
  int64_t *ends;         /* by the transfers' numbers; -1 while it is not done */
  uint32_t capacity;
  uint32_t first; /* of the queue, that is not done */
  uint32_t last;
  uint32_t moved; /* bytes of the first one */
  int64_t free;   /* when the engine can move the next line */
};

void dma_create(struct dma *dma, uint32_t transfers);
void dma_destroy(struct dma *dma);

/* Forget all transfers, for another call that starts at tick 0. */
void dma_reset(struct dma *dma);

void dma_start(struct dma *dma, const struct transfer *transfer, int64_t ready);

/* When the next line can move; INT64_MAX if there is none. */
int64_t dma_next(const struct dma *dma);

bool dma_is_done(const struct dma *dma, uint32_t number);

/* Count a line of up to `bytes` bytes as moved, at tick `end`. */
void dma_advance(struct dma *dma, uint32_t bytes, int64_t end);

#endif
