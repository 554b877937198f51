/* The functions that an object compiled by TVM refers to.
 *
 * TVM emits pointer variables such as __TVMBackendAllocWorkspace into every object and calls
 * through them.  An object has only those that it uses, hence the weak references.  What a single
 * kernel never needs (calls into other modules) is answered with an error, not a null pointer.
 */
#include "runtime.h"

#include <stdio.h>
#include <string.h>

static char error_text[4096];

const char *tvm_abi_error(void) { return error_text; }

void tvm_abi_clear_error(void) { error_text[0] = '\0'; }

static void append(const char *text) {
  if (text != NULL) {
    size_t used = strlen(error_text);
    snprintf(error_text + used, sizeof error_text - used, "%s", text);
  }
}

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  tvm_abi_clear_error();
  append(kind);
  append(": ");
  for (int32_t i = 0; i < count; ++i) {
    append(parts[i]);
  }
}

void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) {
  TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

int TVMFFIFunctionCall(TVMFFIObjectHandle function, TVMFFIAny *arguments, int32_t count,
                       TVMFFIAny *result) {
  (void)function, (void)arguments, (void)count, (void)result;
  TVMFFIErrorSetRaisedFromCStr("RuntimeError",
                               "the kernel calls a packed function, and the device has none");
  return -1;
}

int TVMFFIEnvModLookupFromImports(TVMFFIObjectHandle library, const char *name,
                                  TVMFFIObjectHandle *function) {
  (void)library, (void)function;
  const char *parts[] = {"the kernel looks up the function '", name, "', and the device has none"};
  TVMFFIErrorSetRaisedFromCStrParts("RuntimeError", parts, 3);
  return -1;
}

int TVMFFIHandleInitOnce(void **handle, int (*initialize)(void **handle)) {
  return *handle != NULL ? 0 : initialize(handle);
}

/* Tasks run one after another (accounting.c), so none can wait for a later one. */
static int parallel_barrier(int task, void *environment) {
  (void)task, (void)environment;
  TVMFFIErrorSetRaisedFromCStr("RuntimeError",
                               "the kernel waits at a barrier, which the device does not model");
  return -1;
}

void *TVMBackendAllocWorkspace(int, int, uint64_t, int, int);
int TVMBackendFreeWorkspace(int, int, void *);
int TVMBackendParallelLaunch(void *, void *, int);

#define FOR_EACH_VARIABLE(apply)                                          \
  apply(__TVMBackendAllocWorkspace, TVMBackendAllocWorkspace)             \
  apply(__TVMBackendFreeWorkspace, TVMBackendFreeWorkspace)               \
  apply(__TVMBackendParallelLaunch, TVMBackendParallelLaunch)             \
  apply(__TVMBackendParallelBarrier, parallel_barrier)                    \
  apply(__TVMFFIErrorSetRaisedFromCStr, TVMFFIErrorSetRaisedFromCStr)     \
  apply(__TVMFFIErrorSetRaisedFromCStrParts, TVMFFIErrorSetRaisedFromCStrParts) \
  apply(__TVMFFIFunctionCall, TVMFFIFunctionCall)                         \
  apply(__TVMFFIEnvModLookupFromImports, TVMFFIEnvModLookupFromImports)   \
  apply(__TVMFFIHandleInitOnce, TVMFFIHandleInitOnce)

#define DECLARE(variable, function) extern void *variable __attribute__((weak));
FOR_EACH_VARIABLE(DECLARE)

void tvm_abi_bind(void) {
#define BIND(variable, function) \
  if (&(variable) != NULL) {     \
    (variable) = (void *)(function); \
  }
  FOR_EACH_VARIABLE(BIND)
}
