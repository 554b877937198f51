/* TVM workspaces and VTCM: allocators that are quick inside a call and checked after it.
 *
 * Both arenas hand out 128-byte-aligned blocks with guards on both sides.  A block is never cut or
 * joined: a freed block is used again only for a request of exactly its size, so that its guards
 * stay where they are until they are checked once, after the call.
 */
#include "marks.h"
#include "runtime.h"

#define MAX_BLOCKS 65536u
#define CHUNK_BYTES (64u << 20) /* enough for most kernels; pages not used cost nothing */
#define PATTERN_BYTES (1u << 20) /* filled before the first call */

struct block {
  uint8_t *data;
  uint64_t bytes;
  struct block *next; /* in the live or in the free list */
};

struct chunk {
  uint8_t *memory;
  uint64_t bytes;
  uint64_t used;
};

#define MAX_CHUNKS 1024u

struct arena {
  const char *name;
  enum buffer_class buffer_class;
  uint64_t limit; /* bytes that may be live at once */
  uint64_t live_bytes;
  int last_in_first_out; /* whether frees must come in reverse order */
  struct block *live;    /* most recent first */
  struct block *free;    /* most recent first */
  uint32_t block_count;
  uint32_t chunk_count;
  uint32_t chunk_now; /* chunks before this one are full */
  uint32_t seed;
  struct block blocks[MAX_BLOCKS]; /* apart from the memory, where no kernel overwrites it */
  struct chunk chunks[MAX_CHUNKS];
};

static struct arena workspace;
static struct arena vtcm;
static uint64_t vtcm_bytes;   /* of the device */
static uint64_t shared_bytes; /* in use by the task that runs */

static uint64_t block_footprint(uint64_t bytes) {
  return GUARD_BYTES + round_up(bytes, VECTOR_BYTES) + GUARD_BYTES;
}

static void add_chunk(struct arena *arena, uint64_t least_bytes) {
  if (arena->chunk_count == MAX_CHUNKS) {
    failure("the kernel's %s allocations need more than %u chunks of memory", arena->name,
            MAX_CHUNKS);
  }
  struct chunk *chunk = &arena->chunks[arena->chunk_count++];
  chunk->bytes = round_up(least_bytes > CHUNK_BYTES ? least_bytes : CHUNK_BYTES, PAGE_BYTES);
  chunk->memory = map_isolated(chunk->bytes, arena->name);
  chunk->used = 0;
}

static uint8_t *take(struct arena *arena, uint64_t bytes) {
  for (;; ++arena->chunk_now) {
    if (arena->chunk_now == arena->chunk_count) {
      /* Mapping memory happens in the first call only; charging for it would make the counts of
       * equal calls differ by more than a few packets. */
      accounting_pause();
      add_chunk(arena, bytes);
      accounting_resume();
    }
    struct chunk *chunk = &arena->chunks[arena->chunk_now];
    if (chunk->bytes - chunk->used >= bytes) {
      uint8_t *memory = chunk->memory + chunk->used;
      chunk->used += bytes;
      return memory;
    }
  }
}

static struct block *new_block(struct arena *arena, uint64_t bytes) {
  if (arena->block_count == MAX_BLOCKS) {
    failure("the kernel made more than %u %s allocations of different sizes", MAX_BLOCKS,
            arena->name);
  }
  struct block *block = &arena->blocks[arena->block_count++];
  block->data = take(arena, block_footprint(bytes)) + GUARD_BYTES;
  block->bytes = bytes;
  pattern_fill(block->data - GUARD_BYTES, GUARD_BYTES, arena->seed);
  pattern_fill(block->data + bytes, GUARD_BYTES, arena->seed);
  return block;
}

static void *arena_allocate(struct arena *arena, uint64_t bytes) {
  uint64_t size = round_up(bytes, VECTOR_BYTES);
  if (size < bytes || size > arena->limit - arena->live_bytes) {
    failure("the %s is exhausted: the kernel asked for %llu bytes, and %llu of %llu are in use; "
            "choose smaller tiles",
            arena->name, (unsigned long long)bytes, (unsigned long long)arena->live_bytes,
            (unsigned long long)arena->limit);
  }
  struct block **link = &arena->free;
  while (*link != NULL && (*link)->bytes != bytes) {
    link = &(*link)->next;
  }
  struct block *block = *link;
  if (block != NULL) {
    *link = block->next;
  } else {
    block = new_block(arena, bytes);
  }
  block->next = arena->live;
  arena->live = block;
  arena->live_bytes += size;
  return block->data;
}

static void arena_free(struct arena *arena, void *data) {
  struct block **link = &arena->live;
  while (*link != NULL && (*link)->data != data) {
    if (arena->last_in_first_out) {
      failure("the kernel freed %s memory out of order: %p, while %p was allocated last",
              arena->name, data, (void *)(*link)->data);
    }
    link = &(*link)->next;
  }
  struct block *block = *link;
  if (block == NULL) {
    failure("the kernel freed %s memory that is not allocated: %p", arena->name, data);
  }
  *link = block->next;
  block->next = arena->free;
  arena->free = block;
  arena->live_bytes -= round_up(block->bytes, VECTOR_BYTES);
}

