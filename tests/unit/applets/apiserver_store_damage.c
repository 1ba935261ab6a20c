/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server's store with entries in it that it never wrote, as a disk leaves them, and asked for what it doesn't take: each is named,
 * what is whole can be read beside it, and the compaction gets past it.
 */
#include "applets/apiserver/store_impl.h"
#include "tests/kit/faults.h"
#include "tests/kit/store.h"
#include "tests/kit/store_faults.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What LMDB has under that key of a database, behind the store's back; a value of no bytes takes it away. */
static void set(struct store *s, MDB_dbi dbi, MDB_val key, MDB_val value)
{
    MDB_txn *t;
    if (s->read)
        mdb_txn_abort(TAKE(s->read));
    CHECK(mdb_txn_begin(s->env, NULL, 0, &t) == 0);
    CHECK((value.mv_size ? mdb_put(t, dbi, &key, &value, 0) : mdb_del(t, dbi, &key, NULL)) == 0);
    CHECK(mdb_txn_commit(t) == 0);
}

static MDB_val text(const char *z) { return (MDB_val){ strlen(z), (void *)z }; }

static MDB_val key_of(const char *key, uint64_t revision)
{
    static struct version_key k;
    size_t n = strlen(key);
    memcpy(k.bytes, key, n + 1);
    for (size_t i = 0; i < 8; i++)
        k.bytes[n + 1 + i] = (char)(unsigned char)(~revision >> (56 - 8 * i));
    return (MDB_val){ n + 9, k.bytes };
}

/* How the scan of prefix ends: "N read", and what is wrong. */
static struct str scan(struct store *s, const char *prefix, const char *after)
{
    static struct buf b;
    struct store_scan scan;
    struct kr_err e = { 0 };
    int n = 0, rc;
    b.max = 4096;
    buf_clear(&b);
    store_scan_begin(s, &scan, str_of(prefix), str_of(after));
    while ((rc = store_scan_next(&scan, &e)) > 0)
        n++;
    store_scan_end(&scan);
    buf_fmt(&b, "%d read%s%s", n, rc < 0 ? ": " : "", e.msg);
    return buf_view(&b);
}

/* The same of the history up to `last`. */
static struct str history(struct store *s, uint64_t after, uint64_t last, size_t steps)
{
    static struct buf b;
    struct store_history h;
    struct kr_err e = { 0 };
    int n = 0, rc;
    b.max = 4096;
    buf_clear(&b);
    store_history_begin(s, &h, S(""), after);
    while ((rc = store_history_next(&h, last, &steps, &e)) > 0)
        n++;
    store_history_end(&h);
    buf_fmt(&b, "%d read%s%s", n, rc < 0 ? ": " : "", e.msg);
    return buf_view(&b);
}

TEST(a_key_without_a_revision_is_named)
{
    static const char *const keys[] = { "a/2", "a/2 and no end of it" };
    for (size_t i = 0; i < LEN(keys); i++) {
        struct store *s = kit_store();
        struct store_value v;
        struct kr_err e = { 0 };
        kit_put(s, "a/1", "{}");
        kit_put(s, "a/3", "{}");
        kit_commit(s);
        set(s, s->versions, text(keys[i]), text("?"));
        CHECK_STR(scan(s, "a/", ""), S("1 read: the store is damaged: a key has no revision"));
        CHECK_INT(store_get(s, S("a/2"), &v, &e), 0);
        CHECK_INT(store_get(s, S("a/3"), &v, &e), 1);
        store_close(s);
        unlink(kit_store_path());
    }
}

