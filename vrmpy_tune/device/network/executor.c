/* Run the layers of a network, one after another, from a table. */
#include "network.h"

#include <stddef.h>

void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int dtype_code,
                               int dtype_bits);
int TVMBackendFreeWorkspace(int device_type, int device_id, void *data);

/* Packets charged so far in this call (device/runtime/accounting.c).  Weak: elsewhere the network
 * runs, too, and its counters stay zero. */
void vrmpy_progress(uint64_t *total, uint64_t *critical) __attribute__((weak));

struct packets {
  uint64_t total;
  uint64_t critical;
};

static struct packets packets_now(void) {
  struct packets now = {0, 0};
  if (vrmpy_progress != NULL) {
    vrmpy_progress(&now.total, &now.critical);
  }
  return now;
}

static int refuse(const char *message) {
  TVMFFIErrorSetRaisedFromCStr("ValueError", message);
  return -1;
}

static const DLTensor *argument(const TVMFFIAny *arguments, uint32_t index) {
  return arguments[index].type_index == kTVMFFIDLTensorPtr ? arguments[index].v_ptr : NULL;
}

static int check_arguments(const struct network *network, const TVMFFIAny *arguments,
                           int32_t count) {
  if (count != (int32_t)network->arguments) {
    return refuse("the network takes its parameters, inputs, outputs and counters");
  }
  for (uint32_t i = 0; i < network->arguments; ++i) {
    if (argument(arguments, i) == NULL) {
      return refuse("an argument of the network is not a tensor");
    }
  }
  if (argument(arguments, 0)->shape[0] != (int64_t)network->parameter_bytes) {
    return refuse("the parameters are not those of this network");
  }
  return 0;
}

static int run_layer(const struct network *network, const struct network_layer *layer,
                     const TVMFFIAny *arguments, uint8_t *arena) {
  DLTensor tensors[NETWORK_MAX_OPERANDS];
  TVMFFIAny values[NETWORK_MAX_OPERANDS];
  for (uint32_t i = 0; i < layer->tensor_count; ++i) {
    const struct network_tensor *row = &network->tensors[layer->first_tensor + i];
    uint8_t *data;
    if (row->place == PLACE_ARGUMENT) {
      data = argument(arguments, row->offset)->data;
    } else if (row->place == PLACE_ARENA) {
      data = arena + row->offset;
    } else {
      data = (uint8_t *)argument(arguments, 0)->data + row->offset;
    }
    tensors[i] = (DLTensor){
        .data = data,
        .device = {kDLCPU, 0},
        .ndim = row->ndim,
        .dtype = {row->dtype_code, row->dtype_bits, 1},
        .shape = (int64_t *)&network->extents[row->first_extent], /* no kernel writes it */
    };
    values[i] = (TVMFFIAny){.type_index = kTVMFFIDLTensorPtr};
    values[i].v_ptr = &tensors[i];
  }
  TVMFFIAny result = {0};
  return layer->kernel(NULL, values, (int32_t)layer->tensor_count, &result);
}

int network_run(const struct network *network, const TVMFFIAny *arguments, int32_t count) {
  int status = check_arguments(network, arguments, count);
  if (status != 0) {
    return status;
  }
  uint8_t *arena = NULL;
  if (network->arena_bytes > 0) {
    arena = TVMBackendAllocWorkspace(kDLCPU, 0, network->arena_bytes, kDLUInt, 8);
    if (arena == NULL) {
      return refuse("there is no memory for the network's intermediate tensors");
    }
  }
  int64_t *counters = argument(arguments, network->arguments - 1)->data;
  for (uint32_t i = 0; i < network->layer_count && status == 0; ++i) {
    struct packets before = packets_now();
    status = run_layer(network, &network->layers[i], arguments, arena);
    struct packets after = packets_now();
    counters[2 * i] = (int64_t)(after.total - before.total);
    counters[2 * i + 1] = (int64_t)(after.critical - before.critical);
  }
  if (arena != NULL) {
    TVMBackendFreeWorkspace(kDLCPU, 0, arena);
  }
  return status;
}
