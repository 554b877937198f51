/* Reading of a packet's text: which registers its instructions read and write, and how early.
 *
 * Rules for vectors are those of the Hexagon HVX Programmer's Reference Manuals (V66, 80-N2040-44;
 * V68, 80-N2040-47), section "Instruction latency": multiplier inputs, inputs of shifts and
 * permutes, and the data of an unaligned store are early sources; accumulators, inputs of the
 * adders and the data of an aligned store are not.
 */
#include "packet.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Vector instructions that use the adders alone; every other one multiplies, shifts or permutes. */
static const char *const late[] = {"vadd",  "vsub",  "vand",   "vor",     "vxor",     "vnot",
                                   "vmux",  "vmin",  "vmax",   "vavg",    "vnavg",    "vabs",
                                   "vcmp",  "vsat",  "vswap",  "vcombine", "vabsdiff", "vassign",
                                   "vmem",  "vsetq", "vsplat", "and",     "or",       "not", "xor"};

static bool starts_with(const char *text, const char *end, const char *prefix) {
  size_t length = strlen(prefix);
  return (size_t)(end - text) >= length && memcmp(text, prefix, length) == 0;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Whether the operation named at `text` takes its vector operands late. */
static bool is_late(const char *text, const char *end) {
  size_t length = 0;
  while (text + length < end && is_word(text[length])) {
    ++length;
  }
  for (size_t i = 0; i < sizeof late / sizeof *late; ++i) {
    if (strlen(late[i]) == length && memcmp(text, late[i], length) == 0) {
      return true;
    }
  }
  return false;
}

struct register_name {
  int base;
  int low;
  int high;
  const char *behind;
  bool is_new; /* .new: produced by the same packet */
  bool is_loaded; /* .cur, .tmp: loaded by the same packet */
};

/* Read the register at `text`, such as r3, v1:0, p0.new; false if there is none. */
static bool read_register(const char *text, const char *end, struct register_name *name) {
  int base;
  int count;
  switch (*text) {
  case 'r': base = REG_R, count = 32; break;
  case 'p': base = REG_P, count = 4; break;
  case 'v': base = REG_V, count = 32; break;
  case 'q': base = REG_Q, count = 4; break;
  default: return false;
  }
  const char *at = text + 1;
  if (at == end || !isdigit((unsigned char)*at)) {
    return false;
  }
  int numbers[2] = {0, 0};
  int given = 0;
  for (;;) {
    while (at < end && isdigit((unsigned char)*at)) {
      numbers[given] = numbers[given] * 10 + (*at++ - '0');
    }
    if (++given == 2 || at + 1 >= end || *at != ':' || !isdigit((unsigned char)at[1])) {
      break;
    }
    ++at;
  }
  if (given == 1) {
    numbers[1] = numbers[0];
  }
  if (numbers[0] >= count || numbers[1] >= count || numbers[1] > numbers[0]) {
    return false;
  }
  *name = (struct register_name){base, numbers[1], numbers[0], at, starts_with(at, end, ".new"),
                                 starts_with(at, end, ".cur") || starts_with(at, end, ".tmp")};
  return true;
}

static void add_reads(struct packet *packet, const struct register_name *name, bool early) {
  for (int r = name->low; r <= name->high && packet->read_count < MAX_OPERANDS; ++r) {
    packet->reads[packet->read_count++] = (struct read){(uint8_t)(name->base + r), early};
  }
}

static void add_writes(struct packet *packet, const struct register_name *name,
                       enum result_kind kind) {
  for (int r = name->low; r <= name->high && packet->write_count < MAX_OPERANDS; ++r) {
    packet->writes[packet->write_count++] = (struct write){(uint8_t)(name->base + r), kind};
  }
}

/* Add all registers between `text` and `end` as reads; addresses with ++ are written too. */
static void scan_reads(struct packet *packet, const char *text, const char *end, bool early) {
  for (const char *at = text; at < end;) {
    struct register_name name;
    bool begins = at == text || !is_word(at[-1]);
    if (begins && at[0] != '#' && read_register(at, end, &name) &&
        (name.behind == end || !is_word(*name.behind))) {
      if (!name.is_new) {
        add_reads(packet, &name, early && name.base == REG_V);
      }
      if (starts_with(name.behind, end, "++")) {
        add_writes(packet, &name, RESULT_PLAIN);
      }
      at = name.behind;
    } else {
      ++at;
    }
  }
}

/* The first '=' outside of parentheses that assigns, or NULL. */
static const char *find_assignment(const char *text, const char *end) {
  int depth = 0;
  for (const char *at = text; at < end; ++at) {
    depth += *at == '(';
    depth -= *at == ')';
    if (*at == '=' && depth == 0) {
      return at;
    }
  }
  return NULL;
}

static void decode_condition(struct packet *packet, const char **text, const char *end) {
  if (!starts_with(*text, end, "if (")) {
    return;
  }
  const char *at = *text + 3;
  int depth = 0;
  do {
    depth += *at == '(';
    depth -= *at == ')';
    ++at;
  } while (at < end && depth > 0);
  scan_reads(packet, *text, at, false);
  while (at < end && *at == ' ') {
    ++at;
  }
  *text = at;
}

static void decode_store(struct packet *packet, const char *text, const char *assignment,
                         const char *end) {
  bool unaligned = starts_with(text, end, "vmemu");
  scan_reads(packet, text, assignment, false);
  scan_reads(packet, assignment, end, unaligned);
}

static void decode_result(struct packet *packet, const char *text, const char *assignment,
                          const char *end) {
  const char *source = assignment + 1;
  while (source < end && (*source == ' ' || *source == '!')) {
    ++source;
  }
  bool is_load = starts_with(source, end, "mem") || starts_with(source, end, "dealloc");
  bool accumulates = assignment > text && strchr("+-|&^", assignment[-1]) != NULL;
  bool is_move = source < end && source[0] == 'v' && isdigit((unsigned char)source[1]);
  bool early = !is_move && !is_late(source, end);
  enum result_kind kind = is_load                                      ? RESULT_SCALAR_LOAD
                          : starts_with(source, end, "mpy") ||
                                    starts_with(source, end, "dmpy")
                              ? RESULT_MULTIPLY
                              : RESULT_PLAIN;
  for (const char *at = text; at < assignment;) {
    struct register_name name;
    if ((at == text || !is_word(at[-1])) && read_register(at, assignment, &name)) {
      if (accumulates) {
        add_reads(packet, &name, false);
      }
      add_writes(packet, &name, name.base == REG_R ? kind : RESULT_PLAIN);
      at = name.behind;
    } else {
      ++at;
    }
  }
  scan_reads(packet, source, end, early);
}

static void note_accesses(struct packet *packet, const char *text, const char *end) {
  for (const char *at = text; at + 3 < end; ++at) {
    if (memcmp(at, "mem", 3) == 0) {
      bool is_vector = at > text && at[-1] == 'v';
      packet->has_vector_access |= is_vector;
      packet->has_scalar_access |= !is_vector;
      packet->has_unaligned_access |= is_vector && at[3] == 'u';
    }
  }
}

static void decode_instruction(struct packet *packet, const char *text, const char *end) {
  note_accesses(packet, text, end);
  decode_condition(packet, &text, end);
  const char *assignment = find_assignment(text, end);
  if (assignment == NULL) {
    scan_reads(packet, text, end, false);
  } else if (starts_with(text, end, "mem") || starts_with(text, end, "vmem")) {
    decode_store(packet, text, assignment, end);
  } else {
    decode_result(packet, text, assignment, end);
  }
}

/* Registers that the packet itself loads for its other instructions are no waiting. */
static void drop_loaded(struct packet *packet, const char *text, const char *end) {
  for (const char *at = text; at < end; ++at) {
    struct register_name name;
    if ((at == text || !is_word(at[-1])) && read_register(at, end, &name) && name.is_loaded) {
      uint8_t kept = 0;
      for (uint8_t i = 0; i < packet->read_count; ++i) {
        if (packet->reads[i].number != name.base + name.low) {
          packet->reads[kept++] = packet->reads[i];
        }
      }
      packet->read_count = kept;
    }
  }
}

/* Where the text of an instruction begins: behind QEMU's address, encoding and braces. */
static const char *skip_columns(const char *text, const char *end) {
  for (const char *at = text; at + 1 < end; ++at) {
    if (*at == '\t') {
      text = at + 1;
    }
  }
  while (text < end && (*text == '{' || *text == ' ' || *text == '\t')) {
    ++text;
  }
  return text;
}

void packet_decode(struct packet *packet, uint32_t address, const char *text, size_t length) {
  char lower[4096];
  memset(packet, 0, sizeof *packet);
  packet->address = address;
  if (length > sizeof lower) {
    length = sizeof lower;
  }
  for (size_t i = 0; i < length; ++i) {
    lower[i] = (char)tolower((unsigned char)text[i]);
  }
  const char *end = lower + length;
  for (const char *line = lower; line < end;) {
    const char *line_end = memchr(line, '\n', (size_t)(end - line));
    line_end = line_end ? line_end : end;
    for (const char *at = skip_columns(line, line_end); at < line_end;) {
      const char *stop = at;
      while (stop < line_end && *stop != ';' && *stop != '}') {
        ++stop;
      }
      while (at < stop && *at == ' ') {
        ++at;
      }
      decode_instruction(packet, at, stop);
      at = stop + (stop < line_end);
      if (stop < line_end && *stop == '}') {
        break;
      }
    }
    line = line_end + 1;
  }
  drop_loaded(packet, lower, end);
}