TEST(a_value_that_is_too_short_is_named_and_written_over)
{
    struct store *s = kit_store();
    struct store_value v;
    struct store_scan all;
    struct kr_err e = { 0 };
    uint64_t n = 0;
    kit_put(s, "a/1", "{}");                          /* 2 */
    kit_put(s, "a/2", "{}");                          /* 3 */
    kit_commit(s);
    set(s, s->versions, key_of("a/1", 2), text("short"));
    CHECK(store_get(s, S("a/1"), &v, &e) < 0);
    CHECK_Z(e.msg, "the store's value of \"a/1\" is damaged: too short");
    CHECK_STR(history(s, 1, 3, 9), S("0 read: the store's value of \"a/1\" is damaged: too short"));
    store_scan_begin(s, &all, S(""), S(""));
    CHECK_INT(store_scan_count(&all, &n, &e), 0);
    store_scan_end(&all);
    CHECK_INT(n, 1);
    kit_put(s, "a/1", "{\"new\":1}");                 /* 4 */
    kit_commit(s);
    CHECK_INT(store_get(s, S("a/1"), &v, &e), 1);
    CHECK_STR(v.json, S("{\"new\":1}"));
    CHECK_STR(history(s, 2, 4, 9), S("2 read"));
    s->now.entries = LIMIT_HISTORY_EVENTS + 9;
    kit_put(s, "a/2", "{}");                          /* 5; all before it goes */
    kit_commit(s);
    CHECK_INT(store_compacted(s), 4);
    CHECK_STR(scan(s, "a/1", ""), S("1 read"));
    store_close(s);
}

TEST(a_value_of_another_revision_is_named)
{
    struct store *s = kit_store();
    struct store_value v;
    struct kr_err e = { 0 };
    struct { struct version_head h; char json[2]; } other = { { 0, 0, 9 }, "{}" };
    kit_put(s, "a/1", "{}");
    kit_commit(s);
    other.h.crc = store_crc(S("a/1"), &other.h.flags, sizeof other.h - sizeof other.h.crc, S("{}"));
    set(s, s->versions, key_of("a/1", 2), (MDB_val){ sizeof other.h + 2, &other });
    CHECK(store_get(s, S("a/1"), &v, &e) < 0);
    CHECK_Z(e.msg, "the store's value of \"a/1\" is damaged: its checksum differs");
    store_close(s);
}

/* Of four entries one is too short, one has a wrong checksum, one a key that nobody could have written. */
TEST(damaged_entries_of_the_history_are_named_and_go_with_it)
{
    struct store *s = kit_store();
    struct { struct log_head h; char key[STORE_KEY_MAX + 1]; } longer = { { 0, 1, 0, 0 }, "" };
    uint64_t revision = 2;
    MDB_val at = { sizeof revision, &revision };
    char wrong[40] = "";
    memset(longer.key, 'k', sizeof longer.key);
    longer.h.crc = store_crc((struct str){ longer.key, sizeof longer.key }, &longer.h.size, sizeof longer.h - sizeof longer.h.crc, S(""));
    for (int i = 0; i < 5; i++)
        kit_put(s, "a/1", "{}");                      /* 2 to 6 */
    kit_commit(s);
    set(s, s->log, at, text("short"));
    CHECK_STR(history(s, 1, 6, 9), S("0 read: the store's history is damaged at revision 2: its checksum differs"));
    revision = 3;
    set(s, s->log, at, (MDB_val){ sizeof wrong, wrong });
    CHECK_STR(history(s, 2, 6, 9), S("0 read: the store's history is damaged at revision 3: its checksum differs"));
    revision = 4;
    set(s, s->log, at, (MDB_val){ sizeof longer.h + sizeof longer.key, &longer });
    CHECK_STR(history(s, 4, 6, 9), S("2 read"));
    CHECK_STR(scan(s, "", ""), S("1 read"));
    kit_put(s, "a/2", "{}");                          /* 7; what is damaged goes at once, the whole one behind it stays */
    kit_commit(s);
    CHECK_INT(store_compacted(s), 4);
    CHECK_STR(history(s, 4, 7, 9), S("3 read"));
    CHECK_STR(scan(s, "", ""), S("2 read"));
    store_close(s);
}

