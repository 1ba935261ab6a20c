/* SPDX-License-Identifier: Apache-2.0 */
#include "applets/artifact/store.h"
#include "core/fs.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path(const char *name)
{
    static char out[4][400];
    static int at;
    char *p = out[at++ % 4];
    snprintf(p, sizeof out[0], "%s/%s", test_tmpdir(), name);
    return p;
}

static int folder(const char *name)
{
    struct kr_err e = { 0 };
    fs_make_dir(path(name), 0700, &e);
    return open(path(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void file(const char *name, struct str content)
{
    struct kr_err e = { 0 };
    CHECK_INT(fs_write(path(name), content, 0600, false, &e), 0);
}

/* Everything a sink got. */
struct kept { struct sink s; struct buf b; };
static int keep(struct sink *s, struct str bytes, struct kr_err *e)
{
    (void)e;
    buf_str(&container_of(s, struct kept, s)->b, bytes);
    return 0;
}

TEST(the_size_of_a_file_is_pinned)
{
    struct kr_err e = { 0 };
    file("grows", S("12345 and what came later"));
    AUTO_CLOSE int fd = open(path("grows"), O_RDONLY);
    struct kept k = { .b = { .max = 100 } };
    sink_begin(&k.s, -1);
    k.s.write = keep;
    CHECK_INT(item_write(&(struct item){ .name = S("grows"), .fd = fd, .size = 5 }, &k.s, &e), 0);
    CHECK_STR(buf_view(&k.b), S("12345"));
    CHECK_INT(item_write(&(struct item){ .name = S("shrank"), .fd = fd, .size = 500 }, &k.s, &e), -1);
    CHECK_INT(e.code, KR_INVALID);
    CHECK(str_find(str_of(e.msg), S("became shorter")) >= 0);
    buf_free(&k.b);
}

static int refuse_third(struct sink *s, struct str bytes, struct kr_err *e)
{
    return s->n <= 2 * BESIDE_PIECE ? keep(s, bytes, e) : kr_fail(e, KR_UNAVAILABLE, "full");
}

/* More pieces than there is room for, and the last one is short: a thread digests them. */
TEST(a_large_file_is_digested_beside_and_is_what_was_written)
{
    struct kr_err e = { 0 };
    AUTO_BUF struct buf content = { .max = 8 << 20 };
    char digest[DIGEST_TEXT];
    struct stored r;
    for (uint32_t i = 0; content.n < 9 * BESIDE_PIECE + 4711; i++)
        buf_fmt(&content, "%u ", i * 2654435761u);
    digest_sha256_text(buf_view(&content), digest);
    file("large", buf_view(&content));
    AUTO_CLOSE int fd = open(path("large"), O_RDONLY);
    struct item item = { .name = S("large"), .fd = fd, .size = content.n };
    struct kept k = { .b = { .max = 8 << 20 } };
    sink_begin(&k.s, -1);
    k.s.write = keep;
    CHECK_INT(item_write(&item, &k.s, &e), 0);
    sink_end(&k.s, &r);
    CHECK(str_eq(buf_view(&k.b), buf_view(&content)));
    CHECK_INT(r.size, content.n);
    CHECK_STR(str_of(r.digest), str_of(digest));
    sink_begin(&k.s, -1);
    k.s.write = refuse_third;
    CHECK_INT(item_write(&item, &k.s, &e), -1);
    CHECK_INT(e.code, KR_UNAVAILABLE);
    item.size++;
    sink_begin(&k.s, -1);
    k.s.write = keep;
    buf_clear(&k.b);
    CHECK_INT(item_write(&item, &k.s, &e), -1);
    CHECK_INT(e.code, KR_INVALID);
    buf_free(&k.b);
}

TEST(keys_are_plain_names)
{
    static const struct { struct str key; bool ok; } rows[] = {
        { S("ns/uid/1-abc/a b+c"), true }, { S("a"), true }, { S(""), false }, { S("/a"), false }, { S("a/"), false }, { S("a//b"), false }, { S("a/../b"), false },
        { S(".."), false }, { S("a/./b"), false }, { S("a\0b"), false }, { S("a\xff"), false } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct kr_err e = { 0 };
        CHECK_INT(depot_check_key(rows[i].key, &e) == 0, rows[i].ok);
    }
}

TEST(a_store_is_walked_without_symlinks)
{
    struct kr_err e = { 0 };
    struct stored r;
    close(folder("store"));
    close(folder("outside"));
    file("in", S("content"));
    AUTO_CLOSE int fd = open(path("in"), O_RDONLY), out = open(path("out"), O_RDWR | O_CREAT, 0600);
    struct item item = { .name = S("in"), .fd = fd, .size = 7 };
    struct depot *d = fs_depot_open(str_of(path("store")), &e);
    CHECK_OR(d);
    CHECK_INT(d->driver->put(d, S("ns/u/1/in"), &item, &r, &e), 0);
    CHECK_INT(r.size, 7);
    CHECK_INT(d->driver->put(d, S("ns/u/1/in"), &item, &r, &e), 0);        /* again: in its place */
    CHECK_INT(d->driver->get(d, S("ns/u/1/in"), 3, out, &e), 0);
    CHECK_INT(lseek(out, 0, SEEK_END), 4);
    CHECK_INT(symlink(path("outside"), path("store/ns/link")), 0);
    CHECK_INT(d->driver->put(d, S("ns/link/1/in"), &item, &r, &e), -1);
    CHECK_INT(e.code, KR_UNAVAILABLE);
    CHECK_INT(symlink(path("in"), path("store/ns/u/1/l")), 0);
    CHECK_INT(d->driver->get(d, S("ns/u/1/l"), 0, out, &e), -1);
    CHECK_INT(d->driver->get(d, S("ns/u/1/none"), 0, out, &e), -1);
    CHECK_INT(e.code, KR_NOT_FOUND);
    e = (struct kr_err){ 0 };
    CHECK_INT(d->driver->remove(d, S("ns/link"), &e), 0);                  /* the link, not what it names */
    CHECK(fs_exists(path("outside")) && !fs_exists(path("store/ns/link")));
    CHECK_INT(d->driver->remove(d, S("ns/u"), &e), 0);
    CHECK_INT(d->driver->remove(d, S("ns/u"), &e), 0);
    CHECK_INT(d->driver->remove(d, S("never/was"), &e), 0);
    CHECK(!fs_exists(path("store/ns/u")));
    depot_close(d);
    CHECK_INT(symlink(path("store"), path("moved")), 0);
    CHECK(!fs_depot_open(str_of(path("moved")), &e));
}

static void archive(const char *name, struct buf *out)
{
    struct kr_err e = { 0 };
    AUTO_CLOSE int fd = folder(name);
    struct kept k = { .b = { .max = 1 << 20 } };
    sink_begin(&k.s, -1);
    k.s.write = keep;
    CHECK_INT(tar_write(fd, S("x"), &k.s, &e), 0);
    *out = k.b;
}

TEST(an_archive_depends_on_names_and_content_alone)
{
    AUTO_BUF struct buf a = { 0 }, b = { 0 }, c = { 0 };
    close(folder("one/sub"));
    file("one/b", S("2"));
    file("one/a", S("1"));
    file("one/sub/c", S("3"));
    close(folder("two/sub"));
    file("two/sub/c", S("3"));
    file("two/a", S("1"));
    file("two/b", S("2"));
    CHECK_INT(chmod(path("two/b"), 0640), 0);
    archive("one", &a);
    archive("two", &b);
    CHECK_STR(buf_view(&a), buf_view(&b));
    CHECK_INT(chmod(path("two/b"), 0700), 0);
    archive("two", &c);
    CHECK(!str_eq(buf_view(&b), buf_view(&c)));
}

TEST(collecting_refuses_before_anything_is_read)
{
    struct kr_err e = { 0 };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct collection all;
    AUTO_CLOSE int fd = folder("left");
    file("left/a", S("12345"));
    file("left/b", S("12345"));
    CHECK_INT(collect(fd, &(struct collect_limits){ 9 }, &all, &a, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
    e = (struct kr_err){ 0 };
    CHECK_INT(collect(fd, &(struct collect_limits){ 10 }, &all, &a, &e), 0);
    CHECK_INT(all.n, 2);
    CHECK_STR(all.v[1].item.name, S("b"));
    collection_close(&all);
    CHECK_INT(mkfifo(path("left/c"), 0600), 0);
    CHECK_INT(collect(fd, &(struct collect_limits){ 100 }, &all, &a, &e), -1);         /* and it didn't hang */
    CHECK_INT(e.code, KR_INVALID);
}

TEST(artifacts_have_a_number_of_files)
{
    enum { IN_ONE = 1000 };
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct collection all;
    struct kr_err e = { 0 };
    AUTO_CLOSE int fd = folder("crowd"), all_of_it = folder("crowd/all");
    char name[32];
    CHECK_OR(all_of_it >= 0);
    for (int i = 0; i <= LIMIT_ARTIFACT_FILES / IN_ONE; i++) {
        snprintf(name, sizeof name, "crowd/all/%d", i);
        AUTO_CLOSE int below = folder(name);
        AUTO_CLOSE int one = openat(below, "0", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
        for (int j = 1; j < IN_ONE; j++) {        /* one file by many names: inodes take longer */
            snprintf(name, sizeof name, "%d", j);
            CHECK_OR(linkat(below, "0", below, name, 0) == 0);
        }
    }
    CHECK_INT(collect(fd, &(struct collect_limits){ 1000 }, &all, &a, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_Z(e.msg, "there are more than 100000 files and folders in $KRUNTIME_ARTIFACTS_DIR");
}

TEST(artifacts_have_a_number_and_a_depth)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct collection all;
    struct kr_err e = { 0 };
    AUTO_CLOSE int many = folder("many"), deep = folder("deep");
    char name[64];
    for (int i = 0; i <= LIMIT_ARTIFACTS; i++) {
        snprintf(name, sizeof name, "many/%d", i);
        file(name, S("x"));
    }
    CHECK_INT(collect(many, &(struct collect_limits){ 1000 }, &all, &a, &e), -1);
    CHECK_Z(e.msg, "there are more than 32 artifacts: put them into a folder");
    int at = dup(deep);
    for (int i = 0; i <= LIMIT_ARTIFACT_DEPTH + 1; i++) {
        CHECK_OR(mkdirat(at, "d", 0700) == 0);
        int below = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = below;
    }
    close(at);
    CHECK_INT(collect(deep, &(struct collect_limits){ 1000 }, &all, &a, &e), -1);
    CHECK(str_find(str_of(e.msg), S("folders are nested more than 64 deep")) >= 0);
}

/* ---- and back ---------------------------------------------------------------------------------------------------- */

struct seen { struct buf text; };
static int seen_entry(void *ctx, struct str path, bool is_dir, bool executable, struct kr_err *e)
{
    (void)e;
    buf_fmt(&((struct seen *)ctx)->text, "%s%.*s:", is_dir ? "/" : executable ? "*" : "", path.n < 40 ? (int)path.n : 40, path.p);
    return 0;
}

static int seen_content(void *ctx, struct str bytes, struct kr_err *e)
{
    (void)e;
    buf_fmt(&((struct seen *)ctx)->text, "%.*s", bytes.n < 20 ? (int)bytes.n : 20, bytes.p);
    return 0;
}

static void make_tree(int dir)
{
    struct kr_err e = { 0 };
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    CHECK_INT(fs_write_at(dir, S("a"), S("one"), 0755, &e), 0);
    CHECK_INT(fs_write_at(dir, S("d/empty"), S(""), 0644, &e), 0);
    CHECK_INT(fs_write_at(dir, S("d/sub/b"), S("two"), 0644, &e), 0);
    AUTO_BUF struct buf b = { .max = 600 };
    buf_fmt(&b, "d/%s/%s", longest, longest);
    CHECK_INT(fs_write_at(dir, buf_view(&b), S("far"), 0644, &e), 0);
}

TEST(what_is_archived_comes_back)
{
    struct kr_err e = { 0 };
    struct sink k;
    AUTO_CLOSE int dir = folder("tree"), back = folder("back");
    make_tree(dir);
    AUTO_CLOSE int fd = spool_open(str_of(test_tmpdir()), &e);
    sink_begin(&k, fd);
    CHECK_INT(tar_write(dir, S("tree"), &k, &e), 0);
    lseek(fd, 0, SEEK_SET);
    struct seen seen = { { .max = 10000 } };
    CHECK_INT(untar(fd, 9, &(struct untar_user){ seen_entry, seen_content, &seen }, &e), 0);
    CHECK_STR(buf_view(&seen.text), S("*a:one/d:d/empty:/d/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn:d/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn:far/d/sub:d/sub/b:two"));
    lseek(fd, 0, SEEK_SET);
    CHECK_INT(untar(fd, 8, &(struct untar_user){ seen_entry, seen_content, &seen }, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
    buf_free(&seen.text);
    e = (struct kr_err){ 0 };
    lseek(fd, 0, SEEK_SET);
    CHECK_INT(unpack(fd, back, 1000, &e), 0);
    AUTO_CLOSE int again = spool_open(str_of(test_tmpdir()), &e);
    struct stored before, after;
    sink_end(&k, &before);
    sink_begin(&k, again);
    CHECK_INT(tar_write(back, S("back"), &k, &e), 0);
    sink_end(&k, &after);
    CHECK_Z(after.digest, before.digest);         /* the same tree: names, content, what may be executed */
    lseek(fd, 0, SEEK_SET);
    CHECK_INT(unpack(fd, back, 1000, &e), -1);    /* nothing is written over */
    CHECK(str_find(str_of(e.msg), S("\"a\" twice")) >= 0);
}
