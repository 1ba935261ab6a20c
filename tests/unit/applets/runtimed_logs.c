/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of attempts on disk: what is kept of long ones, what a crash cut, a full disk. Long ones are files with holes. */
#include "applets/runtimed/logs.h"
#include "tests/kit/faults.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A record's head, as it lies on disk. */
struct disk_head { uint32_t magic, n; int64_t unix_us; uint32_t stream, reserved; };
enum { MAGIC = 0x4b524c47 };

static const char *file(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/logs/%s", test_tmpdir(), name);
    return path;
}

static struct log *begin(void)
{
    struct kr_err e = { 0 };
    struct log *l = log_open(test_tmpdir(), S("u"), 1, &e);
    if (!CHECK(l))
        printf("    %s\n", e.msg);
    return l;
}

/* All there is: "STREAM:bytes|" for each record, of long ones the number of bytes. */
static struct str all(struct log_reader *r, struct buf *b)
{
    struct log_record rec;
    buf_clear(b);
    b->max = 65536;
    while (log_next(r, &rec))
        if (rec.data.n < 100)
            buf_fmt(b, "%d:%.*s|", rec.stream, SFMT(rec.data));
        else
            buf_fmt(b, "%d:%zu|", rec.stream, rec.data.n);
    return buf_view(b);
}
/* In steps of one record. */
static void skip_to_tail(struct log_reader *r, int64_t lines)
{
    for (struct log_seek *s = log_seek_tail(r, lines); !log_seek_go(s, 1);) {}
}
static struct str read_all(struct buf *b)
{
    struct log_reader *r = log_read(test_tmpdir(), S("u"), 1);
    buf_clear(b);
    if (!CHECK(r))
        return buf_view(b);
    all(r, b);
    log_reader_free(r);
    return buf_view(b);
}

/* A piece of so many records of 1 MiB of nothing, then one of `text`; then, unless NULL, bytes that are no whole record. */
static void make_piece(const char *name, int megabytes, const char *text, const struct disk_head *broken)
{
    int fd = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK_OR(fd >= 0);
    struct disk_head h = { MAGIC, 1 << 20, 7, 1, 0 };
    off_t at = 0;
    for (int i = 0; i < megabytes; i++, at += (off_t)sizeof h + h.n)
        CHECK_INT(pwrite(fd, &h, sizeof h, at), sizeof h);
    h.n = (uint32_t)strlen(text);
    CHECK_INT(pwrite(fd, &h, sizeof h, at), sizeof h);
    CHECK_INT(pwrite(fd, text, h.n, at + (off_t)sizeof h), h.n);
    if (broken)
        CHECK_INT(pwrite(fd, broken, sizeof *broken, at + (off_t)sizeof h + h.n), sizeof *broken);
    close(fd);
}

static long refuses(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULT_PWRITE ? -ENOSPC : (long)n;
}
static long half(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULT_PWRITE ? (long)n / 2 : (long)n;
}

TEST(output_is_read_in_the_order_it_came_while_it_is_written)
{
    AUTO_BUF struct buf b = { 0 };
    CHECK(!log_read(test_tmpdir(), S("u"), 1));
    struct log *l = begin();
    CHECK(!log_read(test_tmpdir(), S("u"), 1));   /* nothing was written: there is no file */
    log_append(l, 1, S("one"), 1);
    struct log_reader *r = log_read(test_tmpdir(), S("u"), 1);
    CHECK_OR(r);
    CHECK_STR(all(r, &b), S("1:one|"));
    log_append(l, 2, S("two"), 2);
    log_append(l, 1, S(""), 2);
    CHECK_STR(all(r, &b), S("2:two|"));
    log_close(l);
    l = begin();                                  /* goes on behind what is there */
    CHECK(log_total(l, 1) == 3 && log_total(l, 2) == 3);
    log_append(l, 1, S("three"), 3);
    CHECK_STR(all(r, &b), S("1:three|"));
    log_close(l);
    log_close(NULL);
    log_reader_free(r);
    log_reader_free(NULL);
    CHECK_STR(read_all(&b), S("1:one|2:two|1:three|"));
    r = log_read_fd(open(file("u/1.log"), O_RDONLY | O_CLOEXEC));
    CHECK_STR(all(r, &b), S("1:one|2:two|1:three|"));
    log_reader_free(r);
    logs_remove(test_tmpdir(), S("u"));
    CHECK(!log_read(test_tmpdir(), S("u"), 1));
}

