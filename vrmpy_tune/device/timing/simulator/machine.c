#include "machine.h"

#include <string.h>

void machine_create(struct machine *machine, const struct parameters *parameters,
                    uint32_t transfers) {
  memset(machine, 0, sizeof *machine);
  machine->parameters = *parameters;
  const struct parameters *p = &machine->parameters;
  cache_create(&machine->l2, (uint64_t)p->l2_bytes, (uint32_t)p->l2_ways,
               (uint32_t)p->l2_line_bytes);
  cache_create(&machine->system_cache, (uint64_t)p->system_cache_bytes,
               (uint32_t)p->system_cache_ways, (uint32_t)p->l2_line_bytes);
  for (int64_t c = 0; c < p->contexts; ++c) {
    cache_create(&machine->contexts[c].l1, (uint64_t)p->l1_bytes, (uint32_t)p->l1_ways,
                 (uint32_t)p->l1_line_bytes);
  }
  dma_create(&machine->dma, transfers);
}

void machine_destroy(struct machine *machine) {
  dma_destroy(&machine->dma);
  cache_destroy(&machine->l2);
  cache_destroy(&machine->system_cache);
  for (int64_t c = 0; c < machine->parameters.contexts; ++c) {
    cache_destroy(&machine->contexts[c].l1);
  }
}

