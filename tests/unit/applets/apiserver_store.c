/* SPDX-License-Identifier: Apache-2.0 */
/* The API server's store: reads at a revision, history, compaction, damage, kill -9. */
#include "applets/apiserver/store_impl.h"
#include "core/clock.h"
#include "tests/kit/store.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void del(struct store *s, const char *key, const char *last)
{
    struct kr_err e = { 0 };
    CHECK(store_delete(s, str_of(key), str_of(last), &e) == 0);
}

/* "KEY=JSON@REVISION " of all that begins with prefix, as it was. */
static struct str seen(struct store *s, const char *prefix, const char *after, uint64_t revision)
{
    static struct buf b;
    struct store_scan scan;
    struct kr_err e = { 0 };
    int rc;
    b.max = 65536;
    buf_clear(&b);
    store_scan_begin(s, &scan, str_of(prefix), str_of(after));
    scan.revision = revision;
    while ((rc = store_scan_next(&scan, &e)) > 0)
        buf_fmt(&b, "%.*s=%.*s@%llu ", SFMT(scan.at.key), SFMT(scan.at.json), (unsigned long long)scan.at.revision);
    store_scan_end(&scan);
    if (rc < 0)
        buf_fmt(&b, "! %s", e.msg);
    return buf_view(&b);
}

/* "+KEY", "~KEY:BEFORE>NOW", "-KEY:LAST" of the history. */
static struct str told(struct store *s, const char *prefix, uint64_t after)
{
    static struct buf b;
    struct store_history h;
    struct kr_err e = { 0 };
    size_t steps = 100000;
    int rc;
    b.max = 65536;
    buf_clear(&b);
    store_history_begin(s, &h, str_of(prefix), after);
    while ((rc = store_history_next(&h, store_revision(s), &steps, &e)) > 0)
        buf_fmt(&b, "%c%.*s:%.*s>%.*s@%llu ", h.at.deleted ? '-' : h.at.before.n ? '~' : '+', SFMT(h.at.key), SFMT(h.at.before), SFMT(h.at.json),
                (unsigned long long)h.at.revision);
    store_history_end(&h);
    if (rc < 0)
        buf_fmt(&b, "! %s", e.msg);
    return buf_view(&b);
}

TEST(reads_at_revisions)
{
    struct store *s = kit_store();
    kit_put(s, "a/1", "A1");                          /* 2 */
    kit_put(s, "a/2", "B1");                          /* 3 */
    kit_commit(s);
    for (int i = 0; i < 6; i++)
        kit_put(s, "a/1", "A2");                      /* 4 to 9: more versions than are stepped over */
    kit_put(s, "a/10", "C");                          /* 10 */
    del(s, "a/2", "B gone");                      /* 11 */
    kit_put(s, "b/1", "D");                           /* 12 */
    for (int again = 0; again < 2; again++) {     /* pending, then from disk */
        CHECK_STR(seen(s, "a/", "", UINT64_MAX), S("a/1=A2@9 a/10=C@10 "));
        CHECK_STR(seen(s, "a/", "", 3), S("a/1=A1@2 a/2=B1@3 "));
        CHECK_STR(seen(s, "a/", "", 5), S("a/1=A2@5 a/2=B1@3 "));
        CHECK_STR(seen(s, "a/", "a/1", 10), S("a/10=C@10 a/2=B1@3 "));
        CHECK_STR(seen(s, "", "", 2), S("a/1=A1@2 "));
        CHECK_STR(seen(s, "b/", "", 11), S(""));
        CHECK_STR(seen(s, "a/", "", 1), S(""));
        CHECK_STR(told(s, "a/2", 1), S("+a/2:>B1@3 -a/2:B1>B gone@11 "));
        CHECK_STR(told(s, "", 8), S("~a/1:A2>A2@9 +a/10:>C@10 -a/2:B1>B gone@11 +b/1:>D@12 "));
        struct store_value v;
        struct kr_err e = { 0 };
        CHECK_INT(store_get(s, S("a/2"), &v, &e), 0);
        CHECK_INT(store_get_at(s, S("a/2"), 10, &v, &e), 1);
        CHECK_INT(store_get(s, S("a"), &v, &e), 0);
        struct store_scan scan;
        uint64_t n = 0;
        store_scan_begin(s, &scan, S("a/"), S(""));
        CHECK_INT(store_scan_count(&scan, &n, &e), 0);
        store_scan_end(&scan);
        CHECK_INT(n, 2);
        kit_commit(s);
        store_close(s);
        s = kit_store();
        CHECK_INT(store_revision(s), 12);
    }
    kit_put(s, "a/2", "again");
    CHECK_STR(told(s, "a/2", 10), S("-a/2:B1>B gone@11 +a/2:>again@13 "));
    store_close(s);                               /* not committed */
    s = kit_store();
    CHECK_INT(store_revision(s), 12);
    CHECK_STR(told(s, "a/2", 10), S("-a/2:B1>B gone@11 "));
    store_close(s);
}

