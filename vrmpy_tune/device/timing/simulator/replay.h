/* A trace in memory, and its run through the timing model. */
#ifndef VRMPY_REPLAY_H
#define VRMPY_REPLAY_H

#include "machine.h"

#define STEP_START UINT32_MAX      /* in place of a packet: a transfer of the DMA starts */
#define STEP_WAIT (UINT32_MAX - 1) /* is waited for */

struct step { /* one packet that was executed */
  uint32_t packet;       /* index into the trace's packets, or one of the two above */
  uint32_t access;       /* index of its first access, or of the transfer */
  uint32_t access_count;
};

/* Steps that one thread of control executes: what is serial, or a task of a parallel region. */
struct stretch {
  uint32_t region; /* 0: serial; else the number of the parallel region */
  uint32_t is_checkpoint; /* begins before or behind a layer of a network */
  uint64_t first;
  uint64_t last;
};

struct trace {
  struct packet *packets;
  struct step *steps;
  struct access *accesses;
  struct stretch *stretches;
  struct transfer *transfers;
  uint64_t packet_count;
  uint64_t step_count;
  uint64_t access_count;
  uint64_t stretch_count;
  uint64_t checkpoint_count;
  uint32_t transfer_count;
  uint64_t event_count; /* steps that are no packets */
  uint32_t vtcm_begin;
  uint32_t vtcm_end;
};

struct checkpoint { /* how far a call was */
  int64_t ticks;
  struct parts parts;
};

struct result {
  int64_t ticks;
  uint64_t packets;
  struct parts parts; /* of the path that decides; they add up to `ticks` */
  uint64_t l1_misses;
  uint64_t l2_misses;
  uint64_t system_cache_misses;
  struct checkpoint *checkpoints; /* as many as the trace has; of the caller */
};

/* Read a trace; NULL, or what is wrong with it. */
const char *trace_load(struct trace *trace, const char *path);

void replay(const struct trace *trace, const struct parameters *parameters, struct result *result);

#endif
