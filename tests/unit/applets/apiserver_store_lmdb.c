/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call of LMDB that the API server's store makes fails at its first, second, third… time, as on a damaged file, a full one and a
 * full disk. Then the caller is told, or gets what is right, and after a new start there is what was acknowledged. What apiserver_store_faults.c
 * does to LMDB's own system calls is done here to LMDB.
 */
#include "applets/apiserver/store_impl.h"
#include "tests/kit/faults.h"
#include "tests/kit/store_faults.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 3, VALUES = 6 };
enum start { ANEW, THERE, OLD };                  /* no file, one with the first round in it, one of the format before */

static struct { const char *call; int error, at, seen; bool on, hit; } plan;

static int ask(const char *call)
{
    if (!plan.on || strcmp(call, plan.call) || ++plan.seen != plan.at)
        return 0;
    plan.hit = true;
    return plan.error;
}

static long no_sync(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULT_SYNC ? 0 : (long)n;
}

static const char *path_of(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/lmdb.mdb", test_tmpdir());
    return path;
}

/* ---- a store in use ---------------------------------------------------------------------------------------------- */

static bool told(const struct kr_err *e) { return CHECK(e->code != KR_OK && e->msg[0]); }

/* 0: something of it was refused; -1: it couldn't begin, and is as if nobody had asked. The time passes, so that what the first rounds
 * wrote has left the history by the last. */
static int change(struct store *s, int round)
{
    int good = 1;
    char key[16], json[32];
    snprintf(json, sizeof json, "\"round %d\"", round);
    store_set_time(s, INT64_C(1000000) * (1 + round * (LIMIT_HISTORY_SECONDS + 1)));
    for (int i = 0; i < VALUES; i++) {
        struct kr_err e = { 0 };
        snprintf(key, sizeof key, "k%d", i % 4);
        if ((i == 3 ? store_delete(s, str_of(key), S("\"last\""), &e) : store_put(s, str_of(key), str_of(json), &e)) == 0)
            continue;
        told(&e);
        good = 0;
        if (!s->lost && !s->failed)
            return -1;
    }
    return good;
}

static int write_round(struct store *s, int round)
{
    struct kr_err e = { 0 };
    int good = change(s, round);
    if (good < 0)
        return -1;
    int rc = store_commit(s, &e);
    if (rc < 0)
        told(&e);
    CHECK(good || rc < 0 || s->failed);
    return good ? rc : -1;
}

static bool put_scan(struct store *s, struct buf *out, uint64_t revision)
{
    struct store_scan scan;
    struct kr_err e = { 0 };
    int rc;
    store_scan_begin(s, &scan, S("k"), S("k"));
    scan.revision = revision;
    while ((rc = store_scan_next(&scan, &e)) > 0)
        buf_fmt(out, "%.*s=%.*s@%llu ", SFMT(scan.at.key), SFMT(scan.at.json), (unsigned long long)scan.at.revision);
    store_scan_end(&scan);
    return rc == 0 || !told(&e);
}

static bool put_count(struct store *s, struct buf *out)
{
    struct store_scan scan;
    struct kr_err e = { 0 };
    uint64_t n = 0;
    store_scan_begin(s, &scan, S(""), S(""));
    int rc = store_scan_count(&scan, &n, &e);
    store_scan_end(&scan);
    buf_fmt(out, "\n%llu of them", (unsigned long long)n);
    return rc == 0 || !told(&e);
}

static bool put_gets(struct store *s, struct buf *out)
{
    for (uint64_t at = store_compacted(s); at <= store_revision(s); at++) {
        struct store_value v;
        struct kr_err e = { 0 };
        int rc = store_get_at(s, S("k1"), at, &v, &e);
        if (rc < 0)
            return !told(&e);
        if (rc)
            buf_fmt(out, "\nat %llu: %.*s", (unsigned long long)at, SFMT(v.json));
    }
    return true;
}

static bool put_history(struct store *s, struct buf *out)
{
    struct store_history h;
    struct kr_err e = { 0 };
    size_t steps = 1000;
    int rc;
    store_history_begin(s, &h, S("k"), store_compacted(s));
    while ((rc = store_history_next(&h, store_revision(s), &steps, &e)) > 0)
        buf_fmt(out, "\n%llu: %.*s %.*s<%.*s", (unsigned long long)h.at.revision, SFMT(h.at.key), SFMT(h.at.json), SFMT(h.at.before));
    store_history_end(&h);
    return rc == 0 || !told(&e);
}

/* All that can be asked. False: something of it couldn't be read. */
static bool describe(struct store *s, struct buf *out)
{
    out->max = 1 << 16;
    buf_clear(out);
    buf_fmt(out, "revision %llu compacted %llu\n", (unsigned long long)store_revision(s), (unsigned long long)store_compacted(s));
    bool good = put_scan(s, out, UINT64_MAX) & put_scan(s, out, store_revision(s) - 2);
    good &= put_count(s, out) & put_gets(s, out);
    return good & put_history(s, out);
}

/* ---- files to begin with ----------------------------------------------------------------------------------------- */

