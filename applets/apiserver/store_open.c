/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_open: opening the store's file: one process, a format this program reads, a file that is as long as its pages say.
 *
 * Format 1 had the newest object of each key only; it is converted in one transaction, so that a stop on the way leaves
 * it as it was. The file's length is looked at before a page is touched: reading behind the end of a mapped file kills.
 */
#include "applets/apiserver/store_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORMAT = 2 };
struct head_1 { uint32_t crc, reserved; uint64_t revision; };         /* of format 1; its crc covers key, revision and JSON */

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

static int read_fixed(struct store *s, const char *name, void *ret, size_t n)
{
    MDB_val k = { strlen(name), (void *)name }, v;
    int rc = mdb_get(s->write, s->meta, &k, &v);
    if (rc == 0 && v.mv_size != n)
        return MDB_CORRUPTED;
    if (rc == 0)
        memcpy(ret, v.mv_data, n);
    return rc;
}

static int write_format(struct store *s, MDB_txn *t)
{
    uint64_t format = FORMAT;
    MDB_val k = { 6, (void *)"format" }, v = { sizeof format, &format };
    return mdb_put(t, s->meta, &k, &v, 0);
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

/* Every byte of a database; what LMDB says. */
static int walk(MDB_txn *t, MDB_dbi dbi)
{
    MDB_cursor *c;
    MDB_val k, v;
    volatile unsigned char sum = 0;
    int rc = mdb_cursor_open(t, dbi, &c);
    if (rc)
        return rc;
    for (rc = mdb_cursor_get(c, &k, &v, MDB_FIRST); rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        for (size_t at = 0; at < v.mv_size; at += 512)
            sum = (unsigned char)(sum + ((const unsigned char *)v.mv_data)[at]);
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int store_walk(MDB_env *env)
{
    static const struct { const char *name; unsigned flags; } all[] = { { "versions", 0 }, { "log", MDB_INTEGERKEY }, { "meta", 0 } };
    MDB_txn *t;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &t);
    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < LEN(all); i++) {
        rc = mdb_dbi_open(t, all[i].name, all[i].flags, &dbi);
        if (rc == 0)
            rc = walk(t, dbi);
    }
    mdb_txn_abort(t);
    return rc;
}

static int cut_short(const char *path, off_t has, uint64_t wants, struct kr_err *e)
{
    return kr_fail(e, KR_SYSTEM, "the store \"%s\" was cut short: it has %lld bytes and needs %llu; restore a backup", path, (long long)has,
                   (unsigned long long)wants);
}

off_t store_used(const struct store *s)
{
    MDB_envinfo info;
    MDB_stat pages;
    mdb_env_info(s->env, &info);
    mdb_env_stat(s->env, &pages);
    return ((off_t)info.me_last_pgno + 1) * (off_t)pages.ms_psize;
}

/* Pages at the end that were given back before they were ever written make a good file shorter than its meta page says. */
static int check_pages(struct store *s, const char *path, struct kr_err *e)
{
    struct stat st;
    if (fstat(s->fd, &st) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "look at \"%s\"", path);
    off_t wants = store_used(s);
    if (st.st_size >= wants)
        return 0;
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {                               /* a page that isn't there ends who reads it */
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGBUS, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        _exit(store_walk(s->env) ? 1 : 0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? 0 : cut_short(path, st.st_size, (uint64_t)wants, e);
}

static bool is_new(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 || st.st_size == 0;
}

static int check_length(const char *path, struct kr_err *e)
{
    struct stat st;
    uint64_t least = 2 * (uint64_t)sysconf(_SC_PAGESIZE);
    if (stat(path, &st) < 0 || st.st_size == 0 || (uint64_t)st.st_size >= least)
        return 0;
    return cut_short(path, st.st_size, least, e);
}

/* ---- format 1 ---------------------------------------------------------------------------------------------------- */

static int convert_value(struct store *s, MDB_val k, MDB_val v, struct kr_err *e)
{
    struct head_1 h;
    struct str key = { k.mv_data, k.mv_size };
    if (v.mv_size >= sizeof h) {
        memcpy(&h, v.mv_data, sizeof h);
        struct store_value value = { key, h.revision, { (const char *)v.mv_data + sizeof h, v.mv_size - sizeof h } };
        if (h.crc == store_crc(key, &h.revision, sizeof h.revision, value.json))
            return store_import(s, &value, e);
    }
    return kr_fail(e, KR_SYSTEM, "the store's value of \"%.*s\" is damaged: its checksum differs", SFMT(key));
}

static int convert(struct store *s, uint64_t revision, struct kr_err *e)
{
    MDB_dbi objects;
    MDB_cursor *c;
    MDB_val k, v;
    s->now = (struct store_now){ .revision = revision, .compacted = revision };
    int rc = mdb_dbi_open(s->write, "objects", 0, &objects);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc == 0)
        rc = mdb_cursor_open(s->write, objects, &c);
    if (rc)
        return store_fail(s, e, rc, "convert the store");
    for (rc = mdb_cursor_get(c, &k, &v, MDB_FIRST); rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        if (convert_value(s, k, v, e) < 0)
            return -1;                            /* the cursor goes with its transaction, which may have gone already */
    mdb_cursor_close(c);
    rc = rc == MDB_NOTFOUND ? mdb_drop(s->write, objects, 1) : rc;
    return rc ? store_fail(s, e, rc, "convert the store") : 0;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int read_format(struct store *s, const char *path, uint64_t format, struct kr_err *e)
{
    uint64_t revision = 1;
    int rc = 0;
    if (format > FORMAT)
        return kr_fail(e, KR_UNSUPPORTED, "the store \"%s\" has format %llu, this program reads up to format %d: use a newer kruntimes", path,
                       (unsigned long long)format, FORMAT);
    if (format == FORMAT) {
        rc = read_fixed(s, "now", &s->now, sizeof s->now);
    } else if (format == 1) {
        rc = read_fixed(s, "revision", &revision, sizeof revision);
        if (rc == 0 && convert(s, revision, e) < 0)
            return -1;
    } else {
        s->now = (struct store_now){ .revision = 1, .compacted = 1 };
    }
    if (rc == 0 && format != FORMAT)
        rc = write_format(s, s->write);
    return rc ? store_fail(s, e, rc, path) : 0;
}

static int prepare(struct store *s, const char *path, struct kr_err *e)
{
    uint64_t format = 0;
    int rc = mdb_txn_begin(s->env, NULL, 0, &s->write);
    if (rc == 0)
        rc = mdb_dbi_open(s->write, "versions", MDB_CREATE, &s->versions);
    if (rc == 0)
        rc = mdb_dbi_open(s->write, "log", MDB_CREATE | MDB_INTEGERKEY, &s->log);
    if (rc == 0)
        rc = mdb_dbi_open(s->write, "meta", MDB_CREATE, &s->meta);
    if (rc == 0 && (rc = read_fixed(s, "format", &format, sizeof format)) == MDB_NOTFOUND)
        rc = 0;
    if (rc)
        return store_fail(s, e, rc, path);
    if (read_format(s, path, format, e) < 0)
        return -1;
    s->committed = s->now;
    if (format != FORMAT)
        return store_commit(s, e);
    rc = mdb_txn_commit(TAKE(s->write));          /* nothing changed: a start on a full disk needs no room */
    return rc ? store_fail(s, e, rc, path) : 0;
}

/* An eighth of a small disk, a fixed part of a large one. */
static uint64_t room_to_want(int fd)
{
    struct statvfs v;
    uint64_t part = fstatvfs(fd, &v) == 0 ? (uint64_t)v.f_blocks * v.f_frsize / 8 : 0;
    return part < LIMIT_HISTORY_ROOM ? part : LIMIT_HISTORY_ROOM;
}

struct store *store_open(const char *path, struct kr_err *e)
{
    struct store *s = xcalloc(1, sizeof *s);
    store_crc_init();
    s->lock = s->fd = -1;
    int rc = 0;
    bool fresh = is_new(path);
    if (take_lock(s, path, e) < 0 || check_length(path, e) < 0 || (rc = mdb_env_create(&s->env)) != 0)
        goto failed;
    mdb_env_set_mapsize(s->env, LIMIT_STORE_BYTES);
    mdb_env_set_maxdbs(s->env, 5);
    rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (rc == 0)
        mdb_env_get_fd(s->env, &s->fd);
    else if (fresh)
        unlink(path);                             /* begun on a full disk it would look like a store that was cut short */
    s->room_wanted = room_to_want(s->fd);
    if (rc == 0 && check_pages(s, path, e) == 0 && prepare(s, path, e) == 0)
        return s;
failed:
    if (rc)
        store_fail(s, e, rc, path);
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
    if (s->length > 0 && !s->failed && ftruncate(s->fd, store_used(s)) < 0)
        s->length = 0;                            /* it stays longer than it need be */
    if (s->env)
        mdb_env_close(s->env);
    if (s->lock >= 0)
        close(s->lock);
    free(s);
}
