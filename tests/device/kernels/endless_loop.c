/* Never returns. */
#include "kernel.h"

KERNEL {
  UNUSED;
  for (volatile int i = 0;; ++i) {
  }
}
