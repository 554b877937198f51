/* Simulates traces: main <trace>... reads sets of parameters from standard input, one a line, as
 * "name=value ..." with whole numbers, and answers each with one line for every trace:
 *
 *   <ticks> <packets> <part>=<ticks>... l1_misses=<n> l2_misses=<n> system_cache_misses=<n>
 *
 * and behind that, for every time that a network was before or behind one of its layers,
 * at=<ticks>,<ticks of each part>,... until then.
 */
#include "machine.h"
#include "replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  const char *name;
  size_t offset;
} const names[] = {
#define NAME(name) {#name, offsetof(struct parameters, name)},
    FOR_EACH_PARAMETER(NAME)
#undef NAME
};

#define NAME_COUNT (sizeof names / sizeof *names)

static _Noreturn void fail(const char *what, const char *which) {
  fprintf(stderr, "vrmpy simulator: %s %s\n", what, which);
  exit(EXIT_FAILURE);
}

static void read_parameters(char *line, struct parameters *parameters) {
  size_t given = 0;
  for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
    char *value = strchr(word, '=');
    if (value == NULL) {
      fail("no value of", word);
    }
    *value++ = '\0';
    size_t i = 0;
    while (i < NAME_COUNT && strcmp(names[i].name, word) != 0) {
      ++i;
    }
    if (i == NAME_COUNT) {
      fail("unknown parameter", word);
    }
    *(int64_t *)((char *)parameters + names[i].offset) = strtoll(value, NULL, 10);
    ++given;
  }
  if (given != NAME_COUNT || parameters->contexts < 1 || parameters->contexts > MAX_CONTEXTS) {
    fail("parameters are missing or out of range", "");
  }
}

static void print_result(const struct result *result, uint64_t checkpoint_count) {
  printf("%" PRId64 " %" PRIu64, result->ticks, result->packets);
#define PRINT(name) printf(" " #name "=%" PRId64, result->parts.name);
  FOR_EACH_PART(PRINT)
#undef PRINT
  printf(" l1_misses=%" PRIu64 " l2_misses=%" PRIu64 " system_cache_misses=%" PRIu64,
         result->l1_misses, result->l2_misses, result->system_cache_misses);
  for (uint64_t i = 0; i < checkpoint_count; ++i) {
    const struct checkpoint *checkpoint = &result->checkpoints[i];
    printf(" at=%" PRId64, checkpoint->ticks);
#define PRINT(name) printf(",%" PRId64, checkpoint->parts.name);
    FOR_EACH_PART(PRINT)
#undef PRINT
  }
  putchar('\n');
}

int main(int argc, char **argv) {
  int count = argc - 1;
  struct trace *traces = calloc((size_t)count + 1, sizeof *traces);
  for (int i = 0; i < count; ++i) {
    const char *problem = trace_load(&traces[i], argv[i + 1]);
    if (problem != NULL) {
      fail(problem, argv[i + 1]);
    }
  }
  char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    struct parameters parameters = {0};
    read_parameters(line, &parameters);
    for (int i = 0; i < count; ++i) {
      struct result result = {0};
      result.checkpoints = calloc(traces[i].checkpoint_count + 1, sizeof *result.checkpoints);
      if (result.checkpoints == NULL) {
        fail("no memory for", argv[i + 1]);
      }
      replay(&traces[i], &parameters, &result);
      print_result(&result, traces[i].checkpoint_count);
      free(result.checkpoints);
    }
    fflush(stdout);
  }
  return 0;
}
