/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: two LMDB databases in one file: objects (key → checksum, revision, JSON) and meta (format, revision).
 *
 * The one idea: a write transaction opens with the first write of a loop turn and everybody reads through it until the
 * commit, so that there is no second copy of the state in memory that could differ. LMDB's copy-on-write pages make
 * kill -9 at any moment harmless: the last committed root stays.
 */
#include "applets/apiserver/store.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FORMAT = 1 };
struct value_head { uint32_t crc, reserved; uint64_t revision; };     /* crc covers key, revision and JSON */

struct store {
    MDB_env *env;
    MDB_dbi objects, meta;
    MDB_txn *write, *read;
    int lock, fd;                   /* fd: the store's own file, LMDB's */
    bool failed;                    /* the disk is not to be trusted any more */
    uint64_t revision, committed;
    bool lost;                      /* a write of this transaction failed: its commit reports `error` */
    struct kr_err error;
};

static uint32_t crc_table[256];

static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? UINT32_C(0x82f63b78) ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

/* CRC-32C (RFC 3720 appendix B.4). */
static uint32_t crc_add(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *at = p;
    while (n--)
        crc = crc_table[(crc ^ *at++) & 255] ^ (crc >> 8);
    return crc;
}

static uint32_t crc_of(struct str key, uint64_t revision, struct str json)
{
    uint32_t c = crc_add(UINT32_MAX, key.p, key.n);
    c = crc_add(c, &revision, sizeof revision);
    return ~crc_add(c, json.p, json.n);
}

/* LMDB tells a write that was cut short as EIO, which is what a full disk does to it. */
static bool is_full(const struct store *s)
{
    struct statvfs v;
    return s && s->fd >= 0 && fstatvfs(s->fd, &v) == 0 && v.f_bavail * v.f_frsize < 1048576;
}

static int fail(const struct store *s, struct kr_err *e, int rc, const char *what)
{
    if (rc == ENOSPC || rc == MDB_MAP_FULL || rc == EDQUOT || (rc == EIO && is_full(s)))
        return kr_fail(e, KR_NO_SPACE, "%s: no space is left for the store: free some, then try again", what);
    return kr_fail(e, KR_SYSTEM, "%s: %s", what, mdb_strerror(rc));
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int take_lock(struct store *s, const char *path, struct kr_err *e)
{
    char name[4096];
    int n = snprintf(name, sizeof name, "%s.lock-holder", path);
    if (n < 0 || (size_t)n >= sizeof name)
        return kr_fail(e, KR_TOO_LARGE, "the path \"%s\" is too long", path);
    s->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", name);
    if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
        return kr_fail(e, KR_EXISTS, "the store \"%s\" is in use by another API server", path);
    return 0;
}

static int read_u64(struct store *s, MDB_txn *t, const char *name, uint64_t *ret)
{
    MDB_val k = { strlen(name), (void *)name }, v;
    int rc = mdb_get(t, s->meta, &k, &v);
    if (rc == 0 && v.mv_size == sizeof *ret)
        memcpy(ret, v.mv_data, sizeof *ret);
    return rc;
}

static int write_u64(struct store *s, MDB_txn *t, const char *name, uint64_t value)
{
    MDB_val k = { strlen(name), (void *)name }, v = { sizeof value, &value };
    return mdb_put(t, s->meta, &k, &v, 0);
}

static int prepare(struct store *s, const char *path, struct kr_err *e)
{
    MDB_txn *t = NULL;
    uint64_t format = 0;
    int rc = mdb_txn_begin(s->env, NULL, 0, &t);
    if (rc == 0)
        rc = mdb_dbi_open(t, "objects", MDB_CREATE, &s->objects);
    if (rc == 0)
        rc = mdb_dbi_open(t, "meta", MDB_CREATE, &s->meta);
    if (rc == 0 && read_u64(s, t, "format", &format) == MDB_NOTFOUND) {
        format = FORMAT;
        rc = write_u64(s, t, "format", format);
        s->revision = 1;
        if (rc == 0)
            rc = write_u64(s, t, "revision", s->revision);
    }
    if (rc == 0 && format != FORMAT) {
        mdb_txn_abort(t);
        return kr_fail(e, KR_UNSUPPORTED, "the store \"%s\" has format %llu, this program reads format %d", path,
                       (unsigned long long)format, FORMAT);
    }
    if (rc == 0)
        read_u64(s, t, "revision", &s->revision);
    if (rc) {
        mdb_txn_abort(t);
        return fail(s, e, rc, path);
    }
    s->committed = s->revision;
    rc = mdb_txn_commit(t);
    return rc ? fail(s, e, rc, path) : 0;
}

struct store *store_open(const char *path, struct kr_err *e)
{
    struct store *s = xcalloc(1, sizeof *s);
    crc_init();
    s->lock = s->fd = -1;
    int rc = 0;
    if (take_lock(s, path, e) < 0 || (rc = mdb_env_create(&s->env)) != 0)
        goto failed;
    mdb_env_set_mapsize(s->env, LIMIT_STORE_BYTES);
    mdb_env_set_maxdbs(s->env, 4);
    rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (rc == 0)
        mdb_env_get_fd(s->env, &s->fd);
    if (rc == 0 && prepare(s, path, e) == 0)
        return s;
failed:
    if (rc)
        fail(s, e, rc, path);
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->write)
        mdb_txn_abort(s->write);
    if (s->read)
        mdb_txn_abort(s->read);
    if (s->env)
        mdb_env_close(s->env);
    if (s->lock >= 0)
        close(s->lock);
    free(s);
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

static MDB_txn *reader(struct store *s, int *rc)
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
    if (s->read)
        mdb_txn_abort(TAKE(s->read));
    int rc = mdb_txn_begin(s->env, NULL, 0, &s->write);
    return rc ? fail(s, e, rc, "begin a write") : 0;
}

