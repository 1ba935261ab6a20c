/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: every object of the embedded API server, on disk, in one LMDB file with a checksum per value.
 *
 * Writes collect in one transaction that store_commit ends: one fsync for all of them. Until then they can be read
 * here, but nobody outside may be told of them. A commit that fails takes all of them back. Views live until the next
 * write or commit.
 */
#ifndef APISERVER_STORE_H
#define APISERVER_STORE_H
#include "core/kr.h"

struct store;
/* path: a file, made with mode 0600 when missing; one process at a time may have it (KR_EXISTS else). */
struct store *store_open(const char *path, struct kr_err *);
void store_close(struct store *);                        /* what isn't committed is taken back; NULL is fine */

struct store_value { struct str key; uint64_t revision; struct str json; };
/* 1 and *ret when it is there, 0 when not, <0 when the value is damaged or can't be read. */
int store_get(struct store *, struct str key, struct store_value *ret, struct kr_err *);
uint64_t store_revision(const struct store *);           /* of the last write, pending ones included */
/* The revision is store_revision() + 1 and goes up by each call, deletes too. */
int store_put(struct store *, struct str key, struct str json, struct kr_err *);
int store_delete(struct store *, struct str key, struct kr_err *);
/* KR_NO_SPACE: reading goes on, and writes may be tried again; KR_SYSTEM: the disk failed, later writes are refused. */
int store_commit(struct store *, struct kr_err *);

/* Keys that begin with `prefix`, in byte order, from behind `after` (empty: from the first). */
struct store_scan { struct store *s; void *cursor; struct str prefix; struct store_value at; };
void store_scan_begin(struct store *, struct store_scan *, struct str prefix, struct str after);
int store_scan_next(struct store_scan *, struct kr_err *);      /* 1: scan.at is the next one; 0: no more; <0 */
void store_scan_end(struct store_scan *);
#endif
