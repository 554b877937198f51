/* Counters, and the model of the target's HVX contexts.
 *
 * QEMU counts executed packets, instructions and HVX instructions in control registers c20, c21 and
 * c22.  The assembler refuses these names, hence the encoded `r0 = c20` and so on.
 *
 * Tasks of a parallel region run one after another on the one thread, which makes counts
 * deterministic.  Each task's packets are counted, and the task is placed on the context that has
 * least to do so far, in task order.  The critical path is all that is serial plus, for every
 * region, its busiest context.
 */
#include "marks.h"
#include "runtime.h"

struct counters {
  uint64_t packets;
  uint64_t instructions;
  uint64_t hvx;
};

#define READ_COUNTER(name, word)                            \
  static inline uint32_t name(void) {                       \
    register uint32_t value __asm__("r0");                  \
    __asm__ volatile(".word " word : "=r"(value)::"memory"); \
    return value;                                           \
  }
READ_COUNTER(read_packets, "0x6a14c000")
READ_COUNTER(read_instructions, "0x6a15c000")
READ_COUNTER(read_hvx, "0x6a16c000")

static struct counters excluded; /* executed, but not charged to the kernel */
static struct counters call_start;
static struct counters paused_at;
static struct counters call_cost; /* what measuring an empty kernel reads */
static struct counters task_cost; /* what measuring an empty task reads */

static uint32_t contexts = 1;
static int parallel_tasks; /* of the region that runs; 0 outside */
static uint64_t parallel_packets; /* all tasks of the call together */
static uint64_t parallel_critical; /* the busiest context of each region, added up */
static uint64_t parallel_load[MAX_CONTEXTS];

static inline struct counters read_counters(void) {
  return (struct counters){read_packets(), read_instructions(), read_hvx()};
}

/* Raw counters are 32 bits wide and may wrap once in between. */
static struct counters since(struct counters start, struct counters end) {
  return (struct counters){(uint32_t)(end.packets - start.packets),
                           (uint32_t)(end.instructions - start.instructions),
                           (uint32_t)(end.hvx - start.hvx)};
}

static struct counters plus(struct counters a, struct counters b) {
  return (struct counters){a.packets + b.packets, a.instructions + b.instructions, a.hvx + b.hvx};
}

static struct counters minus(struct counters a, struct counters b) {
  return (struct counters){a.packets - b.packets, a.instructions - b.instructions, a.hvx - b.hvx};
}

void accounting_pause(void) { paused_at = read_counters(); }

void accounting_resume(void) { excluded = plus(excluded, since(paused_at, read_counters())); }

/* --- parallel regions -------------------------------------------------------------------- */

/* Layouts of tvm/runtime/c_backend_api.h, which itself needs C++. */
typedef struct {
  void *sync_handle;
  int32_t num_task;
} TVMParallelGroupEnv;

typedef int (*FTVMParallelLambda)(int task, TVMParallelGroupEnv *environment, void *closure);

/* Run one task; `cost` gets what it executed, without what was excluded meanwhile. */
static __attribute__((noinline)) int run_task(FTVMParallelLambda body, int task,
                                              TVMParallelGroupEnv *environment, void *closure,
                                              struct counters *cost) {
  struct counters excluded_before = excluded;
  mark(MARK_TASK_BEGIN, (uint32_t)task);
  struct counters start = read_counters();
  int status = body(task, environment, closure);
  struct counters end = read_counters();
  mark(MARK_TASK_END, (uint32_t)task);
  *cost = minus(minus(since(start, end), task_cost), minus(excluded, excluded_before));
  return status;
}

static uint32_t least_loaded(const uint64_t *load) {
  uint32_t best = 0;
  for (uint32_t c = 1; c < contexts; ++c) {
    if (load[c] < load[best]) {
      best = c;
    }
  }
  return best;
}

static int run_nested(FTVMParallelLambda body, void *closure, TVMParallelGroupEnv *environment) {
  int status = 0;
  for (int task = 0; task < environment->num_task && status == 0; ++task) {
    status = body(task, environment, closure);
  }
  return status;
}

