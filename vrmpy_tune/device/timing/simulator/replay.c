#include "replay.h"

#include <stdbool.h>

static void add_parts(struct parts *sum, const struct parts *more) {
#define ADD(name) sum->name += more->name;
  FOR_EACH_PART(ADD)
#undef ADD
}

/* Execute a step; false if it waits for a transfer that is not done. */
static bool issue_step(struct machine *machine, struct context *context, const struct trace *trace,
                       uint64_t index) {
  const struct step *step = &trace->steps[index];
  if (step->packet == STEP_START) {
    machine_start_transfer(machine, context, &trace->transfers[step->access]);
    return true;
  }
  if (step->packet == STEP_WAIT) {
    if (!dma_is_done(&machine->dma, step->access)) {
      return false;
    }
    machine_await(machine, context, step->access);
    return true;
  }
  machine_issue(machine, context, &trace->packets[step->packet], trace->accesses + step->access,
                step->access_count);
  return true;
}

/* Execute a stretch on the only context at work, and what the engine does meanwhile. */
static void run_serial(struct machine *machine, const struct trace *trace,
                       const struct stretch *stretch) {
  struct context *context = &machine->contexts[0];
  for (uint64_t s = stretch->first; s < stretch->last;) {
    if (dma_next(&machine->dma) > context->now && issue_step(machine, context, trace, s)) {
      ++s;
    } else {
      machine_move_line(machine);
    }
  }
}

/* What each context of a region works on. */
struct worker {
  uint64_t step;
  uint64_t last;
  bool waits; /* for a transfer that is not done */
};

/* The context at work that is the earliest and does not wait; MAX_CONTEXTS if there is none. */
static uint32_t earliest(const struct machine *machine, const struct worker *workers,
                         uint32_t busy) {
  uint32_t c = MAX_CONTEXTS;
  for (uint32_t i = 0; i < (uint32_t)machine->parameters.contexts; ++i) {
    if (busy >> i & 1 && !workers[i].waits &&
        (c == MAX_CONTEXTS || machine->contexts[i].now < machine->contexts[c].now)) {
      c = i;
    }
  }
  return c;
}

/* Move a line, and wake the contexts that waited for it. */
static void move_line(struct machine *machine, const struct trace *trace, struct worker *workers) {
  machine_move_line(machine);
  for (uint32_t i = 0; i < (uint32_t)machine->parameters.contexts; ++i) {
    if (workers[i].waits &&
        issue_step(machine, &machine->contexts[i], trace, workers[i].step)) {
      workers[i].waits = false;
      ++workers[i].step;
    }
  }
}

/* Run the tasks of one region, stretches `first` to `last`; each context takes the next task when it
 * is done with one, and of all contexts always the earliest goes on. */
static int64_t run_region(struct machine *machine, const struct trace *trace, uint64_t first,
                          uint64_t last, int64_t start, struct parts *parts) {
  uint32_t contexts = (uint32_t)machine->parameters.contexts;
  struct worker workers[MAX_CONTEXTS] = {{0, 0, false}};
  machine_start(machine, start);
  uint64_t next = first;
  uint32_t busy = 0; /* bit c: context c has work */
  for (uint32_t c = 0; c < contexts && next < last; ++c, ++next) {
    workers[c] = (struct worker){trace->stretches[next].first, trace->stretches[next].last, false};
    busy |= 1u << c;
  }
  uint32_t used = busy;
  while (busy != 0) {
    uint32_t c = earliest(machine, workers, busy);
    if (c == MAX_CONTEXTS || dma_next(&machine->dma) <= machine->contexts[c].now) {
      move_line(machine, trace, workers);
    } else if (workers[c].step < workers[c].last) {
      bool done = issue_step(machine, &machine->contexts[c], trace, workers[c].step);
      workers[c].step += done;
      workers[c].waits = !done;
    } else if (next < last) {
      workers[c] = (struct worker){trace->stretches[next].first, trace->stretches[next].last, false};
      ++next;
    } else {
      busy &= ~(1u << c);
    }
  }
  /* The parts are those of the mean context; what the busiest one takes longer is imbalance. */
  int64_t end = start;
  int64_t count = 0;
  struct parts sum = {0};
  for (uint32_t c = 0; c < contexts; ++c) {
    if (used >> c & 1) {
      ++count;
      add_parts(&sum, &machine->contexts[c].parts);
      end = machine->contexts[c].now > end ? machine->contexts[c].now : end;
    }
  }
  if (count != 0) {
    struct parts mean = {0};
    int64_t total = 0;
#define MEAN(name)             \
  mean.name = sum.name / count; \
  total += mean.name;
    FOR_EACH_PART(MEAN)
#undef MEAN
    mean.imbalance += end - start - total;
    add_parts(parts, &mean);
  }
  return end;
}

/* One call; returns when it ends. */
static int64_t run_call(struct machine *machine, const struct trace *trace, struct result *result) {
  const struct parameters *p = &machine->parameters;
  int64_t now = p->call_ticks;
  struct parts parts = {.overhead = p->call_ticks};
  uint64_t checkpoint = 0;
  for (uint64_t i = 0; i < trace->stretch_count;) {
    const struct stretch *stretch = &trace->stretches[i];
    if (stretch->is_checkpoint) {
      result->checkpoints[checkpoint++] = (struct checkpoint){now, parts};
    }
    if (stretch->region == 0) {
      machine_start(machine, now);
      run_serial(machine, trace, stretch);
      now = machine->contexts[0].now;
      add_parts(&parts, &machine->contexts[0].parts);
      ++i;
      continue;
    }
    uint64_t last = i;
    while (last < trace->stretch_count && trace->stretches[last].region == stretch->region) {
      ++last;
    }
    now = run_region(machine, trace, i, last, now, &parts) + p->fork_join_ticks;
    parts.overhead += p->fork_join_ticks;
    i = last;
  }
  result->parts = parts;
  result->ticks = now;
  return now;
}

void replay(const struct trace *trace, const struct parameters *parameters, struct result *result) {
  struct machine machine;
  machine_create(&machine, parameters, trace->transfer_count);
  machine.vtcm_begin = trace->vtcm_begin;
  machine.vtcm_end = trace->vtcm_end;
  for (int64_t call = 0; call <= parameters->warm_calls; ++call) {
    machine.l1_misses = machine.l2_misses = machine.system_cache_misses = 0;
    dma_reset(&machine.dma);
    run_call(&machine, trace, result);
  }
  result->packets = trace->step_count - trace->event_count;
  result->l1_misses = machine.l1_misses;
  result->l2_misses = machine.l2_misses;
  result->system_cache_misses = machine.system_cache_misses;
  machine_destroy(&machine);
}
