/* QEMU plugin: writes what one kernel call executes, as trace_format.h says.
 *
 * What QEMU calls an instruction is one packet.  Adjacent accesses of one packet are merged, since an
 * HVX load arrives as 16 accesses of 8 bytes and a store as 128 of 1 byte.
 *
 * Only the first call of a run is written.  Arguments: out=<file>, limit=<bytes of the file>.  A
 * trace beyond its limit ends the process with STATUS_TRACE_FULL (vrmpy_tune/device/timing/).
 */
#include "qemu_plugin_v1.h"
#include "marks.h"
#include "trace_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_TRACE_FULL 93
#define BUFFER_WORDS 65536u
#define VECTOR_BYTES 128u

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

struct block;

struct packet {
  struct block *block;
  uint32_t index;
  uint32_t address;
  char *text;
};

struct block {
  uint32_t number;
  uint32_t count;
  bool defined; /* already written to the trace */
  struct packet packets[];
};

static FILE *out;
static uint64_t limit_bytes;
static uint64_t written_bytes;
static uint64_t buffer[BUFFER_WORDS];
static size_t buffered;
static uint32_t block_count;
static bool recording;
static bool aside; /* what executes is the runtime's own */
static bool finished;

/* The run of adjacent accesses that the last word stands for. */
static const struct packet *run_packet;
static uint64_t run_next;
static uint32_t run_bytes;
static bool run_store;

static _Noreturn void give_up(int status, const char *message) {
  fprintf(stderr, "vrmpy trace plugin: %s\n", message);
  fflush(stderr);
  _exit(status);
}

static void flush(void) {
  written_bytes += buffered * sizeof *buffer;
  if (written_bytes > limit_bytes) {
    give_up(STATUS_TRACE_FULL, "the trace is longer than its limit");
  }
  if (fwrite(buffer, sizeof *buffer, buffered, out) != buffered) {
    give_up(STATUS_TRACE_FULL, "the trace cannot be written");
  }
  buffered = 0;
}

static inline void put(uint64_t word) {
  if (buffered == BUFFER_WORDS) {
    flush();
  }
  buffer[buffered++] = word;
}

static inline uint64_t word_of(enum trace_kind kind, uint64_t rest) {
  return (uint64_t)kind << TRACE_KIND_SHIFT | rest;
}

static void define(struct block *block) {
  put(word_of(TRACE_DEFINE, (uint64_t)block->count << TRACE_COUNT_SHIFT | block->number));
  for (uint32_t i = 0; i < block->count; ++i) {
    const struct packet *packet = &block->packets[i];
    size_t length = strlen(packet->text);
    put((uint64_t)length << TRACE_COUNT_SHIFT | packet->address);
    for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
      uint64_t word = 0;
      size_t left = length - at;
      memcpy(&word, packet->text + at, left < sizeof word ? left : sizeof word);
      put(word);
    }
  }
  block->defined = true;
}

static void on_block(unsigned int vcpu, void *data) {
  (void)vcpu;
  if (!recording || aside) {
    return;
  }
  struct block *block = data;
  if (!block->defined) {
    define(block);
  }
  put(word_of(TRACE_BLOCK, block->number));
  run_packet = NULL;
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  (void)vcpu;
  if (!recording || aside) {
    return;
  }
  const struct packet *packet = data;
  uint32_t bytes = 1u << qemu_plugin_mem_size_shift(info);
  bool store = qemu_plugin_mem_is_store(info);
  if (packet == run_packet && address == run_next && store == run_store &&
      run_bytes + bytes <= VECTOR_BYTES && buffered != 0) {
    run_bytes += bytes;
    run_next += bytes;
    buffer[buffered - 1] += (uint64_t)bytes << TRACE_BYTES_SHIFT;
    return;
  }
  put(word_of(store ? TRACE_STORE : TRACE_LOAD,
              (uint64_t)bytes << TRACE_BYTES_SHIFT |
                  (uint64_t)(packet->index & TRACE_PACKET_MASK) << TRACE_PACKET_SHIFT |
                  (uint32_t)address));
  run_packet = packet;
  run_next = address + bytes;
  run_bytes = bytes;
  run_store = store;
}

