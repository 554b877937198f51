/* Runs TASKS tasks, each of which adds one to its share of the bytes; task 0 does so twice. */
#include "parallel.h"

struct closure {
  const uint8_t *input;
  uint8_t *output;
  int64_t length;
};

static int add_share(int task, Environment *environment, void *data) {
  const struct closure *closure = data;
  int64_t share = closure->length / environment->num_task;
  for (int round = task == 0 ? 0 : 1; round < 2; ++round) {
    for (int64_t i = task * share; i < (task + 1) * share; ++i) {
      *(volatile uint8_t *)&closure->output[i] = (uint8_t)(closure->input[i] + 1);
    }
  }
  return 0;
}

#ifdef NESTED
static int launch_inner(int task, Environment *environment, void *data) {
  (void)environment;
  return task == 0 ? __TVMBackendParallelLaunch(add_share, data, TASKS) : 0;
}
#endif

KERNEL {
  UNUSED;
  struct closure closure = {bytes(arguments, 0), bytes(arguments, 1), length(arguments, 0)};
#ifdef NESTED
  return __TVMBackendParallelLaunch(launch_inner, &closure, 2);
#else
  return __TVMBackendParallelLaunch(add_share, &closure, TASKS);
#endif
}
