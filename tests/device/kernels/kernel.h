/* What every test kernel shares: the signature that TVM compiles, and its arguments. */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <stdint.h>
#include <string.h>
#include <tvm/ffi/c_api.h>

#define KERNEL                                                                              \
  int __tvm_ffi_main(void *self, const TVMFFIAny *arguments, int32_t argument_count,         \
                      TVMFFIAny *result)

#define UNUSED (void)self, (void)arguments, (void)argument_count, (void)result

static inline DLTensor *tensor(const TVMFFIAny *arguments, int index) {
  return (DLTensor *)arguments[index].v_ptr;
}

static inline uint8_t *bytes(const TVMFFIAny *arguments, int index) {
  return (uint8_t *)tensor(arguments, index)->data;
}

static inline int64_t length(const TVMFFIAny *arguments, int index) {
  const DLTensor *argument = tensor(arguments, index);
  int64_t elements = 1;
  for (int32_t i = 0; i < argument->ndim; ++i) {
    elements *= argument->shape[i];
  }
  return elements;
}

KERNEL;

#endif