/* Entries whose versions have gone, and of which the size was told wrong. */
TEST(the_compaction_gets_past_what_is_not_there)
{
    struct store *s = kit_store();
    struct kr_err e = { 0 };
    kit_put(s, "a/1", "1");                           /* 2 */
    kit_put(s, "a/1", "2");                           /* 3 */
    CHECK_INT(store_delete(s, S("a/2"), S("gone"), &e), 0);       /* 4 */
    kit_commit(s);
    set(s, s->versions, key_of("a/1", 2), (MDB_val){ 0 });
    CHECK_STR(history(s, 2, 3, 9), S("1 read"));
    set(s, s->versions, key_of("a/2", 4), (MDB_val){ 0 });
    CHECK(str_ends(history(s, 3, 4, 9), S("MDB_NOTFOUND: No matching key/data pair found")));
    s->now.bytes = 1;
    store_set_time(s, INT64_C(1000000) * LIMIT_HISTORY_SECONDS * 9);
    kit_put(s, "a/3", "3");
    kit_commit(s);
    CHECK_INT(store_compacted(s), 1);             /* entries of no known time don't get old */
    s->now.entries = LIMIT_HISTORY_EVENTS + 9;
    kit_put(s, "a/3", "4");
    kit_commit(s);
    CHECK_INT(store_compacted(s), 5);
    CHECK_STR(scan(s, "", ""), S("2 read"));
    store_close(s);
}

TEST(the_history_ends_where_it_is_asked_to)
{
    struct store *s = kit_store();
    uint64_t revision = 3;
    for (int i = 0; i < 3; i++)
        kit_put(s, "a/1", "{}");                      /* 2 to 4 */
    kit_commit(s);
    CHECK_STR(history(s, 1, 4, 2), S("2 read"));
    CHECK_STR(history(s, 1, 9, 9), S("3 read"));
    set(s, s->log, (MDB_val){ sizeof revision, &revision }, (MDB_val){ 0 });
    CHECK_STR(history(s, 2, 3, 9), S("0 read"));  /* the next there is comes later */
    store_close(s);
}

static char long_key[STORE_KEY_MAX + 2];

TEST(keys_have_a_length)
{
    struct store *s = kit_store();
    struct store_value v = { .revision = 2, .json = S("{}") };
    struct kr_err e = { 0 };
    memset(long_key, 'k', STORE_KEY_MAX);
    kit_put(s, long_key, "{}");
    kit_commit(s);
    CHECK_STR(scan(s, "", long_key), S("0 read"));
    CHECK_INT(store_get(s, str_of(long_key), &v, &e), 1);
    long_key[STORE_KEY_MAX] = 'k';
    const struct str keys[] = { S(""), str_of(long_key) };
    for (size_t i = 0; i < LEN(keys); i++) {
        CHECK_INT(store_get(s, keys[i], &v, &e), 0);
        CHECK(store_put(s, keys[i], S("{}"), &e) < 0 && e.code == KR_TOO_LARGE);
        v.key = keys[i];
        CHECK(store_import(s, &v, &e) < 0 && e.code == KR_INVALID);
    }
    v = (struct store_value){ S("a/1"), 2, S("") };
    CHECK(store_import(s, &v, &e) < 0 && e.code == KR_INVALID);
    CHECK_STR(scan(s, "", long_key), S("0 read"));        /* no key is behind it */
    store_close(s);
}

/* ---- what the system says ---------------------------------------------------------------------------------------- */

static struct { const char *call; int error, times; } plan;

static int ask(const char *call)
{
    if (!plan.times || strcmp(call, plan.call))
        return 0;
    plan.times--;
    return plan.error;
}

static void let_fail(const char *call, int error, int times)
{
    plan.call = call, plan.error = error, plan.times = times;
    store_fault_ask = ask;
}

static enum kr_code code_of_eio(struct store *s)
{
    struct kr_err e = { 0 };
    store_fail(s, &e, EIO, "write");
    return e.code;
}

/* LMDB tells a write that a full disk cut short as EIO. */
TEST(an_error_of_the_disk_on_a_full_one_is_for_want_of_space)
{
    struct store *s = kit_store();
    int fd = s->fd;
    CHECK_INT(code_of_eio(s), KR_SYSTEM);
    let_fail("fstatvfs", ENOSPC, 1);
    CHECK_INT(code_of_eio(s), KR_NO_SPACE);
    let_fail("fstatvfs", EIO, 1);
    CHECK_INT(code_of_eio(s), KR_SYSTEM);
    s->fd = -1;
    CHECK_INT(code_of_eio(s), KR_SYSTEM);
    s->fd = fd;
    store_close(s);
}

