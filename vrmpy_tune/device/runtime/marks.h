/* What the runtime tells QEMU plugins, by a system call that Linux refuses, which is fine.
 *
 * Plugins see its number and its first two arguments: what happens, and to what.
 */
#ifndef VRMPY_MARKS_H
#define VRMPY_MARKS_H

#define MARK_SYSCALL 0x56524d

#define MARK_CALL_END 0
#define MARK_CALL_BEGIN 1
#define MARK_PARALLEL_BEGIN 2 /* argument: number of tasks */
#define MARK_PARALLEL_END 3
#define MARK_TASK_BEGIN 4 /* argument: number of the task */
#define MARK_TASK_END 5
#define MARK_PAUSE 6  /* what follows is not charged to the kernel */
#define MARK_RESUME 7
#define MARK_VTCM_BEGIN 8 /* argument: address where a piece of VTCM begins */
#define MARK_VTCM_END 9   /* argument: address behind it */
#define MARK_PROGRESS 10  /* a network is before or behind one of its layers */

#endif
