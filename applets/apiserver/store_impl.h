/* SPDX-License-Identifier: Apache-2.0 */
/* store_impl: what store.c and store_open.c share: the format on disk (version 2) and the open store. */
#ifndef APISERVER_STORE_IMPL_H
#define APISERVER_STORE_IMPL_H
#include "applets/apiserver/store.h"
#include <lmdb.h>

enum { VERSION_DELETED = 1 };
struct version_key { char bytes[STORE_KEY_MAX + 9]; };

/* On disk, in this machine's byte order as all of an LMDB file. A crc covers the key and all behind itself. */
struct version_head { uint32_t crc, flags; uint64_t revision; };          /* the JSON follows */
struct log_head { uint32_t crc, size; uint64_t before; int64_t at_us; };  /* the key follows; before 0: there was no object */
struct store_now { uint64_t revision, compacted, entries, bytes; };       /* entries and bytes of the history */

struct store {
    MDB_env *env;
    MDB_dbi versions, log, meta;
    MDB_txn *write, *read;
    int lock, fd;                   /* fd: the store's own file, LMDB's */
    off_t length;                   /* of it, as last seen */
    bool failed;                    /* the disk is not to be trusted any more */
    bool lost;                      /* a write of this transaction failed: its commit reports `error` */
    struct store_now now, committed;
    size_t writes;                  /* of this transaction */
    uint64_t room_wanted;           /* with less than this left on the disk the history is kept short */
    int64_t wall_us;
    struct kr_err error;
};

void store_crc_init(void);
uint32_t store_crc(struct str key, const void *head, size_t nhead, struct str json);      /* CRC-32C over all three */
int store_fail(const struct store *, struct kr_err *, int rc, const char *what);
MDB_txn *store_reader(struct store *, int *rc);
off_t store_used(const struct store *);                                                  /* bytes of the file that count */
int store_write_now(struct store *, MDB_txn *);
int store_walk(MDB_env *);                                /* reads every byte there is: 0, or what LMDB says */
#endif
