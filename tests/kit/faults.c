/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults: see its header. The definitions here come before the C library's. write and read are left alone: the test's own
 * output and the sanitizers' need them.
 */
#include "tests/kit/faults.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

const char *const fault_names[FAULT_CALLS] = { "recv", "send", "pwrite", "writev", "pread", "fdatasync", "ftruncate", "open", "mmap" };
long (*fault_ask)(enum fault_call, int fd, size_t n);
unsigned fault_silence_ms;

/* How many bytes may go; 0: none, and *ret is what the call returns. */
static size_t may(enum fault_call c, int fd, size_t n, long *ret)
{
    long answer = fault_ask ? fault_ask(c, fd, n) : LONG_MAX;
    if (answer > 0)
        return (size_t)answer < n ? (size_t)answer : n;
    if (answer < 0)
        errno = (int)-answer;
    *ret = answer < 0 ? -1 : 0;
    return 0;
}

/* With the flavour for large files glibc's headers may have another name for some of them: these are the plain ones. */
ssize_t recv(int fd, void *p, size_t n, int flags)
{
    long ret = 0;
    size_t most = n ? may(FAULT_RECV, fd, n, &ret) : 0;
    return most || !n ? syscall(SYS_recvfrom, fd, p, most, flags, NULL, NULL) : ret;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    long ret = 0;
    size_t most = n ? may(FAULT_SEND, fd, n, &ret) : 0;
    return most || !n ? syscall(SYS_sendto, fd, p, most, flags, NULL, 0) : ret;
}

int getsockopt(int fd, int level, int name, void *restrict p, socklen_t *restrict n)
{
    int rc = (int)syscall(SYS_getsockopt, fd, level, name, p, n);
    if (rc == 0 && level == IPPROTO_TCP && name == TCP_INFO) {
        ((struct tcp_info *)p)->tcpi_last_ack_recv += fault_silence_ms;
        ((struct tcp_info *)p)->tcpi_last_data_recv += fault_silence_ms;
    }
    return rc;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    long ret = 0;
    size_t most = n ? may(FAULT_PWRITE, fd, n, &ret) : 0;
    return most || !n ? syscall(SYS_pwrite64, fd, p, most, at) : ret;
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    long ret = 0;
    size_t most = n ? may(FAULT_PREAD, fd, n, &ret) : 0;
    return most || !n ? syscall(SYS_pread64, fd, p, most, at) : ret;
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    long ret = 0;
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += v[i].iov_len;
    size_t most = bytes ? may(FAULT_WRITEV, fd, bytes, &ret) : 0;
    if (!most && bytes)
        return ret;
    return most < bytes ? syscall(SYS_write, fd, v[0].iov_base, most < v[0].iov_len ? most : v[0].iov_len) : syscall(SYS_writev, fd, v, n);
}

int fdatasync(int fd)
{
    long ret = 0;
    return may(FAULT_SYNC, fd, 1, &ret) ? (int)syscall(SYS_fdatasync, fd) : (int)ret;
}

int fsync(int fd)
{
    long ret = 0;
    return may(FAULT_SYNC, fd, 1, &ret) ? (int)syscall(SYS_fsync, fd) : (int)ret;
}

int ftruncate(int fd, off_t length)
{
    long ret = 0;
    return may(FAULT_TRUNCATE, fd, 1, &ret) ? (int)syscall(SYS_ftruncate, fd, length) : (int)ret;
}

int open(const char *path, int flags, ...)
{
    long ret = 0;
    va_list ap;
    va_start(ap, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
    va_end(ap);
    if (fault_ask)
        flags &= ~O_DSYNC;                        /* who asks for it would wait for the disk with each write, which nobody can let fail */
    return may(FAULT_OPEN, -1, 1, &ret) ? (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode) : -1;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t from)
{
    long ret = 0;
    if (fd < 0 || may(FAULT_MMAP, fd, 1, &ret))   /* memory is not the question here */
        return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, from);
    return MAP_FAILED;
}