TEST(what_a_crash_cut_is_written_over)
{
    static const struct disk_head T[] = {
        { MAGIC, 100, 0, 1, 0 },                  /* its bytes are missing */
        { MAGIC, 0, 0, 3, 0 }, { MAGIC, (1 << 20) + 1, 0, 1, 0 }, { 5, 0, 0, 1, 0 },
    };
    AUTO_BUF struct buf b = { 0 };
    struct kr_err e = { 0 };
    struct log *l = begin();
    log_append(l, 1, S("x"), 1);
    log_close(l);
    for (size_t i = 0; i < LEN(T); i++) {
        make_piece("u/1.log", 0, "whole", &T[i]);
        CHECK_STR(read_all(&b), S("1:whole|"));   /* a reader stops there, too */
        l = begin();
        CHECK_INT(log_total(l, 1), 5);
        log_append(l, 2, S("next"), 1);
        log_close(l);
        CHECK_STR(read_all(&b), S("1:whole|2:next|"));
    }
    unlink(file("u/1.log"));
    CHECK_INT(symlink("elsewhere", file("u/1.log")), 0);
    CHECK(!log_open(test_tmpdir(), S("u"), 1, &e) && e.code == KR_SYSTEM);        /* it is not followed */
    char deep[5000];
    memset(deep, 'd', sizeof deep);
    deep[sizeof deep - 1] = 0;
    CHECK(!log_open(deep, S("u"), 1, &e) && e.code == KR_TOO_LARGE);
    CHECK(!log_read(deep, S("u"), 1));
    logs_remove(deep, S("u"));
}

TEST(what_a_full_disk_lost_is_said_once_there_is_room)
{
    AUTO_BUF struct buf b = { 0 };
    struct log *l = begin();
    log_append(l, 1, S("before"), 1);
    fault_ask = refuses;
    log_append(l, 1, S("lost"), 2);
    fault_ask = half;
    log_append(l, 1, S("torn"), 2);
    fault_ask = NULL;
    CHECK_STR(read_all(&b), S("1:before|"));
    log_append(l, 1, S("after"), 3);
    log_append(l, 1, S("more"), 3);
    CHECK_INT(log_total(l, 1), 23);               /* what was lost counts */
    log_close(l);
    CHECK_STR(read_all(&b), S("1:before|2:\n[output was lost here: the disk was full]\n|1:after|1:more|"));
    l = begin();
    CHECK(log_total(l, 1) == 23 && log_total(l, 2) == 0);        /* also after a new start; and our own words don't */
    log_close(l);
    logs_remove(test_tmpdir(), S("u"));
    CHECK_INT(close(open(file("u"), O_WRONLY | O_CREAT, 0600)), 0);            /* where the folder has to be */
    struct kr_err e = { 0 };
    CHECK(!log_open(test_tmpdir(), S("u"), 1, &e) && e.code == KR_SYSTEM);
    l = log_open(test_tmpdir(), S("v"), 1, &e);
    CHECK_OR(l);
    CHECK_INT(close(open(file("v"), O_WRONLY | O_CREAT, 0600)), 0);
    log_append(l, 1, S("nowhere"), 1);
    CHECK_INT(log_total(l, 1), 7);
    log_close(l);
}

TEST(what_never_comes_counts_and_the_note_in_its_place_does_not)
{
    AUTO_BUF struct buf b = { 0 };
    struct log *l = begin();
    log_skip(l, 2, 1000, S("gone"), 1);           /* also as the first of all */
    log_append(l, 2, S("more"), 2);
    log_skip(l, 2, 1, S("a longer note"), 3);
    log_skip(l, 1, 7, S(""), 3);
    log_close(l);
    CHECK_STR(read_all(&b), S("2:gone|2:more|2:a longer note|"));
    l = begin();
    CHECK(log_total(l, 1) == 7 && log_total(l, 2) == 1005);
    fault_ask = refuses;
    log_skip(l, 1, 3, S("no room"), 4);
    fault_ask = NULL;
    log_append(l, 1, S("x"), 5);
    log_close(l);
    l = begin();
    CHECK_INT(log_total(l, 1), 11);
    log_close(l);
}

