/* Runs TASKS tasks, each of which brings its share of the bytes into EACH bytes of VTCM, and from there
 * to the output; without -DWAIT, no task waits for its transfer. */
#include "parallel.h"

void *vrmpy_vtcm_alloc_shared(uint64_t bytes);
void vrmpy_vtcm_free_shared(void *data);
int vrmpy_dma_copy(int queue, void *to, const void *from, int bytes);
int vrmpy_dma_wait(int queue, int in_flight);

struct closure {
  const uint8_t *input;
  uint8_t *output;
  int share;
};

static int move_share(int task, Environment *environment, void *data) {
  (void)environment;
  const struct closure *closure = data;
  int at = task * closure->share;
  uint8_t *vtcm = vrmpy_vtcm_alloc_shared(EACH);
  vrmpy_dma_copy(0, vtcm, closure->input + at, closure->share);
#ifdef WAIT
  vrmpy_dma_wait(0, 0);
#endif
  memcpy(closure->output + at, vtcm, (size_t)closure->share);
  vrmpy_vtcm_free_shared(vtcm);
  return 0;
}

KERNEL {
  UNUSED;
  struct closure closure = {bytes(arguments, 0), bytes(arguments, 1),
                            (int)length(arguments, 0) / TASKS};
  return __TVMBackendParallelLaunch(move_share, &closure, TASKS);
}