uint64_t store_revision(const struct store *s) { return s->revision; }
/* All of the transaction is taken back; whoever wrote in it before learns so from the commit. */
static int roll_back(struct store *s, int rc, const char *what, struct kr_err *e)
{
    if (s->write)
        mdb_txn_abort(TAKE(s->write));
    s->revision = s->committed;
    s->lost = true;
    fail(s, e, rc, what);
    s->error = *e;
    if (e->code != KR_NO_SPACE)
        s->failed = true;
    return -1;
}

int store_commit(struct store *s, struct kr_err *e)
{
    if (s->lost) {
        if (s->write)
            mdb_txn_abort(TAKE(s->write));
        s->revision = s->committed;
        s->lost = false;
        *e = s->error;
        return -1;
    }
    if (!s->write)
        return 0;
    int rc = write_u64(s, s->write, "revision", s->revision);
    if (rc == 0)
        rc = mdb_txn_commit(TAKE(s->write));
    if (rc) {
        roll_back(s, rc, "commit", e);
        s->lost = false;
        return -1;
    }
    s->committed = s->revision;
    return 0;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int unpack(struct str key, MDB_val v, struct store_value *ret, struct kr_err *e)
{
    struct value_head h;
    if (v.mv_size < sizeof h)
        return kr_fail(e, KR_SYSTEM, "the store's value of \"%.*s\" is damaged: too short", SFMT(key));
    memcpy(&h, v.mv_data, sizeof h);
    struct str json = { (const char *)v.mv_data + sizeof h, v.mv_size - sizeof h };
    if (h.crc != crc_of(key, h.revision, json))
        return kr_fail(e, KR_SYSTEM, "the store's value of \"%.*s\" is damaged: its checksum differs", SFMT(key));
    *ret = (struct store_value){ key, h.revision, json };
    return 0;
}

int store_get(struct store *s, struct str key, struct store_value *ret, struct kr_err *e)
{
    int rc;
    MDB_txn *t = reader(s, &rc);
    MDB_val k = { key.n, (void *)key.p }, v;
    if (rc == 0 && key.n)
        rc = mdb_get(t, s->objects, &k, &v);
    if (rc == MDB_NOTFOUND || !key.n)
        return 0;
    if (rc)
        return fail(s, e, rc, "read");
    return unpack(key, v, ret, e) < 0 ? -1 : 1;
}

int store_put(struct store *s, struct str key, struct str json, struct kr_err *e)
{
    if (key.n == 0 || key.n > 500)
        return kr_fail(e, KR_TOO_LARGE, "the key \"%.*s\" is too long", SFMT(key));
    if (writer(s, e) < 0)
        return -1;
    MDB_val k = { key.n, (void *)key.p }, v = { sizeof(struct value_head) + json.n, NULL };
    int rc = mdb_put(s->write, s->objects, &k, &v, MDB_RESERVE);
    if (rc)
        return roll_back(s, rc, "write", e);
    s->revision++;
    struct value_head h = { crc_of(key, s->revision, json), 0, s->revision };
    memcpy(v.mv_data, &h, sizeof h);
    memcpy((char *)v.mv_data + sizeof h, json.p, json.n);
    return 0;
}

int store_delete(struct store *s, struct str key, struct kr_err *e)
{
    if (writer(s, e) < 0)
        return -1;
    MDB_val k = { key.n, (void *)key.p };
    int rc = mdb_del(s->write, s->objects, &k, NULL);
    if (rc && rc != MDB_NOTFOUND)
        return roll_back(s, rc, "delete", e);
    s->revision++;
    return 0;
}

/* ---- scans ------------------------------------------------------------------------------------------------------- */

void store_scan_begin(struct store *s, struct store_scan *scan, struct str prefix, struct str after)
{
    *scan = (struct store_scan){ .s = s, .prefix = prefix, .at = { .key = after } };
}

static int step(struct store_scan *scan, MDB_val *k, MDB_val *v)
{
    if (scan->cursor)
        return mdb_cursor_get(scan->cursor, k, v, MDB_NEXT);
    int rc;
    MDB_cursor *c;
    MDB_txn *t = reader(scan->s, &rc);
    if (rc == 0)
        rc = mdb_cursor_open(t, scan->s->objects, &c);
    if (rc)
        return rc;
    scan->cursor = c;
    struct str from = scan->at.key.n ? scan->at.key : scan->prefix;
    *k = (MDB_val){ from.n, (void *)from.p };
    rc = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
    if (rc == 0 && scan->at.key.n && k->mv_size == from.n && memcmp(k->mv_data, from.p, from.n) == 0)
        rc = mdb_cursor_get(c, k, v, MDB_NEXT);
    return rc;
}

int store_scan_next(struct store_scan *scan, struct kr_err *e)
{
    MDB_val k, v;
    int rc = step(scan, &k, &v);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return fail(scan->s, e, rc, "read");
    struct str key = { k.mv_data, k.mv_size };
    if (!str_starts(key, scan->prefix))
        return 0;
    return unpack(key, v, &scan->at, e) < 0 ? -1 : 1;
}

void store_scan_end(struct store_scan *scan)
{
    if (scan->cursor)
        mdb_cursor_close(scan->cursor);
    scan->cursor = NULL;
}

