/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: every object of the embedded API server with its history, on disk, in one LMDB file with a checksum per value.
 *
 * Writes collect in one transaction that store_commit ends: one fsync for all of them. Until then they can be read
 * here, but nobody outside may be told of them. A commit that fails takes all of them back. Views live until the next
 * write or commit.
 *
 * History: each write is a revision of its own. Objects can be read as they were at any revision from
 * store_compacted() on, and the changes behind it can be walked, after a restart too. What is older than the HISTORY_*
 * limits goes a few entries per commit, so that no commit takes long.
 */
#ifndef APISERVER_STORE_H
#define APISERVER_STORE_H
#include "core/kr.h"

struct store;
/*
 * path: a file, made with mode 0600 when missing; one process at a time may have it (KR_EXISTS else). A file of the
 * format before is converted, a newer one is refused (KR_UNSUPPORTED), one that was cut short too (KR_SYSTEM).
 */
struct store *store_open(const char *path, struct kr_err *);
void store_close(struct store *);                        /* what isn't committed is taken back; NULL is fine */

enum { STORE_KEY_MAX = 500 };                            /* bytes of a key: LMDB takes 511, with a NUL and 8 of the revision */
struct store_value { struct str key; uint64_t revision; struct str json; };
/* 1 and *ret when it is there, 0 when not, <0 when the value is damaged or can't be read. */
int store_get(struct store *, struct str key, struct store_value *ret, struct kr_err *);
/* As it was at `revision` (not below store_compacted: the caller looks). */
int store_get_at(struct store *, struct str key, uint64_t revision, struct store_value *ret, struct kr_err *);
uint64_t store_revision(const struct store *);           /* of the last write, pending ones included */
uint64_t store_compacted(const struct store *);          /* the oldest revision that is whole */
/* The revision is store_revision() + 1 and goes up by each call, deletes too. */
int store_put(struct store *, struct str key, struct str json, struct kr_err *);
/* last: the object as those who follow the history are told that it is gone. A key that isn't there still counts. */
int store_delete(struct store *, struct str key, struct str last, struct kr_err *);
/* KR_NO_SPACE: writes may be tried again; KR_SYSTEM: the disk failed, later writes are refused. Reading goes on after either. */
int store_commit(struct store *, struct kr_err *);
/* The time that entries of the history get, and by which the oldest go. */
void store_set_time(struct store *, int64_t wall_us);
/* Why nothing is written any more; NULL: all is well. */
const struct kr_err *store_failure(const struct store *);

/* Keys that begin with `prefix`, in byte order, from behind `after` (empty: from the first). */
struct store_scan { struct store *s; void *cursor; struct str prefix; uint64_t revision; struct store_value at; bool damaged; };
/* Sees what is newest; set scan->revision behind it to see things as they were then. */
void store_scan_begin(struct store *, struct store_scan *, struct str prefix, struct str after);
int store_scan_next(struct store_scan *, struct kr_err *);      /* 1: scan.at is the next one; 0: no more; <0: see `damaged` */
/* After a failure scan.damaged says that only this one value can't be read (at.key names it): the scan may go on behind it. */
int store_scan_count(struct store_scan *, uint64_t *ret, struct kr_err *);      /* how many follow; the scan is at its end then */
void store_scan_end(struct store_scan *);

/* Changes of keys that begin with `prefix`, oldest first. */
struct store_change { uint64_t revision; struct str key, json, before; bool deleted; };      /* before: empty when there was none */
struct store_history { struct store *s; void *cursor; struct str prefix; uint64_t revision; struct store_change at; };
void store_history_begin(struct store *, struct store_history *, struct str prefix, uint64_t after);
/* 1: at is the next one, 0: none up to revision `last` and not more than *steps entries on, which is counted down; <0.
 * h->revision is how far it came. KR_EXPIRED: what is next has gone. */
int store_history_next(struct store_history *, uint64_t last, size_t *steps, struct kr_err *);
void store_history_end(struct store_history *);

/* For restoring: an object with the revision it had, into a store nobody uses yet; then what the store's revision is. */
int store_import(struct store *, const struct store_value *, struct kr_err *);
int store_import_end(struct store *, uint64_t revision, struct kr_err *);
#endif
