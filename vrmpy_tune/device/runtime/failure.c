/* Leaving the process with a reason, and memory from the system. */
#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

_Noreturn void failure(const char *format, ...) {
  char text[512];
  int used = snprintf(text, sizeof text, "vrmpy-runtime: ");
  va_list arguments;
  va_start(arguments, format);
  int more = vsnprintf(text + used, sizeof text - (size_t)used - 1, format, arguments);
  va_end(arguments);
  size_t length = (size_t)used + (more > 0 ? (size_t)more : 0);
  if (length > sizeof text - 2) {
    length = sizeof text - 2;
  }
  text[length] = '\n';
  /* Nothing can be done about a failing write here: the exit status still tells. */
  ssize_t ignored = write(STDERR_FILENO, text, length + 1);
  (void)ignored;
  _exit(STATUS_RUNTIME_FAILURE);
}

/* On each side: more than any frame of a kernel, and than the distance of most wild stores. */
#define ISOLATION_BYTES (1u << 20)

uint8_t *map_isolated(uint64_t bytes, const char *purpose) {
  uint64_t all = bytes + 2 * (uint64_t)ISOLATION_BYTES;
  uint8_t *memory = MAP_FAILED;
  if (all <= SIZE_MAX) {
    memory = mmap(NULL, (size_t)all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (memory == MAP_FAILED ||
      mprotect(memory + ISOLATION_BYTES, (size_t)bytes, PROT_READ | PROT_WRITE) != 0) {
    failure("out of memory: cannot map %llu bytes for %s", (unsigned long long)bytes, purpose);
  }
  return memory + ISOLATION_BYTES;
}