TEST(compaction_by_age_is_whole_at_each_step)
{
    struct store *s = kit_store();
    store_set_time(s, INT64_C(1000000000));
    char key[16], json[16];
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "k/%d", i % 7);
        snprintf(json, sizeof json, "v%d", i);
        if (i % 11 == 10)
            del(s, key, json);
        else
            kit_put(s, key, json);
    }
    kit_commit(s);
    AUTO_BUF struct buf before = { .max = 65536 };
    buf_str(&before, seen(s, "k/", "", 500));
    store_set_time(s, INT64_C(1000000000) + INT64_C(1000000) * LIMIT_HISTORY_SECONDS + 1);
    uint64_t was = store_compacted(s);
    for (int i = 0; i < 40; i++) {
        kit_put(s, "other", "x");
        kit_commit(s);
        uint64_t at = store_compacted(s);
        CHECK(at >= was && at - was <= 80);       /* a bounded step */
        was = at;
        if (at <= 500)
            CHECK_STR(seen(s, "k/", "", 500), buf_view(&before));
        store_close(s);                           /* stopped and opened again behind each step */
        s = kit_store();
        store_set_time(s, INT64_C(1000000000) + INT64_C(1000000) * LIMIT_HISTORY_SECONDS + 1);
        CHECK_INT(store_compacted(s), at);
    }
    CHECK_INT(was, 601);
    CHECK(str_starts(told(s, "", 600), S("! too old resource version: 600 (601)")));
    MDB_stat st;
    int rc;
    mdb_stat(store_reader(s, &rc), s->versions, &st);
    uint64_t live = 0;
    struct str all = seen(s, "k/", "", UINT64_MAX);
    for (size_t i = 0; i < all.n; i++)
        live += all.p[i] == ' ';
    CHECK_INT(st.ms_entries, live + 40);          /* no superseded version and no tombstone is left */
    store_close(s);
}

/* On a disk that is nearly full, what is past goes sooner, and the file grows no more. */
TEST(the_history_is_short_on_a_disk_that_is_nearly_full)
{
    struct store *s = kit_store();
    struct stat st;
    static char json[20001];
    off_t size = 0;
    memset(json, 'x', sizeof json - 1);
    for (int i = 0; i < 400; i++) {                /* one a second */
        s->room_wanted = i < 100 ? 0 : UINT64_MAX;
        store_set_time(s, INT64_C(1000000000) + i * INT64_C(1000000));
        kit_put(s, "k", json);
        kit_commit(s);
        CHECK(stat(kit_store_path(), &st) == 0);
        if (i == 99)
            CHECK_INT(store_compacted(s), 1);
        if (i == 110)
            size = st.st_size;
    }
    CHECK_INT(store_compacted(s), 401 - LIMIT_HISTORY_SHORT_SECONDS - 1);
    CHECK_INT(st.st_size, size);
    store_close(s);
}

/* As many entries, or bytes, as the limit says are in the history: with one more the oldest goes. */
TEST(the_history_has_a_number_and_a_size)
{
    for (int pass = 0; pass < 2; pass++) {
        struct store *s = kit_store();
        uint64_t was = store_compacted(s);
        for (int i = 0; i < 10; i++)
            kit_put(s, "k", "v");
        kit_commit(s);
        CHECK_INT(store_compacted(s), was);
        if (pass == 0)
            s->now.entries = LIMIT_HISTORY_EVENTS;
        else
            s->now.bytes = LIMIT_HISTORY_BYTES;
        kit_put(s, "k", "v");
        kit_commit(s);
        CHECK(store_compacted(s) > was);
        store_close(s);
        unlink(kit_store_path());
    }
}