TEST(who_may_not_read_is_told)
{
    struct store *s = kit_store();
    struct store_value v;
    struct kr_err e = { 0 };
    kit_put(s, "a/1", "{}");
    kit_commit(s);
    let_fail("mdb_txn_begin", MDB_READERS_FULL, 1);
    CHECK(store_get(s, S("a/1"), &v, &e) < 0 && e.code == KR_SYSTEM);
    let_fail("mdb_txn_begin", MDB_READERS_FULL, 1);
    CHECK(str_starts(history(s, 1, 2, 9), S("0 read: read the history: MDB_READERS_FULL")));
    CHECK_STR(history(s, 1, 2, 9), S("1 read"));
    store_close(s);
}

static long fail_writes(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULT_PWRITE || call == FAULT_WRITEV ? -EIO : (long)n;
}

TEST(nothing_is_imported_behind_a_failed_disk)
{
    struct store *s = kit_store();
    struct store_value v = { S("a/2"), 2, S("{}") };
    struct kr_err e = { 0 };
    kit_put(s, "a/1", "{}");
    fault_ask = fail_writes;
    CHECK(store_commit(s, &e) < 0 && e.code == KR_SYSTEM);
    fault_ask = NULL;
    CHECK(store_import(s, &v, &e) < 0 && str_starts(str_of(e.msg), S("the store stopped writing: ")));
    CHECK(store_import_end(s, 9, &e) < 0 && str_starts(str_of(e.msg), S("the store stopped writing: ")));
    CHECK_INT(store_revision(s), 1);
    CHECK_STR(scan(s, "", ""), S("0 read"));
    store_close(s);
}

