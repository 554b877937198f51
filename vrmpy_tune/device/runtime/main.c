/* Read a job, run the kernel on each input set, write the result. */
#include "runtime.h"
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The linker binds this to the kernel: --defsym=vrmpy_kernel=__tvm_ffi_<name>. */
int vrmpy_kernel(void *self, const TVMFFIAny *arguments, int32_t count, TVMFFIAny *result);

#define MAX_ARGUMENTS 64u
#define STACK_BYTES (16u << 20)

struct argument {
  struct buffer buffer;
  uint64_t job_offset; /* of an input's bytes for the present call */
  DLTensor tensor;
};

static struct job_header job;
static struct tensor_header headers[MAX_ARGUMENTS];
static struct argument arguments[MAX_ARGUMENTS];
static TVMFFIAny values[MAX_ARGUMENTS];
static uint64_t job_cursor; /* how much of the job has been read */

static void read_at(uint64_t offset, void *memory, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t got = pread(STDIN_FILENO, (uint8_t *)memory + done, (size_t)(bytes - done),
                        (off_t)(offset + done));
    if (got > 0) {
      done += (uint64_t)got;
    } else if (got == 0 || errno != EINTR) {
      failure("the job is truncated");
    }
  }
}

static void read_next(void *memory, uint64_t bytes) {
  read_at(job_cursor, memory, bytes);
  job_cursor += bytes;
}

static void write_exactly(const void *memory, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t put = write(STDOUT_FILENO, (const uint8_t *)memory + done, (size_t)(bytes - done));
    if (put > 0) {
      done += (uint64_t)put;
    } else if (put == 0 || errno != EINTR) {
      failure("the result cannot be written");
    }
  }
}

static void prepare_argument(uint32_t index) {
  const struct tensor_header *header = &headers[index];
  struct argument *argument = &arguments[index];
  if (header->ndim > WIRE_MAX_DIMS) {
    failure("argument %u has %u dimensions, more than %u", index, header->ndim, WIRE_MAX_DIMS);
  }
  argument->buffer = buffer_create(header->bytes);
  argument->tensor = (DLTensor){
      .data = argument->buffer.data,
      .device = {kDLCPU, 0},
      .ndim = (int32_t)header->ndim,
      .dtype = {header->dtype_code, header->dtype_bits, header->dtype_lanes},
      .shape = headers[index].shape,
  };
  values[index].type_index = kTVMFFIDLTensorPtr;
  values[index].v_ptr = &argument->tensor;
}

static void read_job(void) {
  read_next(&job, sizeof job);
  if (job.magic != JOB_MAGIC || job.version != WIRE_VERSION) {
    failure("the job is not of version %u of the format", WIRE_VERSION);
  }
  if (job.inputs > MAX_ARGUMENTS || job.outputs > MAX_ARGUMENTS - job.inputs) {
    failure("the kernel has more than %u arguments", MAX_ARGUMENTS);
  }
  if (job.contexts == 0 || job.contexts > MAX_CONTEXTS) {
    failure("%u HVX contexts were asked for, outside 1 to %u", job.contexts, MAX_CONTEXTS);
  }
  uint32_t count = job.inputs + job.outputs;
  read_next(headers, count * sizeof *headers);
  for (uint32_t i = 0; i < count; ++i) {
    prepare_argument(i);
  }
}

/* Patterns differ between arguments and between calls, so that neither a copy of a neighbour nor
 * the output of the previous call can pass for the right bytes. */
static uint32_t seed_of(uint32_t set, uint32_t index) { return set * 91u + index * 29u + 11u; }

static void prepare_call(uint32_t set) {
  for (uint32_t i = 0; i < job.inputs + job.outputs; ++i) {
    buffer_prepare(&arguments[i].buffer, seed_of(set, i));
    if (i < job.inputs) {
      arguments[i].job_offset = job_cursor;
      read_next(arguments[i].buffer.data, arguments[i].buffer.bytes);
    }
  }
  arenas_reset(seed_of(set, MAX_ARGUMENTS));
  dma_reset();
  tvm_abi_clear_error();
}

