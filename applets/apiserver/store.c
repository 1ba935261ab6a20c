/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: two LMDB databases in one file beside meta: versions (KEY \0 ~REVISION big endian → checksum, JSON; the newest
 * of a key comes first) and log (revision → key, the revision before, time).
 *
 * The one idea: a write transaction opens with the first write of a loop turn and everybody reads through it until the
 * commit, so that there is no second copy of the state in memory that could differ. LMDB's copy-on-write pages make
 * kill -9 at any moment harmless: the last committed root stays. Compaction is part of ordinary transactions: each takes
 * a few entries off the log's beginning, together with the versions they superseded and the meta entry that says so.
 *
 * Opening and conversion are in store_open.c.
 */
#include "applets/apiserver/store_impl.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LENGTHEN_BY = 1 << 20 };
enum { KEEP_STEPS = 64, NEAR_STEPS = 4 };         /* most entries that one commit compacts beside twice its writes; see next_key */

static uint32_t crc_table[8][256];

void store_crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? UINT32_C(0x82f63b78) ^ (c >> 1) : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc_table[k][i] = (crc_table[k - 1][i] >> 8) ^ crc_table[0][crc_table[k - 1][i] & 255];
}

/* CRC-32C (RFC 3720 appendix B.4), eight bytes at a time: each has a table of what it does from that far away. */
static uint32_t crc_add(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *at = p;
    for (; n >= 8; n -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        crc = crc_table[7][low & 255] ^ crc_table[6][low >> 8 & 255] ^ crc_table[5][low >> 16 & 255] ^ crc_table[4][low >> 24] ^
              crc_table[3][at[4]] ^ crc_table[2][at[5]] ^ crc_table[1][at[6]] ^ crc_table[0][at[7]];
    }
    while (n--)
        crc = crc_table[0][(crc ^ *at++) & 255] ^ (crc >> 8);
    return crc;
}

uint32_t store_crc(struct str key, const void *head, size_t nhead, struct str json)
{
    uint32_t c = crc_add(UINT32_MAX, key.p, key.n);
    c = crc_add(c, head, nhead);
    return ~crc_add(c, json.p, json.n);
}

/* LMDB tells a write that was cut short as EIO, which is what a full disk does to it. */
static bool is_full(const struct store *s)
{
    struct statvfs v;
    return s->fd >= 0 && fstatvfs(s->fd, &v) == 0 && v.f_bavail * v.f_frsize < 1048576;
}

int store_fail(const struct store *s, struct kr_err *e, int rc, const char *what)
{
    if (rc == ENOSPC || rc == MDB_MAP_FULL || rc == EDQUOT || (rc == EIO && is_full(s)))
        return kr_fail(e, KR_NO_SPACE, "%s: no space is left for the store: free some, then try again", what);
    return kr_fail(e, KR_SYSTEM, "%s: %s", what, mdb_strerror(rc));
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

MDB_txn *store_reader(struct store *s, int *rc)
{
    *rc = 0;
    if (s->write)
        return s->write;
    if (!s->read)
        *rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->read);
    return s->read;
}

static int writer(struct store *s, struct kr_err *e)
{
    if (s->failed)
        return kr_fail(e, KR_SYSTEM, "the store stopped writing: %s", s->error.msg);
    if (s->write)
        return 0;
    int rc = mdb_txn_begin(s->env, NULL, 0, &s->write);
    if (rc) {
        store_fail(s, e, rc, "begin a write");
        s->failed = rc == MDB_PANIC;              /* s->read, begun before, is what there is from here on */
        s->error = *e;
        return -1;
    }
    if (s->read)
        mdb_txn_abort(TAKE(s->read));
    return 0;
}

uint64_t store_revision(const struct store *s) { return s->now.revision; }
uint64_t store_compacted(const struct store *s) { return s->now.compacted; }
void store_set_time(struct store *s, int64_t wall_us) { s->wall_us = wall_us; }
const struct kr_err *store_failure(const struct store *s) { return s->failed ? &s->error : NULL; }

