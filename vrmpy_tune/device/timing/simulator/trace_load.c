/* Reading a trace file into steps. */
#include "marks.h"
#include "replay.h"
#include "trace_format.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
  uint64_t first_packet;
  uint32_t count;
};

struct reader {
  struct trace *trace;
  struct block *blocks;
  uint64_t block_capacity;
  uint64_t packet_capacity;
  uint64_t step_capacity;
  uint64_t access_capacity;
  uint64_t stretch_capacity;
  uint64_t transfer_capacity;
  struct transfer transfer; /* that is being announced */
  uint64_t block_step; /* first step of the block that executes */
  uint32_t regions;
  bool is_between; /* behind a task; whether its region goes on is not known yet */
};

/* Make room for one more element; `count` are in use. */
static void *grown(void *items, uint64_t count, uint64_t *capacity, size_t size) {
  if (count < *capacity) {
    return items;
  }
  *capacity = *capacity == 0 ? 1024 : *capacity * 2;
  items = realloc(items, *capacity * size);
  if (items == NULL) {
    fprintf(stderr, "vrmpy simulator: out of memory\n");
    exit(EXIT_FAILURE);
  }
  return items;
}

#define GROW(items, count, capacity) \
  ((items) = grown((items), (count), &(capacity), sizeof *(items)))

static void begin_stretch(struct reader *reader, uint32_t region, bool is_checkpoint) {
  struct trace *trace = reader->trace;
  GROW(trace->stretches, trace->stretch_count, reader->stretch_capacity);
  trace->stretches[trace->stretch_count++] =
      (struct stretch){region, is_checkpoint, trace->step_count, trace->step_count};
  trace->checkpoint_count += is_checkpoint;
}

/* Put a step that is no packet where the execution is; whether it can be one. */
static bool read_event(struct reader *reader, uint32_t kind, uint32_t transfer) {
  struct trace *trace = reader->trace;
  if (transfer >= trace->transfer_count) {
    return false;
  }
  if (reader->is_between) {
    reader->is_between = false;
    begin_stretch(reader, 0, false);
  }
  GROW(trace->steps, trace->step_count, reader->step_capacity);
  trace->steps[trace->step_count++] = (struct step){kind, transfer, 0};
  trace->stretches[trace->stretch_count - 1].last = trace->step_count;
  ++trace->event_count;
  return true;
}

static bool read_transfer(struct reader *reader, uint32_t bytes) {
  struct trace *trace = reader->trace;
  uint64_t count = trace->transfer_count;
  GROW(trace->transfers, count, reader->transfer_capacity);
  reader->transfer.number = trace->transfer_count;
  reader->transfer.bytes = bytes;
  trace->transfers[trace->transfer_count++] = reader->transfer;
  return read_event(reader, STEP_START, reader->transfer.number);
}

static bool read_mark(struct reader *reader, uint64_t word) {
  uint32_t what = (uint32_t)(word >> TRACE_MARK_SHIFT) & 0xff;
  uint32_t argument = (uint32_t)word;
  switch (what) {
  case MARK_TASK_BEGIN:
    reader->regions += argument == 0;
    reader->is_between = false;
    begin_stretch(reader, reader->regions, false);
    break;
  case MARK_TASK_END:
    reader->is_between = true;
    break;
  case MARK_PROGRESS:
    reader->is_between = false;
    begin_stretch(reader, 0, true);
    break;
  case MARK_VTCM_BEGIN:
    reader->trace->vtcm_begin = argument;
    break;
  case MARK_VTCM_END:
    reader->trace->vtcm_end = argument;
    break;
  case MARK_DMA_TO:
    reader->transfer.to = argument;
    break;
  case MARK_DMA_FROM:
    reader->transfer.from = argument;
    break;
  case MARK_DMA_START:
    return read_transfer(reader, argument);
  case MARK_DMA_WAIT:
    return read_event(reader, STEP_WAIT, argument - 1);
  default:
    break;
  }
  return true;
}