/* An import fails at each call of LMDB, and can be begun anew when it was for want of space. */
TEST(an_import_that_fails_leaves_nothing)
{
    for (const char *const *call = store_fault_names; *call; call++)
        for (int at = 1; at < 4; at++) {
            struct store *s = kit_store();
            struct store_value v = { S("a/2"), 7, S("{}") };
            struct kr_err e = { 0 };
            let_fail(*call, MDB_MAP_FULL, 1);
            bool good = store_import(s, &v, &e) == 0 && store_import_end(s, 9, &e) == 0;
            CHECK(good || e.code == KR_NO_SPACE);
            plan.times = 0;
            if (!good) {
                store_commit(s, &e);              /* tells of it, and takes it back */
                CHECK_STR(scan(s, "", ""), S("0 read"));
                CHECK(store_import(s, &v, &e) == 0 && store_import_end(s, 9, &e) == 0);
            }
            CHECK_STR(scan(s, "", ""), S("1 read"));
            CHECK_INT(store_compacted(s), 9);
            store_close(s);
            unlink(kit_store_path());
        }
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void refused(const char *path, enum kr_code code, const char *why)
{
    struct kr_err e = { 0 };
    struct store *s = store_open(path, &e);
    CHECK(s == NULL);
    CHECK_INT(e.code, code);
    if (!CHECK(strstr(e.msg, why)))
        printf("  %s\n", e.msg);
    store_close(s);
}

TEST(a_path_has_a_length)
{
    static char path[5000];
    memset(path, '/', sizeof path - 1);
    refused(path, KR_TOO_LARGE, "the path \"//");
}

TEST(an_empty_file_is_a_new_store)
{
    int fd = open(kit_store_path(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    struct store *s = kit_store();
    CHECK_INT(store_revision(s), 1);
    store_close(s);
}

TEST(what_the_store_says_of_itself_has_its_size)
{
    static const char *const names[] = { "now", "format" };
    for (size_t i = 0; i < LEN(names); i++) {
        struct store *s = kit_store();
        set(s, s->meta, text(names[i]), text("odd"));
        store_close(s);
        refused(kit_store_path(), KR_SYSTEM, "MDB_CORRUPTED");
        unlink(kit_store_path());
    }
}

/* Format 1 with that value of one object; NULL: without the database of objects. */
static void make_old(const MDB_val *value)
{
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi objects, meta;
    uint64_t format = 1, revision = 9;
    unlink(kit_store_path());
    CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 && mdb_env_open(env, kit_store_path(), MDB_NOSUBDIR | MDB_NOLOCK, 0600) == 0);
    CHECK(mdb_txn_begin(env, NULL, 0, &t) == 0 && mdb_dbi_open(t, "meta", MDB_CREATE, &meta) == 0);
    if (value)
        CHECK(mdb_dbi_open(t, "objects", MDB_CREATE, &objects) == 0 && mdb_put(t, objects, &(MDB_val){ 3, (void *)"a/b" }, (MDB_val *)value, 0) == 0);
    CHECK(mdb_put(t, meta, &(MDB_val){ 6, (void *)"format" }, &(MDB_val){ 8, &format }, 0) == 0);
    CHECK(mdb_put(t, meta, &(MDB_val){ 8, (void *)"revision" }, &(MDB_val){ 8, &revision }, 0) == 0);
    CHECK(mdb_txn_commit(t) == 0);
    mdb_env_close(env);
}

TEST(a_damaged_value_is_not_converted)
{
    char wrong[20] = "";
    const MDB_val values[] = { { 5, (void *)"short" }, { sizeof wrong, wrong } };
    for (size_t i = 0; i < LEN(values); i++) {
        make_old(&values[i]);
        refused(kit_store_path(), KR_SYSTEM, "the store's value of \"a/b\" is damaged: its checksum differs");
    }
    make_old(NULL);
    struct store *s = kit_store();
    CHECK_INT(store_revision(s), 9);
    CHECK_STR(scan(s, "", ""), S("0 read"));
    store_close(s);
}

/* A store whose last pages were given back before they were ever written: its file is shorter than it says, and whole. */
static void make_shorter(void)
{
    static char json[100000];
    struct store *s = kit_store();
    MDB_val key = text("large");
    for (int i = 0; i < 9; i++) {                 /* pages that are free already make LMDB forget those which nobody needs at once */
        kit_put(s, "a/1", "{}");
        kit_commit(s);
    }
    kit_put(s, "a/1", "{}");
    CHECK(mdb_put(s->write, s->meta, &key, &(MDB_val){ sizeof json, json }, 0) == 0);
    CHECK(mdb_del(s->write, s->meta, &key, NULL) == 0);
    kit_commit(s);
    store_close(s);
    struct stat st;
    CHECK(stat(kit_store_path(), &st) == 0 && truncate(kit_store_path(), st.st_size - 20 * 4096) == 0);
}

TEST(a_file_without_its_last_pages_is_read_through_before_it_is_used)
{
    make_shorter();
    let_fail("waitpid", EINTR, 2);
    struct store *s = kit_store();
    CHECK_INT(plan.times, 0);
    CHECK_STR(scan(s, "", ""), S("1 read"));
    store_close(s);
    make_shorter();
    let_fail("waitpid", ECHILD, 1);
    refused(kit_store_path(), KR_SYSTEM, "was cut short");
    while (wait(NULL) > 0)                        /* it has the lock too */
        ;
    let_fail("mdb_cursor_open", MDB_CORRUPTED, 1);        /* of who reads it through */
    refused(kit_store_path(), KR_SYSTEM, "was cut short");
}

TEST(reading_through_fails_as_lmdb_does)
{
    static const char *const calls[] = { "mdb_txn_begin", "mdb_dbi_open", "mdb_cursor_open", "mdb_cursor_get" };
    struct store *s = kit_store();
    kit_put(s, "a/1", "{}");
    kit_commit(s);
    CHECK_INT(store_walk(s->env), 0);
    for (size_t i = 0; i < LEN(calls); i++) {
        let_fail(calls[i], MDB_CORRUPTED, 1);
        CHECK_INT(store_walk(s->env), MDB_CORRUPTED);
        CHECK_INT(plan.times, 0);
    }
    CHECK_INT(store_walk(s->env), 0);
    store_close(s);
}