static void flip(const char *needle)
{
    struct str all = { 0 };
    struct stat st;
    int fd = open(kit_store_path(), O_RDWR);
    CHECK(fstat(fd, &st) == 0);
    char *p = xmalloc((size_t)st.st_size);
    CHECK(pread(fd, p, (size_t)st.st_size, 0) == st.st_size);
    all = (struct str){ p, (size_t)st.st_size };
    for (size_t i = 0; i + strlen(needle) <= all.n; i++)
        if (memcmp(p + i, needle, strlen(needle)) == 0) {
            char c = (char)(p[i] ^ 1);
            CHECK(pwrite(fd, &c, 1, (off_t)i) == 1);
        }
    free(p);
    close(fd);
}

TEST(a_flipped_bit_is_named)
{
    struct store *s = kit_store();
    struct store_value v;
    struct kr_err e = { 0 };
    kit_put(s, "a/1", "{\"good\":1}");
    kit_put(s, "a/2", "{\"needle\":1}");
    kit_put(s, "a/3", "{}");
    kit_commit(s);
    store_close(s);
    flip("needle");
    s = kit_store();
    CHECK_INT(store_get(s, S("a/1"), &v, &e), 1);
    CHECK_INT(store_get(s, S("a/2"), &v, &e), -1);
    CHECK_Z(e.msg, "the store's value of \"a/2\" is damaged: its checksum differs");
    CHECK(str_starts(seen(s, "a/", "", UINT64_MAX), S("a/1={\"good\":1}@2 ! the store's value of \"a/2\"")));
    struct store_scan scan;
    store_scan_begin(s, &scan, S("a/"), S(""));
    CHECK(store_scan_next(&scan, &e) > 0 && store_scan_next(&scan, &e) < 0 && scan.damaged);
    CHECK(store_scan_next(&scan, &e) > 0 && !scan.damaged);      /* what is behind can still be read */
    CHECK_STR(scan.at.key, S("a/3"));
    store_scan_end(&scan);
    store_close(s);
}

TEST(a_file_cut_short_is_refused)
{
    struct store *s = kit_store();
    char json[3000];
    struct kr_err e = { 0 };
    memset(json, 'x', sizeof json);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "k/%d", i);
        CHECK(store_put(s, str_of(key), (struct str){ json, sizeof json }, &e) == 0);
    }
    kit_commit(s);
    store_close(s);
    struct stat st;
    CHECK(stat(kit_store_path(), &st) == 0);
    static const int kept[] = { 60, 10, 0 };      /* in percent; 0: a few bytes */
    for (size_t i = 0; i < LEN(kept); i++) {
        CHECK(truncate(kit_store_path(), kept[i] ? st.st_size * kept[i] / 100 / 4096 * 4096 : 100) == 0);
        s = store_open(kit_store_path(), &e);
        CHECK(s == NULL && strstr(e.msg, "was cut short"));
        store_close(s);
    }
}

/* So that few commits make it longer; whoever closes it gives back what was ahead. */
TEST(the_file_is_longer_than_what_is_in_it_while_it_is_open)
{
    struct store *s = kit_store();
    struct kr_err e = { 0 };
    struct stat st;
    int grown = 0;
    char json[3000];
    memset(json, 'x', sizeof json);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "k/%d", i);
        CHECK(stat(kit_store_path(), &st) == 0);
        off_t before = st.st_size;
        CHECK(store_put(s, str_of(key), (struct str){ json, sizeof json }, &e) == 0);
        kit_commit(s);
        CHECK(stat(kit_store_path(), &st) == 0);
        grown += st.st_size > before;
    }
    CHECK(grown >= 1 && grown <= 5);
    off_t open_size = st.st_size;
    store_close(s);
    CHECK(stat(kit_store_path(), &st) == 0 && st.st_size < open_size);
    s = kit_store();
    CHECK(store_get(s, S("k/199"), &(struct store_value){ 0 }, &e) == 1);
    store_close(s);
}