static const uint64_t *read_definition(struct reader *reader, const uint64_t *at,
                                       const uint64_t *end) {
  struct trace *trace = reader->trace;
  uint32_t number = (uint32_t)*at;
  uint32_t count = (uint32_t)(*at >> TRACE_COUNT_SHIFT) & 0xffff;
  ++at;
  while (number >= reader->block_capacity) {
    uint64_t known = reader->block_capacity;
    GROW(reader->blocks, known, reader->block_capacity);
    memset(reader->blocks + known, 0,
           (reader->block_capacity - known) * sizeof *reader->blocks);
  }
  reader->blocks[number] = (struct block){trace->packet_count, count};
  for (uint32_t i = 0; i < count; ++i) {
    size_t length = at < end ? (size_t)(*at >> TRACE_COUNT_SHIFT) & 0xffff : SIZE_MAX;
    if (length == SIZE_MAX || (size_t)(end - at - 1) * sizeof *at < length) {
      return NULL;
    }
    GROW(trace->packets, trace->packet_count, reader->packet_capacity);
    packet_decode(&trace->packets[trace->packet_count++], (uint32_t)*at, (const char *)(at + 1),
                  length);
    at += 1 + (length + sizeof *at - 1) / sizeof *at;
  }
  return at;
}

static bool read_block(struct reader *reader, uint64_t word) {
  struct trace *trace = reader->trace;
  uint32_t number = (uint32_t)word;
  if (number >= reader->block_capacity || reader->blocks[number].count == 0) {
    return false;
  }
  if (reader->is_between) {
    reader->is_between = false;
    begin_stretch(reader, 0, false);
  }
  const struct block *block = &reader->blocks[number];
  reader->block_step = trace->step_count;
  for (uint32_t i = 0; i < block->count; ++i) {
    GROW(trace->steps, trace->step_count, reader->step_capacity);
    trace->steps[trace->step_count++] =
        (struct step){(uint32_t)(block->first_packet + i), (uint32_t)trace->access_count, 0};
  }
  trace->stretches[trace->stretch_count - 1].last = trace->step_count;
  return true;
}

static bool read_access(struct reader *reader, uint64_t word, bool is_store) {
  struct trace *trace = reader->trace;
  uint64_t step = reader->block_step + ((word >> TRACE_PACKET_SHIFT) & TRACE_PACKET_MASK);
  if (step >= trace->step_count) {
    return false;
  }
  GROW(trace->accesses, trace->access_count, reader->access_capacity);
  if (trace->steps[step].access_count++ == 0) {
    trace->steps[step].access = (uint32_t)trace->access_count;
  }
  trace->accesses[trace->access_count++] = (struct access){
      (uint32_t)word, (uint16_t)((word >> TRACE_BYTES_SHIFT) & TRACE_BYTES_MASK), is_store};
  return true;
}

static const char *read_words(struct reader *reader, const uint64_t *at, const uint64_t *end) {
  begin_stretch(reader, 0, false);
  while (at < end) {
    uint64_t word = *at;
    bool good = true;
    switch (word >> TRACE_KIND_SHIFT) {
    case TRACE_BLOCK:
      good = read_block(reader, word);
      ++at;
      break;
    case TRACE_LOAD:
    case TRACE_STORE:
      good = read_access(reader, word, word >> TRACE_KIND_SHIFT == TRACE_STORE);
      ++at;
      break;
    case TRACE_MARK:
      good = read_mark(reader, word);
      ++at;
      break;
    case TRACE_DEFINE:
      at = read_definition(reader, at, end);
      good = at != NULL;
      break;
    case TRACE_END:
      return NULL;
    default:
      good = false;
    }
    if (!good) {
      return "not a trace:";
    }
  }
  return "a trace that was cut:";
}

const char *trace_load(struct trace *trace, const char *path) {
  memset(trace, 0, sizeof *trace);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return "no trace can be read from";
  }
  fseek(file, 0, SEEK_END);
  long bytes = ftell(file);
  rewind(file);
  size_t count = bytes > 0 ? (size_t)bytes / sizeof(uint64_t) : 0;
  uint64_t *words = malloc((count + 1) * sizeof *words);
  size_t got = words ? fread(words, sizeof *words, count, file) : 0;
  fclose(file);
  if (got == 0 || got != count || words[0] != TRACE_MAGIC) {
    free(words);
    return "not a trace:";
  }
  struct reader reader = {.trace = trace};
  const char *problem = read_words(&reader, words + 1, words + count);
  free(reader.blocks);
  free(words);
  return problem;
}
