/* The table of a network, and what runs it.
 *
 * vrmpy_tune/model/tables.py writes the table as C; together with the kernels and executor.c it is
 * one object that defines __tvm_ffi_main, so that a network runs wherever a kernel does.
 *
 * Arguments of that function: the parameters as bytes, the inputs, the outputs, and the counters,
 * two int64 for each layer: packets in all, and packets on the critical path.
 */
#ifndef VRMPY_NETWORK_H
#define VRMPY_NETWORK_H

#include <stdint.h>

#include <tvm/ffi/c_api.h>

#define NETWORK_MAX_OPERANDS 16u /* arguments of one kernel */

enum network_place { PLACE_PARAMETERS = 0, PLACE_ARENA = 1, PLACE_ARGUMENT = 2 };

/* Where a tensor's bytes are, and how one kernel sees them. */
struct network_tensor {
  uint8_t place; /* enum network_place */
  uint8_t dtype_code, dtype_bits;
  uint8_t ndim;
  uint32_t first_extent; /* index into the extents */
  uint32_t offset;       /* bytes from the place's begin; the argument's number for an argument */
};

typedef int (*network_kernel)(void *self, const TVMFFIAny *arguments, int32_t count,
                              TVMFFIAny *result);

struct network_layer {
  network_kernel kernel;
  uint32_t first_tensor; /* its arguments are consecutive */
  uint32_t tensor_count;
};

struct network {
  const struct network_layer *layers;
  uint32_t layer_count;
  const struct network_tensor *tensors;
  const int64_t *extents;
  uint32_t arguments;
  uint64_t parameter_bytes;
  uint64_t arena_bytes;
};

/* Run every layer in order; returns 0, or what the first kernel that failed returned. */
int network_run(const struct network *network, const TVMFFIAny *arguments, int32_t count);

#endif
