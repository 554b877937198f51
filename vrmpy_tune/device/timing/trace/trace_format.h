/* The trace of one kernel call: 64-bit little-endian words, in the order of execution.
 *
 * The top 4 bits of a word are its kind, the rest depends on it:
 *
 *   BLOCK   bits 0-31 number of a block of packets that begins to execute
 *   LOAD, STORE
 *           bits 0-31 address, 32-43 packet within the block, 44-51 bytes (1 to 128)
 *   MARK    bits 0-31 argument, 32-39 what the runtime announced (runtime/marks.h)
 *   DEFINE  bits 0-31 number of a block, 32-47 packets in it.  For each packet follow a word with its
 *           address (bits 0-31) and the length of its text (bits 32-47), then the text, padded with
 *           zero bytes to whole words.  A block is defined before it executes.
 *   END     the last word; a trace without it was cut
 */
#ifndef VRMPY_TRACE_FORMAT_H
#define VRMPY_TRACE_FORMAT_H

#include <stdint.h>

#define TRACE_MAGIC 0x3130454341525456ull /* "VTRACE01" */

enum trace_kind {
  TRACE_BLOCK = 1,
  TRACE_LOAD = 2,
  TRACE_STORE = 3,
  TRACE_MARK = 4,
  TRACE_DEFINE = 5,
  TRACE_END = 6,
};

#define TRACE_KIND_SHIFT 60
#define TRACE_PACKET_SHIFT 32
#define TRACE_PACKET_MASK 0xfffu
#define TRACE_BYTES_SHIFT 44
#define TRACE_BYTES_MASK 0xffu
#define TRACE_MARK_SHIFT 32
#define TRACE_COUNT_SHIFT 32

#endif