int TVMBackendParallelLaunch(FTVMParallelLambda body, void *closure, int num_task) {
  struct counters start = read_counters();
  struct counters excluded_before = excluded;
  TVMParallelGroupEnv environment = {NULL, num_task > 0 ? num_task : (int32_t)contexts};
  if (parallel_tasks > 0) {
    return run_nested(body, closure, &environment); /* its context has but one thread */
  }
  parallel_tasks += environment.num_task;
  uint64_t load[MAX_CONTEXTS] = {0};
  struct counters tasks = {0, 0, 0};
  int status = 0;
  for (int task = 0; task < environment.num_task && status == 0; ++task) {
    struct counters cost;
    status = run_task(body, task, &environment, closure, &cost);
    load[least_loaded(load)] += cost.packets;
    tasks = plus(tasks, cost);
  }
  parallel_tasks -= environment.num_task;
  uint64_t busiest = 0;
  for (uint32_t c = 0; c < contexts; ++c) {
    parallel_load[c] += load[c];
    busiest = load[c] > busiest ? load[c] : busiest;
  }
  parallel_packets += tasks.packets;
  parallel_critical += busiest;
  /* All that this region executed besides its tasks is the model's work, not the kernel's. */
  excluded = plus(excluded_before, minus(since(start, read_counters()), tasks));
  return status;
}

uint32_t accounting_workers(void) {
  uint32_t tasks = parallel_tasks > 1 ? (uint32_t)parallel_tasks : 1;
  return tasks < contexts ? tasks : contexts;
}

/* --- calls ------------------------------------------------------------------------------- */

static __attribute__((noinline)) int empty_kernel(void *self, const TVMFFIAny *arguments,
                                                  int32_t count, TVMFFIAny *result) {
  (void)self, (void)arguments, (void)count, (void)result;
  return 0;
}

static __attribute__((noinline)) int measured_call(kernel_function kernel,
                                                   const TVMFFIAny *arguments, int32_t count,
                                                   TVMFFIAny *result, struct counters *cost) {
  mark(MARK_CALL_BEGIN, kernel != empty_kernel);
  struct counters start = read_counters();
  call_start = start;
  int status = kernel(NULL, arguments, count, result);
  struct counters end = read_counters();
  mark(MARK_CALL_END, 0);
  *cost = since(start, end);
  return status;
}

static __attribute__((noinline)) int empty_task(int task, TVMParallelGroupEnv *environment,
                                                void *closure) {
  (void)task, (void)environment, (void)closure;
  return 0;
}

void accounting_create(uint32_t context_count) {
  contexts = context_count;
  /* An empty function is one packet of two instructions, `{ r0 = #0 ; jumpr r31 }`; what else is
   * read is the cost of measuring. */
  const struct counters empty = {1, 2, 0};
  TVMFFIAny result;
  struct counters cost;
  measured_call(empty_kernel, NULL, 0, &result, &cost);
  call_cost = minus(cost, empty);
  run_task(empty_task, 0, NULL, NULL, &cost);
  task_cost = minus(cost, empty);
}

int accounting_call(kernel_function kernel, const TVMFFIAny *arguments, int32_t count,
                    struct accounts *accounts) {
  excluded = (struct counters){0, 0, 0};
  parallel_tasks = 0;
  parallel_packets = 0;
  parallel_critical = 0;
  for (uint32_t c = 0; c < MAX_CONTEXTS; ++c) {
    parallel_load[c] = 0;
  }
  TVMFFIAny result = {0};
  struct counters cost;
  int status = measured_call(kernel, arguments, count, &result, &cost);
  cost = minus(minus(cost, call_cost), excluded);
  uint64_t serial = cost.packets - parallel_packets;
  accounts->packets_total = cost.packets;
  accounts->packets_critical = serial + parallel_critical;
  accounts->instructions = cost.instructions;
  accounts->hvx_instructions = cost.hvx;
  for (uint32_t c = 0; c < MAX_CONTEXTS; ++c) {
    accounts->context_packets[c] = parallel_load[c] + (c == 0 ? serial : 0);
  }
  return status;
}

void vrmpy_progress(uint64_t *total, uint64_t *critical) {
  struct counters now = read_counters();
  *total = since(call_start, now).packets - excluded.packets;
  *critical = *total - parallel_packets + parallel_critical;
  mark(MARK_PROGRESS, 0);
  excluded = plus(excluded, since(now, read_counters()));
}