static void put_old(MDB_txn *t, MDB_dbi objects, const char *key, uint64_t revision)
{
    struct { uint32_t crc, reserved; uint64_t revision; char json[4]; } v = { 0, 0, revision, "\"o\"" };
    v.crc = store_crc(str_of(key), &v.revision, sizeof v.revision, S("\"o\""));
    CHECK(mdb_put(t, objects, &(MDB_val){ strlen(key), (void *)key }, &(MDB_val){ 19, &v }, 0) == 0);
}

static void make_old(void)
{
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi objects, meta;
    uint64_t format = 1, revision = 9;
    store_crc_init();
    CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 && mdb_env_open(env, path_of(), MDB_NOSUBDIR | MDB_NOLOCK, 0600) == 0);
    CHECK(mdb_txn_begin(env, NULL, 0, &t) == 0 && mdb_dbi_open(t, "objects", MDB_CREATE, &objects) == 0 && mdb_dbi_open(t, "meta", MDB_CREATE, &meta) == 0);
    put_old(t, objects, "k1", 7);
    put_old(t, objects, "k5", 8);
    CHECK(mdb_put(t, meta, &(MDB_val){ 6, (void *)"format" }, &(MDB_val){ 8, &format }, 0) == 0);
    CHECK(mdb_put(t, meta, &(MDB_val){ 8, (void *)"revision" }, &(MDB_val){ 8, &revision }, 0) == 0);
    CHECK(mdb_txn_commit(t) == 0);
    mdb_env_close(env);
}

static void make(enum start start)
{
    struct kr_err e = { 0 };
    unlink(path_of());
    if (start == OLD)
        make_old();
    if (start != THERE)
        return;
    struct store *s = store_open(path_of(), &e);
    if (CHECK(s))
        CHECK_INT(write_round(s, 1), 0);
    store_close(s);
}

/* ---- the sweep --------------------------------------------------------------------------------------------------- */

static struct buf want[ROUNDS + 1];               /* what is there after each round; [0]: before the first */
static char what[128];

static bool same(const struct buf *got, int round) { return str_eq(buf_view(got), buf_view(&want[round])); }

static void check_is(struct store *s, int round, bool may_fail)
{
    AUTO_BUF struct buf got = { .max = 0 };
    bool good = describe(s, &got);
    if (!CHECK(good || may_fail) || (good && !CHECK(same(&got, round))))
        printf("  %s: round %d:\n%s\ninstead of\n%s\n", what, round, got.p, want[round].p);
}

static void record(enum start start)
{
    struct kr_err e = { 0 };
    make(start);
    struct store *s = store_open(path_of(), &e);
    CHECK_OR(s);
    for (int r = start == THERE ? 1 : 0; r <= ROUNDS; r++) {
        if (r > (start == THERE ? 1 : 0))
            CHECK_INT(write_round(s, r), 0);
        CHECK(describe(s, &want[r]));
    }
    store_close(s);
}

/* How many rounds are acknowledged. A round that failed is tried again, unless the store says that it is over. */
static int use(struct store *s, int r)
{
    check_is(s, r, true);
    while (r < ROUNDS && !store_failure(s)) {
        int rc = write_round(s, r + 1);
        if (rc < 0 && !CHECK(plan.hit))
            break;
        r += rc == 0;
        check_is(s, r, true);
    }
    plan.on = false;
    check_is(s, r, false);
    if (store_failure(s))
        CHECK_INT(write_round(s, r + 1), -1);
    CHECK(r == ROUNDS || store_failure(s));
    return r;
}

/* False once the call is not made so often. */
static bool fail_at(enum start start, const char *call, int error, int at)
{
    struct kr_err e = { 0 };
    int acked = start == THERE ? 1 : 0;
    snprintf(what, sizeof what, "start %d, %s %d, %s", start, call, at, mdb_strerror(error));
    make(start);
    plan.call = call, plan.error = error, plan.at = at, plan.seen = 0, plan.hit = false, plan.on = true;
    struct store *s = store_open(path_of(), &e);
    if (s)
        acked = use(s, acked);
    else if (!told(&e) || !CHECK(plan.hit))
        printf("  %s\n", what);
    plan.on = false;
    store_close(s);
    s = store_open(path_of(), &e);
    if (CHECK(s))
        check_is(s, acked, false);
    store_close(s);
    return plan.hit;
}

static int sweep(enum start start, int error)
{
    int hits = 0;
    record(start);
    for (const char *const *call = store_fault_names; *call; call++)
        for (int at = 1; fail_at(start, *call, error, at); at++)
            hits++;
    return hits;
}

static void sweep_all(enum start start, int error)
{
    store_fault_ask = ask;
    fault_ask = no_sync;
    CHECK(sweep(start, error) > 100);
    fault_ask = NULL;
    store_fault_ask = NULL;
    for (int r = 0; r <= ROUNDS; r++)
        buf_free(&want[r]);
}

TEST(each_call_of_lmdb_fails_on_a_new_file_that_is_damaged) { sweep_all(ANEW, MDB_CORRUPTED); }
TEST(each_call_of_lmdb_fails_on_a_file_with_no_room) { sweep_all(THERE, MDB_MAP_FULL); }
TEST(each_call_of_lmdb_fails_on_one_that_is_converted_and_has_no_room) { sweep_all(OLD, EDQUOT); }
TEST(each_call_of_lmdb_fails_on_one_that_is_converted_and_damaged) { sweep_all(OLD, MDB_CORRUPTED); }
