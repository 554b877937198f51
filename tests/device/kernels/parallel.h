/* What kernels with parallel regions share. */
#ifndef TEST_PARALLEL_H
#define TEST_PARALLEL_H

#include "kernel.h"

typedef struct {
  void *sync_handle;
  int32_t num_task;
} Environment;

typedef int (*Task)(int task, Environment *environment, void *closure);

/* As TVM emits them: a pointer variable that the runtime fills in. */
__attribute__((weak)) int (*__TVMBackendParallelLaunch)(Task body, void *closure, int tasks);

#endif
