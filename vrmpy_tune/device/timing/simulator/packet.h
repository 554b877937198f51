/* What the timing of a packet depends on, read from the text that QEMU prints for it. */
#ifndef VRMPY_PACKET_H
#define VRMPY_PACKET_H

#include <stddef.h>
#include <stdint.h>

/* Registers by number: r0-r31, then p0-p3, v0-v31, q0-q3. */
enum register_base { REG_R = 0, REG_P = 32, REG_V = 36, REG_Q = 68, REG_COUNT = 72 };

#define MAX_OPERANDS 48

/* How long after the packet that writes a register another one may read it. */
enum result_kind {
  RESULT_PLAIN,       /* in the next packet, and by an early source one packet later */
  RESULT_SCALAR_LOAD, /* after a stall */
  RESULT_MULTIPLY,    /* scalar multiplier: after a stall */
};

struct read {
  uint8_t number;
  uint8_t early; /* needed at the start of the vector pipeline */
};

struct write {
  uint8_t number;
  uint8_t kind; /* enum result_kind */
};

struct packet {
  uint32_t address;
  uint8_t read_count;
  uint8_t write_count;
  uint8_t has_vector_access;
  uint8_t has_scalar_access;
  uint8_t has_unaligned_access; /* a vmemu, which has its packet to itself */
  struct read reads[MAX_OPERANDS];
  struct write writes[MAX_OPERANDS];
};

/* Fill `packet` from `length` characters of text. */
void packet_decode(struct packet *packet, uint32_t address, const char *text, size_t length);

#endif
