/* Brings its input into VTCM by the DMA and copies it from there, as MODE says. */
#include "kernel.h"

void *vrmpy_vtcm_alloc(uint64_t bytes);
void vrmpy_vtcm_free(void *data);
int vrmpy_dma_copy(int queue, void *to, const void *from, int bytes);
int vrmpy_dma_wait(int queue, int in_flight);
int vrmpy_dma_start_group(int queue);
int vrmpy_dma_end_group(int queue);

enum mode {
  ONCE,         /* one transfer */
  TOO_EARLY,    /* is read before the wait */
  NO_WAIT,      /* nobody waits */
  TWO_GROUPS,   /* two transfers, the first of which is waited for first */
  SECOND_FIRST, /* the second is read when only the first was waited for */
  ONE_GROUP,    /* two transfers that are one group */
  TWO_QUEUES,   /* the second is waited for first */
  OVERWRITTEN,  /* a transfer goes to what is still read */
  WRONG_QUEUE,
};

KERNEL {
  UNUSED;
  int count = (int)length(arguments, 0);
  int half = count / 2;
  int rest = count - half;
  const uint8_t *in = bytes(arguments, 0);
  uint8_t *out = bytes(arguments, 1);
  uint8_t *vtcm = vrmpy_vtcm_alloc((uint64_t)count);
  switch (MODE) {
    case ONCE:
      vrmpy_dma_copy(0, vtcm, in, count);
      vrmpy_dma_wait(0, 0);
      memcpy(out, vtcm, (size_t)count);
      break;
    case TOO_EARLY:
      vrmpy_dma_copy(0, vtcm, in, count);
      memcpy(out, vtcm, (size_t)count);
      vrmpy_dma_wait(0, 0);
      break;
    case NO_WAIT:
      vrmpy_dma_copy(0, out, in, count);
      break;
    case TWO_GROUPS:
      vrmpy_dma_copy(0, vtcm, in, half);
      vrmpy_dma_copy(0, vtcm + half, in + half, rest);
      vrmpy_dma_wait(0, 1);
      memcpy(out, vtcm, (size_t)half);
      vrmpy_dma_wait(0, 0);
      memcpy(out + half, vtcm + half, (size_t)rest);
      break;
    case SECOND_FIRST:
      vrmpy_dma_copy(0, vtcm, in, half);
      vrmpy_dma_copy(0, vtcm + half, in + half, rest);
      vrmpy_dma_wait(0, 1);
      memcpy(out + half, vtcm + half, (size_t)rest);
      vrmpy_dma_wait(0, 0);
      memcpy(out, vtcm, (size_t)half);
      break;
    case ONE_GROUP:
      vrmpy_dma_copy(0, vtcm, in + 1, 1); /* a group before it */
      vrmpy_dma_start_group(0);
      vrmpy_dma_copy(0, vtcm, in, half);
      vrmpy_dma_copy(0, vtcm + half, in + half, rest);
      vrmpy_dma_end_group(0);
      vrmpy_dma_copy(0, vtcm, in, half); /* and one behind it */
      vrmpy_dma_wait(0, 1);
      memcpy(out + half, vtcm + half, (size_t)rest);
      vrmpy_dma_wait(0, 0);
      memcpy(out, vtcm, (size_t)half);
      break;
    case TWO_QUEUES:
      vrmpy_dma_copy(0, vtcm, in, half);
      vrmpy_dma_copy(1, vtcm + half, in + half, rest);
      vrmpy_dma_wait(1, 0);
      memcpy(out + half, vtcm + half, (size_t)rest);
      vrmpy_dma_wait(0, 0);
      memcpy(out, vtcm, (size_t)half);
      break;
    case OVERWRITTEN:
      vrmpy_dma_copy(0, vtcm, in, count);
      vrmpy_dma_wait(0, 0);
      vrmpy_dma_copy(0, vtcm, in, count);
      memcpy(out, vtcm, (size_t)count);
      vrmpy_dma_wait(0, 0);
      break;
    default:
      vrmpy_dma_copy(99, vtcm, in, count);
  }
  vrmpy_vtcm_free(vtcm);
  return 0;
}
