/* SPDX-License-Identifier: Apache-2.0 */
/* store_faults: see its header. A row of CALLS is a function of LMDB that does nothing when it is to fail. */
#include "tests/kit/store_faults.h"
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

/* X(name, its parameters, their names) */
#define CALLS(X)                                                                                          \
    X(mdb_env_create, (MDB_env **e), (e))                                                                 \
    X(mdb_txn_begin, (MDB_env *e, MDB_txn *parent, unsigned flags, MDB_txn **t), (e, parent, flags, t))   \
    X(mdb_dbi_open, (MDB_txn *t, const char *name, unsigned flags, MDB_dbi *d), (t, name, flags, d))      \
    X(mdb_cursor_open, (MDB_txn *t, MDB_dbi d, MDB_cursor **c), (t, d, c))                                \
    X(mdb_cursor_get, (MDB_cursor *c, MDB_val *k, MDB_val *v, MDB_cursor_op op), (c, k, v, op))           \
    X(mdb_cursor_put, (MDB_cursor *c, MDB_val *k, MDB_val *v, unsigned flags), (c, k, v, flags))          \
    X(mdb_cursor_del, (MDB_cursor *c, unsigned flags), (c, flags))                                        \
    X(mdb_get, (MDB_txn *t, MDB_dbi d, MDB_val *k, MDB_val *v), (t, d, k, v))                             \
    X(mdb_put, (MDB_txn *t, MDB_dbi d, MDB_val *k, MDB_val *v, unsigned flags), (t, d, k, v, flags))      \
    X(mdb_del, (MDB_txn *t, MDB_dbi d, MDB_val *k, MDB_val *v), (t, d, k, v))                             \
    X(mdb_drop, (MDB_txn *t, MDB_dbi d, int del), (t, d, del))

int (*store_fault_ask)(const char *call);

#define NAME(name, params, args) #name,
const char *const store_fault_names[] = { CALLS(NAME) "mdb_txn_commit", "fstat", "fstatvfs", "waitpid", NULL };

static int fault(const char *call) { return store_fault_ask ? store_fault_ask(call) : 0; }

#define CALL(name, params, args)           \
    int __real_##name params;              \
    int __wrap_##name params;              \
    int __wrap_##name params               \
    {                                      \
        int rc = fault(#name);             \
        return rc ? rc : __real_##name args; \
    }
CALLS(CALL)

/* valgrind has no room for 64 GiB of addresses: tests/long/valgrind.sh says how many there may be. */
int __real_mdb_env_set_mapsize(MDB_env *e, size_t size);
int __wrap_mdb_env_set_mapsize(MDB_env *e, size_t size);
int __wrap_mdb_env_set_mapsize(MDB_env *e, size_t size)
{
    const char *most = getenv("KR_STORE_MAP_BYTES");
    size_t n = most ? strtoull(most, NULL, 10) : 0;
    return __real_mdb_env_set_mapsize(e, n && n < size ? n : size);
}

int __real_mdb_txn_commit(MDB_txn *t);
int __wrap_mdb_txn_commit(MDB_txn *t);
int __wrap_mdb_txn_commit(MDB_txn *t)
{
    int rc = fault("mdb_txn_commit");
    if (!rc)
        return __real_mdb_txn_commit(t);
    mdb_txn_abort(t);
    return rc;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    int error = fault("fstat");
    return error ? fail(error) : __real_fstat(fd, st);
}

int __real_fstatvfs(int fd, struct statvfs *v);
int __wrap_fstatvfs(int fd, struct statvfs *v);
int __wrap_fstatvfs(int fd, struct statvfs *v)
{
    int error = fault("fstatvfs"), rc = error && error != ENOSPC ? fail(error) : __real_fstatvfs(fd, v);
    if (error == ENOSPC && rc == 0)
        v->f_bavail = 0;
    return rc;
}

pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    int error = fault("waitpid");
    return error ? fail(error) : __real_waitpid(pid, status, options);
}