static void mark(uint64_t what, uint64_t argument) {
  put(word_of(TRACE_MARK, (what & 0xff) << TRACE_MARK_SHIFT | (uint32_t)argument));
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t what,
                       uint64_t argument, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                       uint64_t a7, uint64_t a8) {
  (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != MARK_SYSCALL || finished) {
    return;
  }
  switch (what) {
  case MARK_CALL_BEGIN:
    recording = argument != 0; /* 0: the empty call with which the runtime learns its own cost */
    break;
  case MARK_CALL_END:
    if (recording) {
      put(word_of(TRACE_END, 0));
      flush();
      fclose(out);
      recording = false;
      finished = true;
    }
    break;
  case MARK_ASIDE_BEGIN:
  case MARK_ASIDE_END:
    aside = what == MARK_ASIDE_BEGIN;
    break;
  default:
    /* VTCM is announced before the first call. */
    if (recording || what == MARK_VTCM_BEGIN || what == MARK_VTCM_END) {
      mark(what, argument);
    }
  }
}

/* Whether code of the runtime surrounds a kernel, or measures it, and so is not charged to it. */
static bool is_measuring(const struct qemu_plugin_insn *packet) {
  static const char *const functions[] = {
      "measured_call",     "run_task",          "TVMBackendParallelLaunch",
      "mark",              "syscall",           "__syscall_ret",
      "__errno_location",  "___errno_location", "accounting_pause",
      "accounting_resume", "vrmpy_progress",    "map_isolated",
      "mmap",              "__mmap",            "mprotect",
      "__mprotect",        "__vm_wait",         "pattern_fill",
      "pattern_mismatch",  "first_difference",  "dma_announce",
      "dma_finish",
  };
  const char *symbol = qemu_plugin_insn_symbol(packet);
  for (size_t i = 0; symbol != NULL && i < sizeof functions / sizeof *functions; ++i) {
    if (strcmp(symbol, functions[i]) == 0) {
      return true;
    }
  }
  return false;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *translated) {
  (void)id;
  if (finished) {
    return;
  }
  size_t count = qemu_plugin_tb_n_insns(translated);
  if (is_measuring(qemu_plugin_tb_get_insn(translated, 0))) {
    return;
  }
  struct block *block = malloc(sizeof *block + count * sizeof *block->packets);
  if (block == NULL || count > TRACE_PACKET_MASK) {
    give_up(EXIT_FAILURE, "a block of packets is too large");
  }
  /* QEMU may run the block until the process ends, so it is never freed. */
  *block = (struct block){.number = block_count++, .count = (uint32_t)count};
  for (size_t i = 0; i < count; ++i) {
    struct qemu_plugin_insn *packet = qemu_plugin_tb_get_insn(translated, i);
    block->packets[i] = (struct packet){
        block, (uint32_t)i, (uint32_t)qemu_plugin_insn_vaddr(packet), qemu_plugin_insn_disas(packet)};
    qemu_plugin_register_vcpu_mem_cb(packet, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                     &block->packets[i]);
  }
  qemu_plugin_register_vcpu_tb_exec_cb(translated, on_block, QEMU_PLUGIN_CB_NO_REGS, block);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) {
      out = fopen(argv[i] + 4, "wb");
    } else if (strncmp(argv[i], "limit=", 6) == 0) {
      limit_bytes = strtoull(argv[i] + 6, NULL, 10);
    } else {
      fprintf(stderr, "vrmpy trace plugin: unknown argument '%s'\n", argv[i]);
      return -1;
    }
  }
  if (out == NULL) {
    fprintf(stderr, "vrmpy trace plugin: the trace's file cannot be written\n");
    return -1;
  }
  put(TRACE_MAGIC);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
