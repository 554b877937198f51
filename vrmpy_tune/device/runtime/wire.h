/* Job and result as they cross the process boundary.  Mirrored by vrmpy_tune/device/wire.py.
 *
 * All numbers are little-endian, and every structure is laid out without implicit padding.
 *
 *   job    = job_header, (inputs + outputs) x tensor_header, sets x (bytes of each input in order)
 *   result = result_magic, then per set: call_header, message, and, if the call was good, the bytes
 *            of each output in order; result_end after the last set.  Anything shorter is a crash.
 */
#ifndef VRMPY_WIRE_H
#define VRMPY_WIRE_H

#include <stdint.h>

#define WIRE_VERSION 1u
#define JOB_MAGIC 0x4a4d5256u    /* "VRMJ" */
#define RESULT_MAGIC 0x524d5256u /* "VRMR" */
#define RESULT_END 0x454d5256u   /* "VRME" */
#define WIRE_MAX_DIMS 8u
#define WIRE_MAX_CONTEXTS 16u

struct job_header {
  uint32_t magic;
  uint32_t version;
  uint32_t contexts;
  uint32_t inputs;
  uint32_t outputs;
  uint32_t sets;
  uint64_t vtcm_bytes;
};

struct tensor_header {
  uint8_t dtype_code; /* DLDataTypeCode */
  uint8_t dtype_bits;
  uint16_t dtype_lanes;
  uint32_t ndim;
  uint64_t bytes;
  int64_t shape[WIRE_MAX_DIMS];
};

struct call_header {
  int32_t return_code;
  uint32_t fault_kind;
  uint32_t fault_class;
  uint32_t fault_index;
  int64_t fault_offset;
  uint64_t packets_total;
  uint64_t packets_critical;
  uint64_t instructions;
  uint64_t hvx_instructions;
  uint64_t context_packets[WIRE_MAX_CONTEXTS];
  uint32_t message_bytes;
  uint32_t has_outputs;
};

_Static_assert(sizeof(struct job_header) == 32, "job_header has padding");
_Static_assert(sizeof(struct tensor_header) == 80, "tensor_header has padding");
_Static_assert(sizeof(struct call_header) == 192, "call_header has padding");

#endif