/* All of the transaction is taken back; whoever wrote in it before learns so from the commit. */
static int roll_back(struct store *s, int rc, const char *what, struct kr_err *e)
{
    if (s->write)
        mdb_txn_abort(TAKE(s->write));
    s->now = s->committed;
    s->lost = true;
    store_fail(s, e, rc, what);
    s->error = *e;
    if (e->code != KR_NO_SPACE)
        s->failed = true;
    return -1;
}

/* ---- keys and entries -------------------------------------------------------------------------------------------- */

static MDB_val version_key(struct version_key *k, struct str key, uint64_t revision)
{
    memcpy(k->bytes, key.p, key.n);
    k->bytes[key.n] = '\0';
    for (int i = 0; i < 8; i++)
        k->bytes[key.n + 1 + (size_t)i] = (char)(unsigned char)(~revision >> (56 - 8 * i));
    return (MDB_val){ key.n + 9, k->bytes };
}

static bool split_version_key(MDB_val k, struct str *key, uint64_t *revision)
{
    const unsigned char *p = k.mv_data;
    uint64_t r = 0;
    if (k.mv_size < 10 || p[k.mv_size - 9])
        return false;
    for (size_t i = k.mv_size - 8; i < k.mv_size; i++)
        r = r << 8 | p[i];
    *key = (struct str){ k.mv_data, k.mv_size - 9 };
    *revision = ~r;
    return true;
}

static int unpack(struct str key, uint64_t revision, MDB_val v, struct store_value *ret, bool *deleted, struct kr_err *e)
{
    struct version_head h;
    if (v.mv_size < sizeof h)
        return kr_fail(e, KR_SYSTEM, "the store's value of \"%.*s\" is damaged: too short", SFMT(key));
    memcpy(&h, v.mv_data, sizeof h);
    struct str json = { (const char *)v.mv_data + sizeof h, v.mv_size - sizeof h };
    if (h.crc != store_crc(key, &h.flags, sizeof h - sizeof h.crc, json) || h.revision != revision)
        return kr_fail(e, KR_SYSTEM, "the store's value of \"%.*s\" is damaged: its checksum differs", SFMT(key));
    *ret = (struct store_value){ key, h.revision, json };
    *deleted = h.flags & VERSION_DELETED;
    return 0;
}

static int unpack_log(uint64_t revision, MDB_val v, struct log_head *h, struct str *key, struct kr_err *e)
{
    if (v.mv_size > sizeof *h) {
        memcpy(h, v.mv_data, sizeof *h);
        *key = (struct str){ (const char *)v.mv_data + sizeof *h, v.mv_size - sizeof *h };
        if (h->crc == store_crc(*key, &h->size, sizeof *h - sizeof h->crc, S("")))
            return 0;
    }
    return kr_fail(e, KR_SYSTEM, "the store's history is damaged at revision %llu: its checksum differs", (unsigned long long)revision);
}

/* Puts the cursor on the newest version of key that is not newer than `revision`. MDB_NOTFOUND: it was not there then. */
static int find_version(MDB_cursor *c, struct str key, uint64_t revision, uint64_t *found, MDB_val *v)
{
    struct version_key kb;
    struct str got;
    MDB_val k = version_key(&kb, key, revision);
    int rc = mdb_cursor_get(c, &k, v, MDB_SET_RANGE);
    if (rc)
        return rc;
    return split_version_key(k, &got, found) && str_eq(got, key) ? 0 : MDB_NOTFOUND;
}

int store_get_at(struct store *s, struct str key, uint64_t revision, struct store_value *ret, struct kr_err *e)
{
    int rc;
    MDB_cursor *c;
    MDB_val v;
    uint64_t found;
    bool deleted;
    MDB_txn *t = store_reader(s, &rc);
    if (!key.n || key.n > STORE_KEY_MAX)
        return 0;
    if (rc == 0)
        rc = mdb_cursor_open(t, s->versions, &c);
    if (rc)
        return store_fail(s, e, rc, "read");
    rc = find_version(c, key, revision, &found, &v);
    mdb_cursor_close(c);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return store_fail(s, e, rc, "read");
    struct store_value got;
    if (unpack(key, found, v, &got, &deleted, e) < 0)
        return -1;
    if (deleted)
        return 0;
    *ret = got;
    return 1;
}

