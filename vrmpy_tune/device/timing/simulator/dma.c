#include "dma.h"

#include <stdlib.h>

void dma_create(struct dma *dma, uint32_t transfers) {
  *dma = (struct dma){.capacity = transfers};
  dma->queue = calloc((size_t)transfers + 1, sizeof *dma->queue);
  dma->ends = calloc((size_t)transfers + 1, sizeof *dma->ends);
  if (dma->queue == NULL || dma->ends == NULL) {
    abort();
  }
  dma_reset(dma);
}

void dma_destroy(struct dma *dma) {
  free(dma->queue);
  free(dma->ends);
}

void dma_reset(struct dma *dma) {
  dma->first = dma->last = dma->moved = 0;
  dma->free = 0;
  for (uint32_t i = 0; i < dma->capacity; ++i) {
    dma->ends[i] = -1;
  }
}

void dma_start(struct dma *dma, const struct transfer *transfer, int64_t ready) {
  dma->queue[dma->last++] = (struct started){*transfer, ready};
}

int64_t dma_next(const struct dma *dma) {
  if (dma->first == dma->last) {
    return INT64_MAX;
  }
  int64_t ready = dma->queue[dma->first].ready;
  return ready > dma->free ? ready : dma->free;
}

bool dma_is_done(const struct dma *dma, uint32_t number) { return dma->ends[number] >= 0; }

void dma_advance(struct dma *dma, uint32_t bytes, int64_t end) {
  const struct transfer *transfer = &dma->queue[dma->first].transfer;
  dma->free = end;
  dma->moved += bytes;
  if (dma->moved >= transfer->bytes) {
    dma->ends[transfer->number] = end;
    dma->moved = 0;
    ++dma->first;
  }
}
