/* The timing model of a Hexagon processor with HVX: contexts that issue packets in order, and the
 * memory they share.
 *
 * All times are in ticks, 1/TICKS of a cycle, as whole numbers, so that results do not depend on the
 * machine that simulates.
 */
#ifndef VRMPY_MACHINE_H
#define VRMPY_MACHINE_H

#include "cache.h"
#include "dma.h"
#include "packet.h"

#include <stdint.h>

#define TICKS 64
#define MAX_CONTEXTS 16

/* Every parameter of a device; names are those of the profiles (vrmpy_tune/device/timing/). */
#define FOR_EACH_PARAMETER(apply)                                                       \
  apply(contexts)              /* HVX contexts */                                       \
  apply(packet_ticks)          /* from one packet of a context to its next */           \
  apply(early_source_packets)  /* stall of an early source after its producer */        \
  apply(scalar_load_packets)   /* stall from a scalar load to its use */                \
  apply(scalar_multiply_packets) /* stall from a scalar product to its use */           \
  apply(store_to_load_packets) /* from a store to a vector load of what it stored */    \
  apply(l1_bytes)                                                                       \
  apply(l1_ways)                                                                        \
  apply(l1_line_bytes)                                                                  \
  apply(l1_miss_ticks)         /* stall of a scalar load that misses L1 and hits L2 */  \
  apply(l2_bytes)                                                                       \
  apply(l2_ways)                                                                        \
  apply(l2_line_bytes)                                                                  \
  apply(l2_port_ticks)         /* the shared port's time for one line */                \
  apply(unaligned_lines)       /* lines of the port's time that a vmemu takes at least */ \
  apply(system_cache_bytes)                                                             \
  apply(system_cache_ways)                                                              \
  apply(system_cache_ticks)        /* of one line, to the context that waits */         \
  apply(system_cache_shared_ticks) /* of one line, on what all contexts share */        \
  apply(dram_ticks)                                                                     \
  apply(dram_shared_ticks)                                                              \
  apply(vtcm_bytes)            /* what a kernel may allocate; the runtime sees to it */  \
  apply(vtcm_port_ticks)                                                                \
  apply(dma_latency_ticks)     /* from the start of a transfer to its first line */     \
  apply(dma_line_ticks)        /* the engine's time for one line */                     \
  apply(fork_join_ticks)                                                                \
  apply(call_ticks)                                                                     \
  apply(warm_calls) /* calls before the one that is timed */

struct parameters {
#define MEMBER(name) int64_t name;
  FOR_EACH_PARAMETER(MEMBER)
#undef MEMBER
};

/* Where a context's time went, in ticks. */
#define FOR_EACH_PART(apply)                                                     \
  apply(issue)     /* one packet after the other */                              \
  apply(interlock) /* registers that were not ready */                           \
  apply(l1)        /* scalar loads that missed L1 */                             \
  apply(l2)        /* the port of L2 was taken */                                \
  apply(memory)    /* lines that came from the system cache or DRAM */           \
  apply(vtcm)      /* the port of VTCM was taken */                              \
  apply(dma)       /* transfers that were waited for */                          \
  apply(imbalance) /* contexts that waited for the busiest one */                \
  apply(overhead)  /* calls, forks and joins */

struct parts {
#define MEMBER(name) int64_t name;
  FOR_EACH_PART(MEMBER)
#undef MEMBER
};

struct access {
  uint32_t address;
  uint16_t bytes;
  uint8_t is_store;
};

#define RECENT_STORES 16

struct recent_stores {
  uint32_t lines[RECENT_STORES]; /* line number + 1, 0 for none */
  int64_t times[RECENT_STORES];
  unsigned next;
};

struct context {
  int64_t now; /* when its next packet can issue */
  int64_t ready[REG_COUNT];
  int64_t ready_early[REG_COUNT];
  struct recent_stores stores;
  struct cache l1;
  struct parts parts;
  uint64_t packets;
};

struct machine {
  struct parameters parameters;
  struct context contexts[MAX_CONTEXTS];
  struct cache l2;
  struct cache system_cache;
  int64_t l2_port_free;
  int64_t vtcm_port_free;
  int64_t memory_free;
  struct dma dma;
  uint32_t vtcm_begin;
  uint32_t vtcm_end;
  uint64_t l2_misses;
  uint64_t system_cache_misses;
  uint64_t l1_misses;
};

/* `transfers`: how many a call starts. */
void machine_create(struct machine *machine, const struct parameters *parameters,
                    uint32_t transfers);
void machine_destroy(struct machine *machine);

/* Let all contexts be idle at tick `now`; caches stay as they are. */
void machine_start(struct machine *machine, int64_t now);

/* Let a context start a transfer. */
void machine_start_transfer(struct machine *machine, const struct context *context,
                            const struct transfer *transfer);

/* Let the engine move one line of the transfers that were started; there is one. */
void machine_move_line(struct machine *machine);

/* Let a context wait for a transfer that is done. */
void machine_await(struct machine *machine, struct context *context, uint32_t number);

/* Issue one packet on a context. */
void machine_issue(struct machine *machine, struct context *context, const struct packet *packet,
                   const struct access *accesses, uint32_t access_count);

#endif
