/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_filter: which system calls a Run may not make: those that look into other processes, change the machine, make name
 * spaces, or reach parts of the kernel that ordinary programs don't need. They answer EPERM; clone3, whose arguments a filter
 * can't see, answers ENOSYS, after which C libraries use clone. Sockets are of the Internet families and netlink; Unix sockets too
 * where the kernel's rules keep those of others out of reach. Where they don't, neither may a pair be of datagrams: each half
 * could send to any name. System V IPC goes by numbers that all of a user's processes share, unless there is a namespace for it; POSIX queues by names that outlive
 * an execution.
 * Everything else is allowed: bash, Python, Node, compilers and git must work. Tests: tests/local/sandbox.py.
 */
#include "applets/runtime_server/sandbox.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined __x86_64__
enum { ARCH = (int)AUDIT_ARCH_X86_64, X32 = 0x40000000 };
#elif defined __aarch64__
enum { ARCH = (int)AUDIT_ARCH_AARCH64 };
#else
#error "the system calls of this architecture are not known"
#endif

static const uint32_t refused[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp,
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    SYS_unshare, SYS_setns, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init,
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_syslog, SYS_vhangup, SYS_sethostname, SYS_setdomainname, SYS_lookup_dcookie,
    SYS_mq_open, SYS_mq_unlink,
#if defined __x86_64__
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
};
static const uint32_t of_ipc[] = { SYS_shmget, SYS_shmat, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl };
enum { REFUSED = LEN(refused), INSNS_MAX = REFUSED + LEN(of_ipc) + 64 };
_Static_assert(REFUSED + LEN(of_ipc) < 256, "a jump of a filter has a byte for its distance");
/* What root keeps: rights over files, users and its own processes, and low ports. */
static const int kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
                            CAP_NET_BIND_SERVICE, CAP_SYS_NICE, CAP_AUDIT_WRITE };
#define NEW_SPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
enum { TIOCSTI_NR = 0x5412, TIOCLINUX_NR = 0x541c };      /* put characters into a terminal's input */
enum { TYPE_OF_SOCKET = 0xf };                            /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

struct program { struct sock_filter v[INSNS_MAX]; unsigned short n; };
static void op(struct program *p, unsigned short code, uint32_t k, uint8_t yes, uint8_t no) { p->v[p->n++] = (struct sock_filter){ code, yes, no, k }; }
static void load(struct program *p, size_t at) { op(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0); }
static void answer(struct program *p, int err) { op(p, BPF_RET | BPF_K, err ? SECCOMP_RET_ERRNO | (uint32_t)err : SECCOMP_RET_ALLOW, 0, 0); }
static size_t arg(int i) { return offsetof(struct seccomp_data, args) + (size_t)i * 8; }      /* low half: both are little endian */

/* The instructions for one system call follow; they end with an answer, so skip `n` of them for any other. */
static void when(struct program *p, uint32_t nr, uint8_t n) { op(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, n); }

static void put_sockets(struct program *p, bool named)
{
    static const uint32_t families[] = { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX };
    size_t n = LEN(families) - (named ? 0 : 1);
    when(p, SYS_socket, (uint8_t)(n + 3));
    load(p, arg(0));
    for (size_t i = 0; i < n; i++)
        op(p, BPF_JMP | BPF_JEQ | BPF_K, families[i], (uint8_t)(n - i), 0);
    answer(p, EPERM);
    answer(p, 0);
    if (named)
        return;
    when(p, SYS_socketpair, 6);
    load(p, arg(1));
    op(p, BPF_ALU | BPF_AND | BPF_K, TYPE_OF_SOCKET, 0, 0);
    op(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 2, 0);
    op(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_SEQPACKET, 1, 0);
    answer(p, EPERM);
    answer(p, 0);
}

static void put_arguments(struct program *p)
{
    when(p, SYS_clone3, 1);
    answer(p, ENOSYS);
    when(p, SYS_clone, 4);
    load(p, arg(0));
    op(p, BPF_JMP | BPF_JSET | BPF_K, NEW_SPACES, 0, 1);
    answer(p, EPERM);
    answer(p, 0);
    when(p, SYS_ioctl, 5);
    load(p, arg(1));
    op(p, BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI_NR, 1, 0);
    op(p, BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX_NR, 0, 1);
    answer(p, EPERM);
    answer(p, 0);
}

/* From what executed programs can get; who has none has none to lose. */
static void drop_capabilities(void)
{
    for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++) {
        bool keep = false;
        for (size_t i = 0; i < LEN(kept); i++)
            keep |= kept[i] == c;
        if (!keep)
            prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    }
}

int sandbox_filter(bool ipc, bool sockets, bool answered)
{
    struct program p = { .n = 0 };
    load(&p, offsetof(struct seccomp_data, arch));
    op(&p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)ARCH, 1, 0);
    answer(&p, ENOSYS);
    load(&p, offsetof(struct seccomp_data, nr));
#if defined __x86_64__
    op(&p, BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1);
    answer(&p, ENOSYS);
#endif
    put_arguments(&p);
    put_sockets(&p, sockets);
    if (!answered) {                              /* else a shim needs it, and its executions lose it later */
        when(&p, SYS_pidfd_getfd, 1);
        answer(&p, EPERM);
    }
    uint8_t also = ipc ? 0 : LEN(of_ipc);
    for (uint8_t i = 0; i < REFUSED; i++)
        op(&p, BPF_JMP | BPF_JEQ | BPF_K, refused[i], (uint8_t)(REFUSED - i + also), 0);
    for (uint8_t i = 0; i < also; i++)
        op(&p, BPF_JMP | BPF_JEQ | BPF_K, of_ipc[i], (uint8_t)(also - i), 0);
    answer(&p, 0);
    answer(&p, EPERM);
    struct sock_fprog f = { p.n, p.v };
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f) < 0 ? errno : 0;
}
