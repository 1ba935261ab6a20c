/* SPDX-License-Identifier: Apache-2.0 */
/* What is no backup, or a damaged one, is refused before anything is written; and what becomes of the store that was there. */
#include "applets/apiserver/backup.h"
#include "applets/apiserver/store_impl.h"
#include "core/fs.h"
#include "tests/kit/faults.h"
#include "tests/kit/store.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "{\"kruntimes\":\"backup\",\"format\":1,\"revision\":\"40\"}\n"
#define END(n) "{\"end\":true,\"objects\":" #n "}\n"

static const char *in(const char *name)
{
    static char path[2][400];
    static int at;
    char *p = path[at++ % 2];
    snprintf(p, sizeof path[0], "%s/%s", test_tmpdir(), name);
    return p;
}

/* A line with its checksum. */
static void value(struct buf *b, const char *key, uint64_t revision, const char *object)
{
    struct store_value v = { str_of(key), revision, str_of(object) };
    buf_fmt(b, "{\"key\":\"%s\",\"revision\":%llu,\"crc\":%u,\"object\":%s}\n", key, (unsigned long long)revision, backup_crc(&v), object);
}

static int restore(struct str text, uint64_t *objects, struct kr_err *e)
{
    *e = (struct kr_err){ 0 };
    CHECK_INT(fs_write(in("backup"), text, 0600, false, e), 0);
    return backup_restore(test_tmpdir(), in("backup"), objects, e);
}

static bool says(const struct kr_err *e, const char *words)
{
    bool ok = CHECK(str_find(str_of(e->msg), str_of(words)) >= 0);
    if (!ok)
        printf("    '%s' lacks '%s'\n", e->msg, words);
    return ok;
}

TEST(what_is_no_whole_backup_is_refused)
{
    /* Values that begin with a letter stand for lines: a and b are good ones, B is one of an earlier key, N newer than the backup. */
    static const struct { const char *head, *lines, *end, *want; } T[] = {
        { "", "", "", "is no backup of kruntimes" },
        { "hello\n", "", "", "is no backup of kruntimes" },
        { "{\"kruntimes\":\"other\"}\n", "", "", "is no backup of kruntimes" },
        { "[]\n", "", "", "is no backup of kruntimes" },
        { "{\"kruntimes\":\"backup\",\"format\":2,\"revision\":\"40\"}\n", "", END(0), "has format 2, this program reads format 1" },
        { "{\"kruntimes\":\"backup\",\"format\":1}\n", "", END(0), "at line 1: it names no revision" },
        { "{\"kruntimes\":\"backup\",\"format\":1,\"revision\":\"0\"}\n", "", END(0), "at line 1: it names no revision" },
        { "{\"kruntimes\":\"backup\",\"format\":1,\"revision\":\"x\"}\n", "", END(0), "at line 1: it names no revision" },
        { "{\"kruntimes\":\"backup\",\"format\":1,\"revision\":\"9223372036854775808\"}\n", "", END(0), "at line 1: it names no revision" },
        { HEAD, "ab", "", "is not whole: its last line is missing" },
        { HEAD, "ab", END(1), "it has 2 objects and says otherwise" },
        { HEAD, "ab", END(2) END(2), "at line 5: it goes on behind its end" },
        { HEAD, "ab", "{\"end\":true,\"objects\":2}", "at line 4: the line is not whole" },
        { HEAD, "a", "{\"key\":\n", "at line 3: the line is not whole" },
        { HEAD, "bB", END(2), "at line 3: the keys are not in order" },
        { HEAD, "aa", END(2), "at line 3: the keys are not in order" },
        { HEAD, "aN", END(2), "at line 3: the checksum of \"/z\" differs" },
        { HEAD, "a", "{\"key\":\"/b\",\"revision\":4,\"crc\":1,\"object\":{}}\n" END(2), "at line 3: the checksum of \"/b\" differs" },
        { HEAD, "", "{\"key\":\"\",\"revision\":4,\"crc\":1,\"object\":{}}\n", "at line 2: the checksum of \"\" differs" },
        { HEAD, "", "{\"key\":\"/b\",\"revision\":4,\"crc\":1}\n", "at line 2: the checksum of \"/b\" differs" },
        { HEAD, "", "{\"key\":\"/b\",\"revision\":0,\"crc\":1,\"object\":{}}\n", "at line 2: the checksum of \"/b\" differs" },
    };
    struct kr_err e = { 0 };
    uint64_t objects = 77;
    store_crc_init();
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 65536 };
        buf_str(&b, str_of(T[i].head));
        for (const char *c = T[i].lines; *c; c++)
            *c == 'a' ? value(&b, "/a", 3, "{\"x\":1}") : *c == 'b' ? value(&b, "/b", 40, "{}") : *c == 'B' ? value(&b, "/a", 4, "{}") : value(&b, "/z", 41, "{}");
        buf_str(&b, str_of(T[i].end));
        CHECK_INT(restore(buf_view(&b), &objects, &e), -1);
        says(&e, T[i].want);
        CHECK(!fs_exists(in("store.mdb")) && !fs_exists(in("store.mdb.restoring")) && objects == 77);
    }
    CHECK_INT(backup_restore(test_tmpdir(), in("nothing"), &objects, &e), -1);
    says(&e, "open \"");
    CHECK_INT(backup_restore(test_tmpdir(), test_tmpdir(), &objects, &e), -1);      /* a folder */
    CHECK(!fs_exists(in("store.mdb")));
}