/* Offset of the first byte of an input that the kernel changed, or -1. */
static int64_t input_change(const struct argument *argument) {
  static uint8_t piece[65536] __attribute__((aligned(128)));
  for (uint64_t done = 0; done < argument->buffer.bytes; done += sizeof piece) {
    uint64_t left = argument->buffer.bytes - done;
    uint64_t bytes = left < sizeof piece ? left : sizeof piece;
    read_at(argument->job_offset + done, piece, bytes);
    int64_t at = first_difference(argument->buffer.data + done, piece, bytes);
    if (at >= 0) {
      return (int64_t)done + at;
    }
  }
  return -1;
}

static int check_call(uint32_t set, struct fault *fault) {
  for (uint32_t i = 0; i < job.inputs + job.outputs; ++i) {
    const struct argument *argument = &arguments[i];
    int is_input = i < job.inputs;
    fault->buffer_class = is_input ? CLASS_INPUT : CLASS_OUTPUT;
    fault->index = is_input ? i : i - job.inputs;
    if (!buffer_check(&argument->buffer, seed_of(set, i), fault)) {
      return 0;
    }
    if (is_input) {
      int64_t at = input_change(argument);
      if (at >= 0) {
        fault->kind = FAULT_INPUT_CHANGED;
        fault->offset = at;
        return 0;
      }
    }
  }
  return arenas_check(fault);
}

/* Returns whether the call was good. */
static int run_set(uint32_t set) {
  prepare_call(set);
  struct accounts accounts;
  int status =
      accounting_call(vrmpy_kernel, values, (int32_t)(job.inputs + job.outputs), &accounts);
  dma_check(status);
  struct fault fault = {0};
  int intact = check_call(set, &fault);
  int good = status == 0 && intact;
  const char *message = status == 0 ? "" : tvm_abi_error();
  struct call_header header = {
      .return_code = status,
      .fault_kind = intact ? FAULT_NONE : fault.kind,
      .fault_class = fault.buffer_class,
      .fault_index = fault.index,
      .fault_offset = fault.offset,
      .packets_total = accounts.packets_total,
      .packets_critical = accounts.packets_critical,
      .instructions = accounts.instructions,
      .hvx_instructions = accounts.hvx_instructions,
      .message_bytes = (uint32_t)strlen(message),
      .has_outputs = (uint32_t)good,
  };
  memcpy(header.context_packets, accounts.context_packets, sizeof header.context_packets);
  write_exactly(&header, sizeof header);
  write_exactly(message, header.message_bytes);
  for (uint32_t i = job.inputs; good && i < job.inputs + job.outputs; ++i) {
    write_exactly(arguments[i].buffer.data, arguments[i].buffer.bytes);
  }
  return good;
}

static void run_job(void) {
  static const uint32_t magic = RESULT_MAGIC;
  static const uint32_t end = RESULT_END;
  pattern_create();
  read_job();
  arenas_create(job.vtcm_bytes);
  accounting_create(job.contexts);
  tvm_abi_bind();
  write_exactly(&magic, sizeof magic);
  for (uint32_t set = 0; set < job.sets; ++set) {
    if (!run_set(set)) {
      break; /* the job has failed, and memory can no longer be trusted */
    }
  }
  write_exactly(&end, sizeof end);
}

/* Call `body` on another stack.  r30 survives the call, since every function that changes it
 * restores it. */
void call_on_stack(void (*body)(void), void *stack_top);
__asm__(
    "\t.text\n"
    "\t.p2align 4\n"
    "\t.globl call_on_stack\n"
    "\t.type call_on_stack,@function\n"
    "call_on_stack:\n"
    "\tallocframe(#0)\n"
    "\tr29 = r1\n"
    "\tcallr r0\n"
    "\tr29 = r30\n"
    "\tdealloc_return\n"
    "\t.size call_on_stack, .-call_on_stack\n");

int main(void) {
  /* Not the stack that the system gave: only this one has memory below it in which an overflow is
   * sure to crash. */
  call_on_stack(run_job, map_isolated(STACK_BYTES, "the stack") + STACK_BYTES);
  return 0;
}
