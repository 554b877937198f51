/* The user DMA: transfers that go on while the context computes.
 *
 * QEMU has no DMA, so the bytes are moved here, at the latest moment that the kernel allows: when it
 * waits.  Until then the destination holds a pattern, so that a kernel which reads it too early, or
 * starts a transfer into what it still reads, has a wrong result here as it might have there.
 *
 * Queues, groups and waiting are those of TVM's HexagonUserDMA: one chain of descriptors, whose
 * transfers end in the order in which they were started, and virtual queues that count groups.
 *
 * What a kernel is charged for is writing the descriptor, starting the transfer and waiting once; the
 * bytes and the stall are the engine's, which only the timing model knows
 * (device/timing/simulator/dma.h).
 */
#define _GNU_SOURCE /* memfd_create */
#include "marks.h"
#include "runtime.h"

#include <sys/mman.h>
#include <unistd.h>

#define MAX_PENDING 64u
#define MAX_QUEUES 8u
#define MAX_TRANSFER_BYTES ((1u << 24) - 1) /* the length field of a descriptor has 24 bits */

struct transfer { /* as large as a descriptor of one dimension, and what TVM's runtime keeps of it */
  uint8_t *to;
  const uint8_t *from;
  uint32_t bytes;
  uint32_t queue;
  uint32_t group; /* number within its queue */
};

struct queue {
  uint32_t groups;   /* started so far */
  uint32_t is_group; /* between start and end of a group */
};

static struct transfer pending[MAX_PENDING]; /* a ring; transfer n is at n % MAX_PENDING */
static struct queue queues[MAX_QUEUES];
static uint32_t started;
static uint32_t done;

/* Through a file, bytes move as fast as the host's; QEMU emulates vector stores byte by byte. */
static int file = -1;

void dma_reset(void) {
  if (file < 0) {
    file = memfd_create("transfers", 0);
  }
  started = done = 0;
  for (uint32_t i = 0; i < MAX_QUEUES; ++i) {
    queues[i] = (struct queue){0, 0};
  }
}

void dma_release(const uint8_t *data, uint64_t bytes) {
  for (uint32_t i = done; i != started; ++i) {
    const struct transfer *one = &pending[i % MAX_PENDING];
    if (one->to < data + bytes && data < one->to + one->bytes) {
      failure("the kernel freed %llu bytes of VTCM into which a transfer of the DMA goes on",
              (unsigned long long)bytes);
    }
  }
}

void dma_check(int status) {
  if (status == 0 && started != done) {
    failure("the kernel ended with transfers of the DMA that it did not wait for");
  }
}

static __attribute__((noinline)) void dma_announce(const struct transfer *transfer) {
  accounting_pause();
  mark(MARK_DMA_TO, (uint32_t)(uintptr_t)transfer->to);
  mark(MARK_DMA_FROM, (uint32_t)(uintptr_t)transfer->from);
  mark(MARK_DMA_START, transfer->bytes);
  mark(MARK_ASIDE_BEGIN, 0);
  pattern_fill(transfer->to, transfer->bytes, started);
  mark(MARK_ASIDE_END, 0);
  accounting_resume();
}

static __attribute__((noinline)) void dma_finish(uint32_t last) {
  accounting_pause();
  mark(MARK_DMA_WAIT, last);
  mark(MARK_ASIDE_BEGIN, 0);
  for (; done != last; ++done) {
    const struct transfer *one = &pending[done % MAX_PENDING];
    if (pwrite(file, one->from, one->bytes, 0) != (ssize_t)one->bytes ||
        pread(file, one->to, one->bytes, 0) != (ssize_t)one->bytes) {
      failure("the DMA cannot move %u bytes from %p to %p", one->bytes, (const void *)one->from,
              (void *)one->to);
    }
  }
  mark(MARK_ASIDE_END, 0);
  accounting_resume();
}

static struct queue *queue_of(int32_t queue) {
  if (queue < 0 || queue >= (int32_t)MAX_QUEUES) {
    failure("the kernel uses queue %d of the DMA; there are %u", queue, MAX_QUEUES);
  }
  return &queues[queue];
}

int vrmpy_dma_start_group(int32_t queue) {
  struct queue *own = queue_of(queue);
  ++own->groups;
  own->is_group = 1;
  return 0;
}

int vrmpy_dma_end_group(int32_t queue) {
  queue_of(queue)->is_group = 0;
  return 0;
}

int vrmpy_dma_copy(int32_t queue, void *to, const void *from, int32_t bytes) {
  struct queue *own = queue_of(queue);
  own->groups += !own->is_group; /* alone, it is a group of its own */
  for (uint32_t left = (uint32_t)bytes, at = 0; left != 0;) {
    uint32_t piece = left < MAX_TRANSFER_BYTES ? left : MAX_TRANSFER_BYTES;
    if (started - done == MAX_PENDING) {
      failure("more than %u transfers of the DMA are not waited for", MAX_PENDING);
    }
    struct transfer *one = &pending[started % MAX_PENDING];
    *one = (struct transfer){(uint8_t *)to + at, (const uint8_t *)from + at, piece,
                             (uint32_t)queue, own->groups};
    ++started;
    dma_announce(one);
    left -= piece;
    at += piece;
  }
  return 0;
}

/* Wait until at most `in_flight` groups of the queue are not done. */
int vrmpy_dma_wait(int32_t queue, int32_t in_flight) {
  int32_t group = (int32_t)(queue_of(queue)->groups - (uint32_t)in_flight);
  uint32_t last = started;
  while (last != done && (pending[(last - 1) % MAX_PENDING].queue != (uint32_t)queue ||
                          (int32_t)pending[(last - 1) % MAX_PENDING].group > group)) {
    --last;
  }
  if (last != done) {
    dma_finish(last);
  }
  return 0;
}
