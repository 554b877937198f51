/* What the runtime tells QEMU plugins, by a system call that Linux refuses, which is fine.
 *
 * Plugins see its number and its first two arguments: what happens, and to what.  Marks are made
 * where packets are not charged, so that counts do not depend on them.
 */
#ifndef VRMPY_MARKS_H
#define VRMPY_MARKS_H

#define MARK_SYSCALL 0x56524d

#define MARK_CALL_END 0
#define MARK_CALL_BEGIN 1
#define MARK_TASK_BEGIN 2 /* argument: number of the task; 0 begins a parallel region */
#define MARK_TASK_END 3
#define MARK_VTCM_BEGIN 4 /* argument: address where VTCM begins */
#define MARK_VTCM_END 5   /* argument: address behind it */
#define MARK_PROGRESS 6   /* a network is before or behind one of its layers */
#define MARK_DMA_TO 7     /* argument: where the next transfer writes */
#define MARK_DMA_FROM 8   /* argument: where it reads */
#define MARK_DMA_START 9  /* argument: its bytes; the transfer is handed to the engine */
#define MARK_DMA_WAIT 10  /* argument: how many of the call's transfers, in order, are waited for */
#define MARK_ASIDE_BEGIN 11 /* until MARK_ASIDE_END, what is executed is the runtime's own */
#define MARK_ASIDE_END 12

#endif
