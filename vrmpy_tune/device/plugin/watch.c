/* QEMU plugin: stops a kernel that makes a misaligned scalar access or runs for too many packets.
 *
 * QEMU permits misaligned scalar accesses (memh, memw, memd), the hardware traps.  A kernel may
 * hold such an access and still compute the right output here, so its addresses have to be watched.
 *
 * What QEMU calls an instruction is one packet.  HVX accesses arrive through the same callback, an
 * aligned load as 16 accesses of 8 bytes and a store as 128 of 1 byte.  Only packets with a scalar
 * access are watched, and in those no HVX access can look misaligned: vmem addresses are rounded
 * down to a vector, and vmemu reserves both memory slots, so that it never shares a packet with a
 * scalar access (the assembler refuses it with "slot error").
 *
 * Argument: limit=<packets per call, 0 for none>.  The finding goes to standard error, and the exit
 * status says which kind it is; vrmpy_tune/device/qemu.py reads both.
 */
#include "marks.h"
#include "qemu_plugin_v1.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_CUT 91
#define STATUS_MISALIGNED 92

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static uint64_t packet_limit;
static uint64_t packets;
static bool in_kernel;

struct watched_packet {
  uint64_t address;
  const char *symbol; /* owned by QEMU's symbol table; may be NULL */
  char text[];
};

static _Noreturn void stop(int status, const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (length >= (int)sizeof line) {
    length = (int)sizeof line - 1;
  }
  ssize_t ignored = write(STDERR_FILENO, line, (size_t)length);
  (void)ignored; /* the exit status still tells */
  _exit(status);
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t what,
                       uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                       uint64_t a8) {
  (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number == MARK_SYSCALL && (what == MARK_CALL_BEGIN || what == MARK_CALL_END)) {
    in_kernel = what == MARK_CALL_BEGIN;
    packets = 0;
  }
}

static void on_block(unsigned int vcpu, void *block_packets) {
  (void)vcpu;
  if (!in_kernel) {
    return;
  }
  packets += (uintptr_t)block_packets;
  if (packets > packet_limit) {
    stop(STATUS_CUT, "%llu", (unsigned long long)packet_limit);
  }
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address,
                      void *data) {
  (void)vcpu;
  unsigned int bytes = 1u << qemu_plugin_mem_size_shift(info);
  if ((address & (bytes - 1)) == 0 || !in_kernel) {
    return;
  }
  const struct watched_packet *packet = data;
  stop(STATUS_MISALIGNED, "%s of %u bytes at address 0x%llx by the packet at 0x%llx in %s: %s",
       qemu_plugin_mem_is_store(info) ? "store" : "load", bytes, (unsigned long long)address,
       (unsigned long long)packet->address, packet->symbol ? packet->symbol : "unknown code",
       packet->text);
}

/* Whether a packet's text holds a scalar access of more than a byte: mem... that is not vmem... */
static bool has_scalar_access(const char *text) {
  if (strstr(text, "allocframe") || strstr(text, "dealloc")) {
    return true;
  }
  for (const char *at = strstr(text, "mem"); at != NULL; at = strstr(at + 1, "mem")) {
    bool is_vector = at != text && at[-1] == 'v';
    bool is_byte = strncmp(at, "memb(", 5) == 0 || strncmp(at, "memub(", 6) == 0;
    if (!is_vector && !is_byte) {
      return true;
    }
  }
  return false;
}

static void watch_packet(struct qemu_plugin_insn *packet) {
  char *text = qemu_plugin_insn_disas(packet);
  if (has_scalar_access(text)) {
    size_t length = strlen(text) + 1;
    struct watched_packet *watched = malloc(sizeof *watched + length);
    if (watched == NULL) {
      fprintf(stderr, "vrmpy watch plugin: out of memory\n");
      abort();
    }
    watched->address = qemu_plugin_insn_vaddr(packet);
    watched->symbol = qemu_plugin_insn_symbol(packet);
    memcpy(watched->text, text, length);
    /* QEMU may run the block until the process ends, so `watched` is never freed. */
    qemu_plugin_register_vcpu_mem_cb(packet, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                     watched);
  }
  free(text);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  size_t count = qemu_plugin_tb_n_insns(block);
  if (packet_limit != 0) {
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, QEMU_PLUGIN_CB_NO_REGS,
                                         (void *)(uintptr_t)count);
  }
  for (size_t i = 0; i < count; ++i) {
    watch_packet(qemu_plugin_tb_get_insn(block, i));
  }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "limit=", 6) == 0) {
      packet_limit = strtoull(argv[i] + 6, NULL, 10);
    } else {
      fprintf(stderr, "vrmpy watch plugin: unknown argument '%s'\n", argv[i]);
      return -1;
    }
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