int store_get(struct store *s, struct str key, struct store_value *ret, struct kr_err *e) { return store_get_at(s, key, UINT64_MAX, ret, e); }

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static int put_version(MDB_cursor *c, struct str key, uint64_t revision, uint32_t flags, struct str json)
{
    struct version_key kb;
    MDB_val k = version_key(&kb, key, revision), v = { sizeof(struct version_head) + json.n, NULL };
    int rc = mdb_cursor_put(c, &k, &v, MDB_RESERVE);
    if (rc)
        return rc;
    struct version_head h = { 0, flags, revision };
    h.crc = store_crc(key, &h.flags, sizeof h - sizeof h.crc, json);
    memcpy(v.mv_data, &h, sizeof h);
    memcpy((char *)v.mv_data + sizeof h, json.p, json.n);
    return 0;
}

static int put_log(struct store *s, struct str key, uint64_t before, size_t size)
{
    char text[sizeof(struct log_head) + STORE_KEY_MAX];
    uint64_t revision = s->now.revision + 1;
    struct log_head h = { 0, (uint32_t)size, before, s->wall_us };
    h.crc = store_crc(key, &h.size, sizeof h - sizeof h.crc, S(""));
    memcpy(text, &h, sizeof h);
    memcpy(text + sizeof h, key.p, key.n);
    MDB_val k = { sizeof revision, &revision }, v = { sizeof h + key.n, text };
    int rc = mdb_put(s->write, s->log, &k, &v, MDB_APPEND);
    if (rc == 0) {
        s->now.revision = revision;
        s->now.bytes += size;
        s->now.entries++;
        s->writes++;
    }
    return rc;
}

static int change(struct store *s, struct str key, struct str json, uint32_t flags, struct kr_err *e)
{
    MDB_cursor *c;
    MDB_val v;
    uint64_t before = 0;
    if (key.n == 0 || key.n > STORE_KEY_MAX)
        return kr_fail(e, KR_TOO_LARGE, "the key \"%.*s\" is too long", SFMT(key));
    if (writer(s, e) < 0)
        return -1;
    int rc = mdb_cursor_open(s->write, s->versions, &c);
    if (rc)
        return roll_back(s, rc, "write", e);
    rc = find_version(c, key, UINT64_MAX, &before, &v);
    if (rc == 0 && v.mv_size >= sizeof(struct version_head)) {
        struct version_head h;
        memcpy(&h, v.mv_data, sizeof h);
        if (h.flags & VERSION_DELETED)
            before = 0;
    } else {
        before = 0;
    }
    if (rc == 0 || rc == MDB_NOTFOUND)
        rc = put_version(c, key, s->now.revision + 1, flags, json);
    mdb_cursor_close(c);
    if (rc == 0)
        rc = put_log(s, key, before, sizeof(struct version_head) + json.n + key.n);
    return rc ? roll_back(s, rc, flags & VERSION_DELETED ? "delete" : "write", e) : 0;
}

int store_put(struct store *s, struct str key, struct str json, struct kr_err *e) { return change(s, key, json, 0, e); }
int store_delete(struct store *s, struct str key, struct str last, struct kr_err *e) { return change(s, key, last, VERSION_DELETED, e); }

int store_import(struct store *s, const struct store_value *v, struct kr_err *e)
{
    MDB_cursor *c;
    if (v->key.n == 0 || v->key.n > STORE_KEY_MAX || !v->json.n)
        return kr_fail(e, KR_INVALID, "the key \"%.*s\" or its value can't be in a store", SFMT(v->key));
    if (writer(s, e) < 0)
        return -1;
    int rc = mdb_cursor_open(s->write, s->versions, &c);
    if (rc)
        return roll_back(s, rc, "write", e);
    rc = put_version(c, v->key, v->revision, 0, v->json);
    mdb_cursor_close(c);
    return rc ? roll_back(s, rc, "write", e) : 0;
}

int store_import_end(struct store *s, uint64_t revision, struct kr_err *e)
{
    if (writer(s, e) < 0)
        return -1;
    s->now.revision = s->now.compacted = revision;        /* nobody may follow on from a history that is not here */
    return store_commit(s, e);
}

/* ---- compaction and commit --------------------------------------------------------------------------------------- */