TEST(kill_at_any_moment_loses_nothing_acknowledged)
{
    struct rnd rnd;
    rnd_seed(&rnd, test_seed());
    uint64_t least = 1;
    CHECK(*kit_store_path());                            /* before the fork: the folder is to be the same one */
    for (int round = 0; round < 12; round++) {
        int p[2];
        CHECK_OR(pipe(p) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct kr_err e = { 0 };
            struct store *s = store_open(kit_store_path(), &e);
            for (int i = 0; s && i < 100000; i++) {
                char json[2200];
                memset(json, 'a' + i % 26, sizeof json);
                store_put(s, i % 3 ? S("k/same") : S("k/other"), (struct str){ json, 20 + (size_t)(i * 37) % 2000 }, &e);
                if (i % 7 == 0)
                    store_delete(s, S("k/other"), S("gone"), &e);
                if (store_commit(s, &e) < 0)
                    break;
                uint64_t acknowledged = store_revision(s);
                if (write(p[1], &acknowledged, sizeof acknowledged) < 0)
                    break;
            }
            _exit(1);
        }
        close(p[1]);
        uint64_t acknowledged = 0, wanted = 1 + rnd_below(&rnd, 60), got = 0;
        while (got++ < wanted && read(p[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        kill(pid, SIGKILL);
        while (read(p[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        waitpid(pid, NULL, 0);
        close(p[0]);
        struct store *s = kit_store();
        CHECK(acknowledged > least && store_revision(s) >= acknowledged);
        least = store_revision(s);
        CHECK(str_chr(told(s, "", least > 40 ? least - 40 : 1), '!') < 0);
        store_close(s);
    }
}

TEST(one_at_a_time_and_no_newer_format)
{
    struct kr_err e = { 0 };
    struct store *s = kit_store();
    CHECK(store_open(kit_store_path(), &e) == NULL);
    CHECK_INT(e.code, KR_EXISTS);
    uint64_t format = 3;
    MDB_txn *t;
    MDB_val k = { 6, (void *)"format" }, v = { sizeof format, &format };
    CHECK(mdb_txn_begin(s->env, NULL, 0, &t) == 0 && mdb_put(t, s->meta, &k, &v, 0) == 0 && mdb_txn_commit(t) == 0);
    store_close(s);
    CHECK(store_open(kit_store_path(), &e) == NULL);
    CHECK_INT(e.code, KR_UNSUPPORTED);
}

TEST(format_1_is_converted)
{
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi objects, meta;
    struct { uint32_t crc, reserved; uint64_t revision; char json[4]; } old = { 0, 0, 7, "{ }" };
    uint64_t format = 1, revision = 9;
    store_crc_init();
    old.crc = store_crc(S("a/b"), &old.revision, 8, S("{ }"));
    CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 && mdb_env_open(env, kit_store_path(), MDB_NOSUBDIR | MDB_NOLOCK, 0600) == 0);
    CHECK(mdb_txn_begin(env, NULL, 0, &t) == 0 && mdb_dbi_open(t, "objects", MDB_CREATE, &objects) == 0 && mdb_dbi_open(t, "meta", MDB_CREATE, &meta) == 0);
    CHECK(mdb_put(t, objects, &(MDB_val){ 3, (void *)"a/b" }, &(MDB_val){ 19, &old }, 0) == 0);
    CHECK(mdb_put(t, meta, &(MDB_val){ 6, (void *)"format" }, &(MDB_val){ 8, &format }, 0) == 0);
    CHECK(mdb_put(t, meta, &(MDB_val){ 8, (void *)"revision" }, &(MDB_val){ 8, &revision }, 0) == 0);
    CHECK(mdb_txn_commit(t) == 0);
    mdb_env_close(env);
    for (int i = 0; i < 2; i++) {
        struct store *s = kit_store();
        CHECK_STR(seen(s, "", "", UINT64_MAX), S("a/b={ }@7 "));
        CHECK_INT(store_revision(s), 9);
        CHECK_INT(store_compacted(s), 9);
        store_close(s);
    }
}

TEST(a_disk_that_fails_stops_writing_only)
{
    struct store *s = kit_store();
    struct store_value v;
    struct kr_err e = { 0 };
    kit_put(s, "a/1", "{}");
    kit_commit(s);
    int deaf = open(kit_store_path(), O_RDONLY | O_CLOEXEC);     /* each write to the file fails from here on */
    CHECK(deaf >= 0 && dup2(deaf, s->fd) == s->fd);
    kit_put(s, "a/2", "{}");
    CHECK(store_failure(s) == NULL);
    CHECK(store_commit(s, &e) < 0 && e.code == KR_SYSTEM);
    CHECK(store_failure(s) != NULL);
    CHECK_INT(store_revision(s), 2);
    CHECK(store_put(s, S("a/3"), S("{}"), &e) < 0 && str_starts(str_of(e.msg), S("the store stopped writing: ")));
    CHECK_INT(store_get(s, S("a/1"), &v, &e), 1);
    CHECK_INT(store_get(s, S("a/2"), &v, &e), 0);
    close(deaf);
    store_close(s);
    s = kit_store();
    CHECK_STR(seen(s, "", "", UINT64_MAX), S("a/1={}@2 "));
    store_close(s);
}
