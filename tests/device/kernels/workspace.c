/* Copies through memory that it allocates, and stores OFFSET bytes from the start of the second
 * allocation of the workspace (or of VTCM, with -DVTCM). */
#include "kernel.h"

#ifdef VTCM
void *vrmpy_vtcm_alloc(uint64_t bytes);
void vrmpy_vtcm_free(void *data);
static void *allocate(uint64_t count) { return vrmpy_vtcm_alloc(count); }
static void release(void *data) { vrmpy_vtcm_free(data); }
#else
__attribute__((weak)) void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int);
__attribute__((weak)) int (*__TVMBackendFreeWorkspace)(int, int, void *);
static void *allocate(uint64_t count) { return __TVMBackendAllocWorkspace(1, 0, count, 1, 8); }
static void release(void *data) { __TVMBackendFreeWorkspace(1, 0, data); }
#endif

KERNEL {
  UNUSED;
  size_t count = (size_t)length(arguments, 0);
  uint8_t *first = allocate(count * (SCALE));
  uint8_t *second = allocate(count);
  if (((uintptr_t)first | (uintptr_t)second) % 128 != 0) {
    return -2;
  }
  memcpy(first, bytes(arguments, 0), count);
  memcpy(second, first, count);
  volatile uint8_t *target = second + (OFFSET);
  *target = (uint8_t)(*target + 1);
  memcpy(bytes(arguments, 1), second, count);
  release(REVERSED ? first : second);
  release(REVERSED ? second : first);
  return 0;
}