static int drop_version(struct store *s, struct str key, uint64_t revision)
{
    struct version_key kb;
    MDB_val k = version_key(&kb, key, revision);
    int rc = mdb_del(s->write, s->versions, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A tombstone goes with its own entry, as no revision from there on can see what was before it. */
static int drop_tombstone(struct store *s, struct str key, uint64_t revision)
{
    struct version_key kb;
    struct version_head h;
    MDB_val k = version_key(&kb, key, revision), v;
    int rc = mdb_get(s->write, s->versions, &k, &v);
    if (rc)
        return rc == MDB_NOTFOUND ? 0 : rc;
    if (v.mv_size < sizeof h)
        return 0;
    memcpy(&h, v.mv_data, sizeof h);
    return h.flags & VERSION_DELETED ? drop_version(s, key, revision) : 0;
}

/* Is the disk nearly full? Then writes are to take the pages of what is past instead of new ones, as long as there are some. */
static bool is_short_of_room(const struct store *s)
{
    struct statvfs v;
    return fstatvfs(s->fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < s->room_wanted;
}

static bool is_over(const struct store *s, const struct log_head *h, int64_t seconds)
{
    return s->now.entries > LIMIT_HISTORY_EVENTS || s->now.bytes > LIMIT_HISTORY_BYTES ||
           (s->wall_us && h->at_us && s->wall_us - h->at_us > INT64_C(1000000) * seconds);
}

/* The oldest entry of the history goes. MDB_NOTFOUND: nothing is to go. */
static int compact_one(struct store *s, MDB_cursor *c, int64_t seconds)
{
    MDB_val k, v;
    struct log_head h;
    struct kr_err ignored = { 0 };
    struct str view;
    char key[STORE_KEY_MAX];
    uint64_t revision;
    int rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (rc)
        return rc;
    memcpy(&revision, k.mv_data, sizeof revision);
    if (revision >= s->now.revision)              /* the last one stays: revisions go on behind it */
        return MDB_NOTFOUND;
    bool whole = unpack_log(revision, v, &h, &view, &ignored) == 0 && view.n <= sizeof key;
    if (whole && !is_over(s, &h, seconds))
        return MDB_NOTFOUND;
    struct str at = { key, whole ? view.n : 0 };
    if (whole)
        memcpy(key, view.p, view.n);
    rc = mdb_cursor_del(c, 0);
    if (rc == 0 && whole && h.before)
        rc = drop_version(s, at, h.before);
    if (rc == 0 && whole)
        rc = drop_tombstone(s, at, revision);
    if (rc)
        return rc;
    s->now.compacted = revision;
    s->now.entries--;
    s->now.bytes -= whole && s->now.bytes > h.size ? h.size : 0;
    return 0;
}

static int compact(struct store *s)
{
    MDB_cursor *c;
    size_t steps = 2 * s->writes + KEEP_STEPS;
    int64_t seconds = is_short_of_room(s) ? LIMIT_HISTORY_SHORT_SECONDS : LIMIT_HISTORY_SECONDS;
    int rc = mdb_cursor_open(s->write, s->log, &c);
    if (rc)
        return rc;
    while (rc == 0 && steps--)
        rc = compact_one(s, c, seconds);
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int store_write_now(struct store *s, MDB_txn *t)
{
    MDB_val k = { 3, (void *)"now" }, v = { sizeof s->now, &s->now };
    return mdb_put(t, s->meta, &k, &v, 0);
}

/* Once LMDB has failed to write the page that says which state counts, it lets nobody read any more (MDB_PANIC), but for whom it let
 * before. So who reads behind a commit that fails is let in before it; what was there is overwritten by the next write at the earliest. */
static int commit(struct store *s)
{
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->read);
    if (rc == 0)
        rc = mdb_txn_commit(TAKE(s->write));
    if (rc == 0)
        mdb_txn_abort(TAKE(s->read));
    return rc;
}

/* A commit that makes the file longer waits for the file system's own log as well as for its pages. So the file is made longer ahead, by
 * zeros, which the flush of this commit takes along; room that was only reserved would need the log again when it is written. Without
 * room on the disk the pages themselves may still find some. */
static void lengthen(struct store *s)
{
    static char zeros[LENGTHEN_BY];                   /* not const: those would stand in the program's file */
    struct stat st;
    off_t used = store_used(s);
    if (s->length - used >= LENGTHEN_BY / 2)
        return;
    s->length = fstat(s->fd, &st) < 0 ? used : st.st_size;
    if (s->length - used >= LENGTHEN_BY / 2)
        return;
    ptrdiff_t n = pwrite(s->fd, zeros, sizeof zeros, s->length);
    s->length += n > 0 ? n : LENGTHEN_BY;             /* not to be tried with every commit */
}

int store_commit(struct store *s, struct kr_err *e)
{
    if (s->lost) {
        if (s->write)
            mdb_txn_abort(TAKE(s->write));
        s->now = s->committed;
        s->lost = false;
        s->writes = 0;
        *e = s->error;
        return -1;
    }
    if (!s->write)
        return 0;
    int rc = compact(s);
    s->writes = 0;
    if (rc == 0)
        rc = store_write_now(s, s->write);
    if (rc == 0) {
        lengthen(s);
        rc = commit(s);
    }
    if (rc) {
        roll_back(s, rc, "commit", e);
        s->lost = false;
        return -1;
    }
    s->committed = s->now;
    return 0;
}

/* ---- scans ------------------------------------------------------------------------------------------------------- */

void store_scan_begin(struct store *s, struct store_scan *scan, struct str prefix, struct str after)
{
    *scan = (struct store_scan){ .s = s, .prefix = prefix, .revision = UINT64_MAX, .at = { .key = after } };
}

static int first_key(struct store_scan *scan, MDB_val *k, MDB_val *v)
{
    int rc;
    MDB_cursor *c;
    char text[STORE_KEY_MAX + 1];
    struct str after = scan->at.key;
    MDB_txn *t = store_reader(scan->s, &rc);
    if (rc == 0)
        rc = mdb_cursor_open(t, scan->s->versions, &c);
    if (rc)
        return rc;
    scan->cursor = c;
    *k = (MDB_val){ scan->prefix.n, (void *)scan->prefix.p };
    if (after.n) {
        size_t n = after.n < STORE_KEY_MAX ? after.n : STORE_KEY_MAX;      /* no key is longer, so none is between */
        memcpy(text, after.p, n);
        text[n] = '\1';                           /* behind all versions of that key, before any longer key */
        *k = (MDB_val){ n + 1, text };
    }
    return mdb_cursor_get(c, k, v, k->mv_size ? MDB_SET_RANGE : MDB_FIRST);
}

/* To the next other key: a few steps are cheaper than a search, many versions of one key are not stepped over. */
static int next_key(struct store_scan *scan, MDB_val *k, MDB_val *v)
{
    if (!scan->cursor)
        return first_key(scan, k, v);
    struct version_key kb;
    struct str key = scan->at.key, got;
    uint64_t revision;
    for (int i = 0; i < NEAR_STEPS; i++) {
        int rc = mdb_cursor_get(scan->cursor, k, v, MDB_NEXT);
        if (rc || !split_version_key(*k, &got, &revision) || !str_eq(got, key))
            return rc;
    }
    *k = version_key(&kb, key, 0);
    kb.bytes[key.n] = '\1';
    k->mv_size = key.n + 1;
    return mdb_cursor_get(scan->cursor, k, v, MDB_SET_RANGE);
}

/* 1: *v is what the next key had at the scan's revision, whether deleted or not. */
static int next_version(struct store_scan *scan, uint64_t *revision, MDB_val *v, struct kr_err *e)
{
    for (;;) {
        MDB_val k;
        struct str key;
        int rc = next_key(scan, &k, v);
        if (rc == 0 && !split_version_key(k, &key, revision))
            return kr_fail(e, KR_SYSTEM, "the store is damaged: a key has no revision");
        if (rc == 0 && !str_starts(key, scan->prefix))
            return 0;
        if (rc == 0) {
            scan->at.key = key;
            if (*revision <= scan->revision)
                return 1;
            rc = find_version(scan->cursor, key, scan->revision, revision, v);
            if (rc == 0)
                return 1;
            if (rc == MDB_NOTFOUND && mdb_cursor_get(scan->cursor, &k, v, MDB_PREV) == 0)
                continue;                         /* back on a version of this key, from where the next one is sought */
        }
        return rc == MDB_NOTFOUND ? 0 : store_fail(scan->s, e, rc, "read");
    }
}

int store_scan_next(struct store_scan *scan, struct kr_err *e)
{
    MDB_val v;
    uint64_t revision;
    bool deleted = true;
    scan->damaged = false;
    while (deleted) {
        int rc = next_version(scan, &revision, &v, e);
        if (rc <= 0)
            return rc;
        scan->damaged = unpack(scan->at.key, revision, v, &scan->at, &deleted, e) < 0;
        if (scan->damaged)
            return -1;
    }
    return 1;
}

int store_scan_count(struct store_scan *scan, uint64_t *ret, struct kr_err *e)
{
    MDB_val v;
    uint64_t n = 0, revision;
    int rc;
    while ((rc = next_version(scan, &revision, &v, e)) > 0) {
        struct version_head h = { .flags = VERSION_DELETED };
        if (v.mv_size >= sizeof h)
            memcpy(&h, v.mv_data, sizeof h);
        n += !(h.flags & VERSION_DELETED);
    }
    if (rc == 0)
        *ret = n;
    return rc;
}

void store_scan_end(struct store_scan *scan)
{
    if (scan->cursor)
        mdb_cursor_close(scan->cursor);
    scan->cursor = NULL;
}

/* ---- history ----------------------------------------------------------------------------------------------------- */

void store_history_begin(struct store *s, struct store_history *h, struct str prefix, uint64_t after)
{
    *h = (struct store_history){ .s = s, .prefix = prefix, .revision = after };
}

/* The change with its object and the one before. */
static int read_change(struct store_history *h, const struct log_head *head, struct str key, uint64_t revision, struct kr_err *e)
{
    struct store_value v;
    struct store_change at = { .revision = revision, .key = key };
    struct version_key kb;
    int rc;
    MDB_txn *t = store_reader(h->s, &rc);
    MDB_val k = version_key(&kb, key, revision), got;
    rc = rc ? rc : mdb_get(t, h->s->versions, &k, &got);
    if (rc)
        return store_fail(h->s, e, rc, "read the history");
    if (unpack(key, revision, got, &v, &at.deleted, e) < 0)
        return -1;
    at.json = v.json;
    rc = head->before ? store_get_at(h->s, key, head->before, &v, e) : 0;
    if (rc < 0)
        return -1;
    at.before = rc ? v.json : S("");
    h->at = at;
    return 1;
}

int store_history_next(struct store_history *h, uint64_t last, size_t *steps, struct kr_err *e)
{
    int rc = 0;
    MDB_cursor *c;
    MDB_val k, v;
    if (h->revision < h->s->now.compacted)
        return kr_fail(e, KR_EXPIRED, "too old resource version: %llu (%llu)", (unsigned long long)h->revision,
                       (unsigned long long)h->s->now.compacted);
    if (!h->cursor) {
        MDB_txn *t = store_reader(h->s, &rc);
        rc = rc ? rc : mdb_cursor_open(t, h->s->log, &c);
        if (rc)
            return store_fail(h->s, e, rc, "read the history");
        h->cursor = c;
    }
    while (h->revision < last && *steps) {
        uint64_t revision = h->revision + 1;
        struct log_head head;
        struct str key;
        --*steps;
        k = (MDB_val){ sizeof revision, &revision };
        rc = mdb_cursor_get(h->cursor, &k, &v, MDB_SET_RANGE);
        if (rc)
            return rc == MDB_NOTFOUND ? 0 : store_fail(h->s, e, rc, "read the history");
        memcpy(&revision, k.mv_data, sizeof revision);
        if (revision > last || unpack_log(revision, v, &head, &key, e) < 0)
            return revision > last ? 0 : -1;
        h->revision = revision;
        if (str_starts(key, h->prefix))
            return read_change(h, &head, key, revision, e);
    }
    return 0;
}

void store_history_end(struct store_history *h)
{
    if (h->cursor)
        mdb_cursor_close(h->cursor);
    h->cursor = NULL;
}