TEST(of_long_output_begin_and_end_stay_also_after_a_new_start)
{
    AUTO_BUF struct buf b = { 0 };
    struct log *l = begin();
    log_append(l, 1, S("x"), 1);
    log_close(l);
    make_piece("u/1.log", 63, "begin", NULL);
    l = begin();
    CHECK_INT(log_total(l, 1), (63 << 20) + 5);
    static char much[2 << 20];
    memset(much, 'm', sizeof much);
    log_append(l, 1, (struct str){ much, sizeof much }, 2);       /* the first is full: a second begins */
    log_close(l);
    struct stat st;
    CHECK_INT(stat(file("u/1.log.1"), &st), 0);
    make_piece("u/1.log.1", 32, "gone", NULL);
    make_piece("u/1.log.2", 32, "later", NULL);
    l = begin();
    log_append(l, 1, S("third"), 3);
    CHECK(stat(file("u/1.log.3"), &st) == 0 && stat(file("u/1.log.1"), &st) < 0 && stat(file("u/1.log.2"), &st) == 0);
    log_append(l, 1, S("+"), 3);
    uint64_t total = log_total(l, 1);
    CHECK(total > 127 << 20);
    log_close(l);
    l = begin();                                  /* 1.log.1 is not there any more: it goes on in the last all the same, and with what was in all of them */
    CHECK_INT(log_total(l, 1), total);
    log_append(l, 2, S("on"), 4);
    log_close(l);
    CHECK(stat(file("u/1.log.1"), &st) < 0);
    read_all(&b);
    ptrdiff_t first = str_find(buf_view(&b), S("1:begin|")), last = str_find(buf_view(&b), S("1:later|1:third|1:+|2:on|"));
    if (!CHECK(first > 0 && last > first && (size_t)last + strlen("1:later|1:third|1:+|2:on|") == b.n))
        printf("    %.*s\n", (int)b.n, b.p);
    struct log_reader *r = log_read(test_tmpdir(), S("u"), 1);
    CHECK_OR(r);
    skip_to_tail(r, 1);                       /* from another piece than the first */
    CHECK(str_ends(all(r, &b), S("2:on|")) && str_find(buf_view(&b), S("begin")) < 0);
    log_reader_free(r);
}

TEST(the_last_lines_begin_with_a_record)
{
    static const struct { int64_t lines; const char *want; } T[] = {
        { 1, "1:f\n|" }, { 2, "2:d\ne\n|1:f\n|" }, { 3, "2:d\ne\n|1:f\n|" }, { 4, "1:c\n|2:d\ne\n|1:f\n|" }, { 5, "1:b\n|1:c\n|2:d\ne\n|1:f\n|" },
        { 100, "1:a\n|1:b\n|1:c\n|2:d\ne\n|1:f\n|" }, { 200000, "1:a\n|1:b\n|1:c\n|2:d\ne\n|1:f\n|" },
    };
    AUTO_BUF struct buf b = { 0 };
    struct log *l = begin();
    log_append(l, 1, S("a\n"), 1);
    log_append(l, 1, S("b\n"), 1);
    log_append(l, 1, S("c\n"), 1);
    log_append(l, 2, S("d\ne\n"), 1);
    log_append(l, 1, S("f\n"), 1);
    log_close(l);
    for (size_t i = 0; i < LEN(T); i++) {
        struct log_reader *r = log_read(test_tmpdir(), S("u"), 1);
        CHECK_OR(r);
        skip_to_tail(r, T[i].lines);
        if (!CHECK_STR(all(r, &b), str_of(T[i].want)))
            printf("    of %d lines\n", (int)T[i].lines);
        log_reader_free(r);
    }
    CHECK_INT(truncate(file("u/1.log"), 0), 0);
    struct log_reader *r = log_read(test_tmpdir(), S("u"), 1);
    CHECK_OR(r);
    skip_to_tail(r, 3);
    CHECK_STR(all(r, &b), S(""));
    log_reader_free(r);
}

struct told { struct log_follower f; int grown, closed; };
static void on_grown(struct log_follower *f, bool closed)
{
    struct told *t = container_of(f, struct told, f);
    t->grown += !closed;
    t->closed += closed;
}

TEST(followers_hear_of_growth_and_of_the_end)
{
    struct told a = { .f = { .grown = on_grown } }, c = a, left = a;
    struct log *l = begin();
    log_follow(l, &left.f);
    log_follow(l, &a.f);
    log_append(l, 1, S("x"), 1);
    log_follow(l, &c.f);
    log_unfollow(l, &left.f);
    log_unfollow(l, &left.f);
    log_append(l, 1, S("y"), 1);
    log_close(l);
    CHECK(a.grown == 2 && a.closed == 1);
    CHECK(c.grown == 1 && c.closed == 1);
    CHECK(left.grown == 1 && left.closed == 0);
}