/* Set at run time rather than by initializers, which would put the tables into the executable. */
static void arena_create(struct arena *arena, const char *name, enum buffer_class buffer_class,
                         uint64_t limit) {
  arena->name = name;
  arena->buffer_class = buffer_class;
  arena->limit = limit;
  add_chunk(arena, 0);
  arena->chunks[0].used = PATTERN_BYTES; /* so that the first reset fills it */
}

static void arena_reset(struct arena *arena, uint32_t seed) {
  for (uint32_t i = 0; i < arena->chunk_count; ++i) {
    /* A kernel that reads what it never wrote must not find convenient zeros. */
    pattern_fill(arena->chunks[i].memory, arena->chunks[i].used, seed + i);
    arena->chunks[i].used = 0;
  }
  arena->seed = seed;
  arena->chunk_now = 0;
  arena->block_count = 0;
  arena->live = NULL;
  arena->free = NULL;
  arena->live_bytes = 0;
}

static int arena_check(const struct arena *arena, struct fault *fault) {
  for (uint32_t i = 0; i < arena->block_count; ++i) {
    const struct block *block = &arena->blocks[i];
    fault->buffer_class = (uint32_t)arena->buffer_class;
    fault->index = i;
    int64_t at = pattern_mismatch(block->data - GUARD_BYTES, GUARD_BYTES, arena->seed);
    if (at >= 0) {
      fault->kind = FAULT_BEFORE;
      fault->offset = at - (int64_t)GUARD_BYTES;
      return 0;
    }
    at = pattern_mismatch(block->data + block->bytes, GUARD_BYTES, arena->seed);
    if (at >= 0) {
      fault->kind = FAULT_AFTER;
      fault->offset = (int64_t)block->bytes + at;
      return 0;
    }
  }
  return 1;
}

void arenas_create(uint64_t bytes) {
  vtcm_bytes = bytes;
  arena_create(&workspace, "workspace", CLASS_WORKSPACE, UINT64_MAX);
  arena_create(&vtcm, "VTCM", CLASS_VTCM, vtcm_bytes);
  vtcm.last_in_first_out = 1;
  /* One piece has room for the VTCM of any target. */
  uint32_t begin = (uint32_t)(uintptr_t)vtcm.chunks[0].memory;
  mark(MARK_VTCM_BEGIN, begin);
  mark(MARK_VTCM_END, begin + (uint32_t)vtcm.chunks[0].bytes);
}

void arenas_reset(uint32_t seed) {
  arena_reset(&workspace, seed);
  arena_reset(&vtcm, seed + 1);
  vtcm.limit = vtcm_bytes;
  shared_bytes = 0;
}

int arenas_check(struct fault *fault) {
  return arena_check(&workspace, fault) && arena_check(&vtcm, fault);
}

void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int dtype_code,
                               int dtype_bits) {
  (void)device_type, (void)device_id, (void)dtype_code, (void)dtype_bits;
  return arena_allocate(&workspace, bytes);
}

int TVMBackendFreeWorkspace(int device_type, int device_id, void *data) {
  (void)device_type, (void)device_id;
  arena_free(&workspace, data);
  return 0;
}

/* VTCM for the kernels of this project: TVM's own lowering of "global.vtcm" does not work on the
 * target kind that does. */
void *vrmpy_vtcm_alloc(uint64_t bytes) { return arena_allocate(&vtcm, bytes); }

void vrmpy_vtcm_free(void *data) { arena_free(&vtcm, data); }

/* The same within a parallel region.  Tasks run one after another here, but on the device at once,
 * each with its own blocks: a task has an equal share of what was free outside. */
void *vrmpy_vtcm_alloc_shared(uint64_t bytes) {
  accounting_pause();
  mark(MARK_ASIDE_BEGIN, 0);
  uint32_t workers = accounting_workers();
  uint64_t outside = vtcm.live_bytes - shared_bytes;
  vtcm.name = workers > 1 ? "VTCM of each context" : "VTCM";
  vtcm.limit = outside + (vtcm_bytes - outside) / workers;
  mark(MARK_ASIDE_END, 0);
  accounting_resume();
  void *data = arena_allocate(&vtcm, bytes);
  shared_bytes = vtcm.live_bytes - outside;
  return data;
}

void vrmpy_vtcm_free_shared(void *data) {
  const struct block *last = vtcm.live;
  if (last != NULL && last->data == data) {
    dma_release(last->data, last->bytes);
  }
  uint64_t outside = vtcm.live_bytes - shared_bytes;
  arena_free(&vtcm, data);
  shared_bytes = vtcm.live_bytes - outside;
  if (shared_bytes == 0) {
    vtcm.name = "VTCM";
    vtcm.limit = vtcm_bytes;
  }
}
