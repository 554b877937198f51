/* The on-device runtime: what its parts share.
 *
 * The runtime runs one kernel on one or more input sets.  It reads a job from standard input, which
 * must be a file that can be read twice, and writes a result to standard output.  Both are
 * described in wire.h and mirrored by vrmpy_tune/device/wire.py.  It is C because C++ exceptions do
 * not work in static Hexagon executables (thread-local access goes through an unresolved PLT slot).
 */
#ifndef VRMPY_RUNTIME_H
#define VRMPY_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include <tvm/ffi/c_api.h>

#define VECTOR_BYTES 128u     /* one HVX vector register in 128-byte mode */
#define GUARD_BYTES 256u      /* least number of guard bytes on each side of a buffer */
#define PAGE_BYTES 65536u     /* QEMU's page size for Hexagon user mode */
#define MAX_CONTEXTS 16u      /* bound on the HVX contexts of any target */

static inline uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/* --- failure.c: reporting ----------------------------------------------------------------- */

/* Exit status of a run that the runtime itself had to give up; see failure() below.  The text on
 * standard error says why.  Mirrored by vrmpy_tune/device/wire.py. */
#define STATUS_RUNTIME_FAILURE 70

/* Write "vrmpy-runtime: <message>" to standard error and leave the process. */
_Noreturn void failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Map zeroed memory, with memory round it that cannot be touched, or fail.  `bytes` is a multiple
 * of PAGE_BYTES. */
uint8_t *map_isolated(uint64_t bytes, const char *purpose);

/* --- pattern.c: known bytes, and finding the first that changed --------------------------- */

/* Prepare the pattern; before anything else here. */
void pattern_create(void);

/* Fill memory with a pattern that no constant or shifted copy matches for long. */
void pattern_fill(uint8_t *memory, uint64_t bytes, uint32_t seed);

/* Offset of the first byte that differs from the pattern, or -1. */
int64_t pattern_mismatch(const uint8_t *memory, uint64_t bytes, uint32_t seed);

/* Offset of the first byte in which `left` and `right` differ, or -1. */
int64_t first_difference(const uint8_t *left, const uint8_t *right, uint64_t bytes);

/* --- faults: what the checks after a call can find ---------------------------------------- */

enum fault_kind { FAULT_NONE = 0, FAULT_BEFORE = 1, FAULT_AFTER = 2, FAULT_INPUT_CHANGED = 3 };
enum buffer_class { CLASS_INPUT = 0, CLASS_OUTPUT = 1, CLASS_WORKSPACE = 2, CLASS_VTCM = 3 };

struct fault {
  uint32_t kind;         /* enum fault_kind */
  uint32_t buffer_class; /* enum buffer_class */
  uint32_t index;        /* argument number, or number of the allocation within the call */
  int64_t offset;        /* bytes from the buffer's first byte; negative before the buffer */
};

/* --- buffers.c: guarded kernel arguments -------------------------------------------------- */

struct buffer {
  uint8_t *region; /* start of the guards */
  uint64_t region_bytes;
  uint8_t *data; /* VECTOR_BYTES-aligned, at least GUARD_BYTES inside the region */
  uint64_t bytes;
};

struct buffer buffer_create(uint64_t bytes);

/* Write fresh guards, and fill the buffer itself with a pattern too. */
void buffer_prepare(const struct buffer *buffer, uint32_t seed);

/* Check the guards written by buffer_prepare with the same seed; true when intact. */
int buffer_check(const struct buffer *buffer, uint32_t seed, struct fault *fault);

/* --- arena.c: TVM workspaces and VTCM ----------------------------------------------------- */

void arenas_create(uint64_t vtcm_bytes);
void arenas_reset(uint32_t seed);      /* before each call */
int arenas_check(struct fault *fault); /* after each call; true when all guards are intact */

/* --- dma.c: the user DMA ------------------------------------------------------------------- */

void dma_reset(void); /* before each call */

/* Fail if a transfer into these bytes was not waited for. */
void dma_release(const uint8_t *data, uint64_t bytes);

/* After a call that returned `status`: fail if a good kernel did not wait for all its transfers. */
void dma_check(int status);

/* --- accounting.c: counters and the model of the HVX contexts ----------------------------- */

struct accounts {
  uint64_t packets_total;
  uint64_t packets_critical;
  uint64_t instructions;
  uint64_t hvx_instructions;
  uint64_t context_packets[MAX_CONTEXTS];
};

typedef int (*kernel_function)(void *self, const TVMFFIAny *arguments, int32_t count,
                               TVMFFIAny *result);

/* Learn what the measuring itself costs, so that it can be subtracted. */
void accounting_create(uint32_t contexts);

/* Call the kernel and account for what it executed. */
int accounting_call(kernel_function kernel, const TVMFFIAny *arguments, int32_t count,
                    struct accounts *accounts);

/* Between these two, what is executed is not charged to the kernel. */
void accounting_pause(void);
void accounting_resume(void);

/* Contexts that execute what is executing: in a parallel region, as many as have a task. */
uint32_t accounting_workers(void);

/* Packets charged to the kernel so far in this call, outside of parallel regions; a network asks
 * between its layers (device/network/executor.c).  Asking is not charged. */
void vrmpy_progress(uint64_t *total, uint64_t *critical);

/* --- marks.c: what plugins are told -------------------------------------------------------- */

void mark(uint32_t what, uint32_t argument); /* MARK_... of marks.h */

/* --- tvm_abi.c: what kernels compiled by TVM refer to ------------------------------------- */

/* Point the function variables that TVM emits into every object at this runtime. */
void tvm_abi_bind(void);

/* The error that the kernel raised since the last clear; never NULL. */
const char *tvm_abi_error(void);
void tvm_abi_clear_error(void);

#endif
