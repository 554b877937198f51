/* Marks in the execution, for QEMU plugins. */
#include "marks.h"

#include "runtime.h"

#include <unistd.h>

void mark(uint32_t what, uint32_t argument) { syscall(MARK_SYSCALL, what, argument); }