static void good(struct buf *b)
{
    buf_str(b, S(HEAD));
    value(b, "/a", 3, "{\"x\":1}");
    value(b, "/b", 40, "{}");
    buf_str(b, S(END(2)));
}

/* What the store has now, of key "/a"; and its revision. */
static uint64_t look(const char *want)
{
    struct kr_err e = { 0 };
    struct store_value v;
    struct store *s = store_open(in("store.mdb"), &e);
    if (!CHECK(s)) {
        printf("    %s\n", e.msg);
        return 0;
    }
    if (CHECK_INT(store_get(s, S("/a"), &v, &e), 1))
        CHECK_STR(v.json, str_of(want));
    uint64_t revision = store_revision(s);
    store_close(s);
    return revision;
}

TEST(revisions_go_on_behind_both_stores)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct kr_err e = { 0 };
    uint64_t objects = 0;
    store_crc_init();
    good(&b);
    CHECK_INT(restore(buf_view(&b), &objects, &e), 0);            /* where there was none */
    CHECK_INT(objects, 2);
    CHECK_INT(look("{\"x\":1}"), 41);
    CHECK(!fs_exists(in("store.mdb.before-restore")) && !fs_exists(in("store.mdb.restoring")));
    struct store *s = store_open(in("store.mdb"), &e);
    CHECK_OR(s);
    for (int i = 0; i < 10; i++)
        CHECK_INT(store_put(s, S("/a"), S("{\"x\":2}"), &e), 0);
    CHECK_INT(store_commit(s, &e), 0);
    CHECK_INT(restore(buf_view(&b), &objects, &e), -1);           /* somebody is using it */
    CHECK_INT(e.code, KR_EXISTS);
    store_close(s);
    CHECK_INT(fs_write(in("store.mdb.restoring"), S("of one that was stopped"), 0600, false, &e), 0);
    CHECK_INT(restore(buf_view(&b), &objects, &e), 0);
    CHECK_INT(look("{\"x\":1}"), 52);
    CHECK(fs_exists(in("store.mdb.before-restore")));
    char old[400];
    snprintf(old, sizeof old, "%s", in("store.mdb.before-restore"));
    CHECK_INT(rename(old, in("store.mdb")), 0);
    CHECK_INT(look("{\"x\":2}"), 51);             /* it was kept whole */
    /* One that can't be read doesn't tell its revision: a gap lies behind the backup's. */
    CHECK_INT(fs_write(in("store.mdb"), S("no store at all"), 0600, false, &e), 0);
    CHECK_INT(restore(buf_view(&b), &objects, &e), 0);
    CHECK_INT(look("{\"x\":1}"), 1000041);
}

static long no_sync(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULT_SYNC ? -EIO : (long)n;
}

TEST(what_can_not_be_written_leaves_the_store_as_it_was)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct kr_err e = { 0 };
    uint64_t objects = 0;
    store_crc_init();
    good(&b);
    CHECK_INT(restore(buf_view(&b), &objects, &e), 0);
    struct store *s = store_open(in("store.mdb"), &e);
    CHECK_OR(s && store_put(s, S("/a"), S("{\"x\":2}"), &e) == 0 && store_commit(s, &e) == 0);
    store_close(s);
    fault_ask = no_sync;
    CHECK_INT(restore(buf_view(&b), &objects, &e), -1);
    fault_ask = NULL;
    CHECK(e.code != KR_OK && !fs_exists(in("store.mdb.restoring")));
    look("{\"x\":2}");
    CHECK_INT(mkdir(in("store.mdb.before-restore"), 0700), 0);    /* where the old one is to be kept */
    CHECK_INT(restore(buf_view(&b), &objects, &e), -1);
    says(&e, "remove \"");
    CHECK(!fs_exists(in("store.mdb.restoring")));
    look("{\"x\":2}");
}