void machine_start(struct machine *machine, int64_t now) {
  machine->l2_port_free = machine->vtcm_port_free = now;
  machine->memory_free = now > machine->dma.free ? now : machine->dma.free;
  for (int64_t c = 0; c < machine->parameters.contexts; ++c) {
    struct context *context = &machine->contexts[c];
    struct cache l1 = context->l1;
    memset(context, 0, sizeof *context);
    context->l1 = l1;
    context->now = now;
  }
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* Wait until `time`, and book the waiting to `part`. */
static void wait_until(struct context *context, int64_t time, int64_t *part) {
  if (time > context->now) {
    *part += time - context->now;
    context->now = time;
  }
}

/* Bring the line of `address` into L2, if it is not there. */
static void use_l2(struct machine *machine, struct context *context, uint32_t address) {
  const struct parameters *p = &machine->parameters;
  if (cache_use(&machine->l2, address)) {
    return;
  }
  ++machine->l2_misses;
  bool hit = cache_use(&machine->system_cache, address);
  machine->system_cache_misses += !hit;
  int64_t start = later(context->now, machine->memory_free);
  machine->memory_free = start + (hit ? p->system_cache_shared_ticks : p->dram_shared_ticks);
  int64_t alone = context->now + (hit ? p->system_cache_ticks : p->dram_ticks);
  wait_until(context, later(alone, machine->memory_free), &context->parts.memory);
}

/* Take a port for `ticks` as soon as it is free, and book the waiting to `part`. */
static void take_port(struct context *context, int64_t *port_free, int64_t ticks, int64_t *part) {
  wait_until(context, *port_free, part);
  *port_free = context->now + ticks;
}

static bool in_vtcm(const struct machine *machine, uint32_t address) {
  return address >= machine->vtcm_begin && address < machine->vtcm_end;
}

static void access_vector(struct machine *machine, struct context *context,
                          const struct access *access, bool is_unaligned) {
  const struct parameters *p = &machine->parameters;
  uint32_t first = access->address / (uint32_t)p->l2_line_bytes;
  uint32_t last = (access->address + access->bytes - 1) / (uint32_t)p->l2_line_bytes;
  int64_t lines = (int64_t)last - first + 1;
  if (in_vtcm(machine, access->address)) {
    take_port(context, &machine->vtcm_port_free, lines * p->vtcm_port_ticks,
              &context->parts.vtcm);
    return;
  }
  struct recent_stores *stores = &context->stores;
  if (!access->is_store) {
    for (unsigned i = 0; i < RECENT_STORES; ++i) {
      if (stores->lines[i] > first && stores->lines[i] <= last + 1) {
        wait_until(context, stores->times[i] + p->store_to_load_packets * p->packet_ticks,
                   &context->parts.interlock);
      }
    }
  }
  int64_t charged = is_unaligned ? later(lines, p->unaligned_lines) : lines;
  take_port(context, &machine->l2_port_free, charged * p->l2_port_ticks, &context->parts.l2);
  for (uint32_t line = first; line <= last; ++line) {
    use_l2(machine, context, line * (uint32_t)p->l2_line_bytes);
  }
  if (access->is_store) {
    stores->lines[stores->next] = first + 1;
    stores->times[stores->next] = context->now;
    stores->next = (stores->next + 1) % RECENT_STORES;
  }
}

static void access_scalar(struct machine *machine, struct context *context,
                          const struct access *access) {
  const struct parameters *p = &machine->parameters;
  if (in_vtcm(machine, access->address)) {
    take_port(context, &machine->vtcm_port_free, p->vtcm_port_ticks, &context->parts.vtcm);
    return;
  }
  if (cache_use(&context->l1, access->address)) {
    return;
  }
  ++machine->l1_misses;
  take_port(context, &machine->l2_port_free, p->l2_port_ticks, &context->parts.l2);
  if (!access->is_store) { /* a store waits in its buffer */
    wait_until(context, context->now + p->l1_miss_ticks, &context->parts.l1);
  }
  use_l2(machine, context, access->address);
}

void machine_start_transfer(struct machine *machine, const struct context *context,
                            const struct transfer *transfer) {
  dma_start(&machine->dma, transfer, context->now + machine->parameters.dma_latency_ticks);
}

/* One side of a line that the engine moves, from tick `start`; returns when it is done. */
static int64_t move_side(struct machine *machine, uint32_t address, int64_t start) {
  const struct parameters *p = &machine->parameters;
  if (in_vtcm(machine, address)) {
    machine->vtcm_port_free = later(start, machine->vtcm_port_free) + p->vtcm_port_ticks;
    return start + p->dma_line_ticks;
  }
  bool hit = cache_use(&machine->system_cache, address);
  machine->system_cache_misses += !hit;
  int64_t begin = later(start, machine->memory_free);
  machine->memory_free =
      begin + (hit ? p->dma_line_ticks : later(p->dma_line_ticks, p->dram_shared_ticks));
  return machine->memory_free;
}

void machine_move_line(struct machine *machine) {
  struct dma *dma = &machine->dma;
  const struct transfer *transfer = &dma->queue[dma->first].transfer;
  int64_t start = dma_next(dma);
  int64_t read = move_side(machine, transfer->from + dma->moved, start);
  int64_t written = move_side(machine, transfer->to + dma->moved, start);
  dma_advance(dma, (uint32_t)machine->parameters.l2_line_bytes, later(read, written));
}

void machine_await(struct machine *machine, struct context *context, uint32_t number) {
  wait_until(context, machine->dma.ends[number], &context->parts.dma);
}

void machine_issue(struct machine *machine, struct context *context, const struct packet *packet,
                   const struct access *accesses, uint32_t access_count) {
  const struct parameters *p = &machine->parameters;
  int64_t ready = context->now;
  for (uint8_t i = 0; i < packet->read_count; ++i) {
    const struct read *read = &packet->reads[i];
    ready = later(ready, read->early ? context->ready_early[read->number]
                                     : context->ready[read->number]);
  }
  wait_until(context, ready, &context->parts.interlock);
  for (uint32_t i = 0; i < access_count; ++i) {
    bool is_vector = packet->has_vector_access &&
                     (!packet->has_scalar_access || accesses[i].bytes > sizeof(uint64_t));
    if (is_vector) {
      access_vector(machine, context, &accesses[i], packet->has_unaligned_access);
    } else {
      access_scalar(machine, context, &accesses[i]);
    }
  }
  int64_t next = context->now + p->packet_ticks;
  for (uint8_t i = 0; i < packet->write_count; ++i) {
    const struct write *write = &packet->writes[i];
    int64_t stall = write->kind == RESULT_SCALAR_LOAD ? p->scalar_load_packets
                    : write->kind == RESULT_MULTIPLY  ? p->scalar_multiply_packets
                                                      : 0;
    context->ready[write->number] = next + stall * p->packet_ticks;
    context->ready_early[write->number] = next + p->early_source_packets * p->packet_ticks;
  }
  context->parts.issue += p->packet_ticks;
  context->now = next;
  ++context->packets;
}
