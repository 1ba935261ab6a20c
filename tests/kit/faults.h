/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults: system calls of the test's own process that fail, or do less than was asked, when the test says so. The functions
 * of the C library are replaced by ours at link time: what LMDB and our sockets call goes through here in both flavours.
 */
#ifndef TESTS_KIT_FAULTS_H
#define TESTS_KIT_FAULTS_H
#include <stddef.h>

enum fault_call { FAULT_RECV, FAULT_SEND, FAULT_PWRITE, FAULT_WRITEV, FAULT_PREAD, FAULT_SYNC, FAULT_TRUNCATE, FAULT_OPEN, FAULT_MMAP, FAULT_CALLS };
extern const char *const fault_names[FAULT_CALLS];
/* Asked before each call; NULL: all go through. n: how many bytes it is about (1 where there are none). The answer:
 *   > 0   go on, with at most so many bytes
 *     0   do nothing and say so: recv has the end, a sync and a truncation are done
 *   < 0   fail with that errno, negated
 */
extern long (*fault_ask)(enum fault_call, int fd, size_t n);
/* So much longer than it is, the kernel says of a TCP connection that nothing has come. */
extern unsigned fault_silence_ms;
#endif
