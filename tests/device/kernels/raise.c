/* Raises an error in the way that the argument checks of a TVM kernel do. */
#include "kernel.h"

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count);

KERNEL {
  UNUSED;
  const char *parts[] = {"Mismatched ", "A.shape[0]", " on argument #0"};
  TVMFFIErrorSetRaisedFromCStrParts("ValueError", parts, 3);
  return -1;
}
