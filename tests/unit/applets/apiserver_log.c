/* SPDX-License-Identifier: Apache-2.0 */
/* pods/NAME/log of the embedded API server, from files as the local node leaves them. */
#include "core/fs.h"
#include "tests/kit/api.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PODS "/api/v1/namespaces/default/pods"
#define LOG PODS "/p/log"

static char dir[64], file[256];

/* A pod whose container "runtime" wrote three lines. */
static struct kit_api *begin(void)
{
    struct kit_api *k = kit_api_new();
    struct kr_err e = { 0 };
    snprintf(dir, sizeof dir, "/tmp/log-test.XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    k->api.pods_dir = str_of(dir);
    CHECK_INT(kit_post(k, PODS, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"initContainers\":[{\"name\":\"runtimed\","
                                "\"image\":\"i\"}],\"containers\":[{\"name\":\"runtime\",\"image\":\"i\"}]}}"), 201);
    snprintf(file, sizeof file, "%s/%.*s", dir, SFMT(kit_get(k, "{.metadata.uid}")));
    CHECK_INT(fs_make_dir(file, 0700, &e), 0);
    snprintf(file + strlen(file), sizeof file - strlen(file), "/runtime-server.log");
    CHECK_INT(fs_write(file, S("one\ntwo\nthree\n"), 0600, false, &e), 0);
    return k;
}

static void end(struct kit_api *k)
{
    struct kr_err e = { 0 };
    kit_api_free(k);
    CHECK_INT(fs_remove_tree(dir, &e), 0);
}

static struct str log_of(struct kit_api *k, const char *query, int status)
{
    char path[256];
    snprintf(path, sizeof path, LOG "%s", query);
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), status);
    return status == 200 ? buf_view(&k->reply.body) : kit_get(k, "{.message}");
}

TEST(log_of_a_pod_whole_and_in_part)
{
    struct kit_api *k = begin();
    CHECK_STR(log_of(k, "", 200), S("one\ntwo\nthree\n"));
    CHECK(!strcmp(k->reply.content_type, "text/plain"));
    CHECK_STR(log_of(k, "?container=runtime&tailLines=2", 200), S("two\nthree\n"));
    CHECK_STR(log_of(k, "?tailLines=9", 200), S("one\ntwo\nthree\n"));
    CHECK_STR(log_of(k, "?tailLines=0", 200), S(""));
    CHECK_STR(log_of(k, "?tailLines=2&limitBytes=5", 200), S("two\nt"));
    end(k);
}

TEST(log_of_a_pod_by_the_times_in_it)
{
    struct kit_api *k = begin();
    struct kr_err e = { 0 };
    CHECK_INT(fs_write(file, S("2026-01-01T00:00:01.000000Z one\n  more\n2026-01-01T00:00:02.500000Z two\nend"), 0600, false, &e), 0);
    CHECK_STR(log_of(k, "?sinceTime=2026-01-01T00:00:02Z", 200), S("2026-01-01T00:00:02.500000Z two\nend"));
    CHECK_STR(log_of(k, "?timestamps=true&tailLines=2", 200),
              S("2026-01-01T00:00:02.500000Z 2026-01-01T00:00:02.500000Z two\n2026-01-01T00:00:02.500000Z end"));
    CHECK_STR(log_of(k, "?timestamps=true&tailLines=2&limitBytes=30", 200), S("2026-01-01T00:00:02.500000Z 20"));
    end(k);
}

/* What a reader of the end is told, by and by. */
struct reader { struct buf got; bool ended; };
static void reader_write(void *ctx, struct str bytes) { buf_str(&((struct reader *)ctx)->got, bytes); }
static size_t reader_queued(void *ctx) { return (void)ctx, 0; }
static void reader_end(void *ctx) { ((struct reader *)ctx)->ended = true; }
static bool reader_has(void *ctx)
{
    struct reader *r = ctx;
    return r->ended || (r->got.n && r->got.p[r->got.n - 1] == '.');
}

TEST(log_of_a_pod_is_followed_until_it_goes)
{
    struct kit_api *k = begin();
    struct loop *loop = loop_new(&clock_system);
    struct reader r = { .got = { .max = 65536 } };
    struct kr_err e = { 0 };
    CHECK_INT(kit_call(k, "GET", LOG "?follow=true&tailLines=1", NULL, NULL), 200);
    CHECK_STR(buf_view(&k->reply.body), S("three\n"));
    struct api_follow *from = k->reply.follow;
    if (!CHECK(from != NULL))
        return;
    struct follow *f = follow_start(loop, TAKE_FD(from->fd), from->at, &from->view, (struct follow_user){ reader_write, reader_queued, reader_end, &r }, &e);
    FILE *w = fopen(file, "a");
    fputs("four.", w);
    fflush(w);
    CHECK_INT(loop_run_until(loop, reader_has, &r, loop_now_us(loop) + 20000000), 0);
    CHECK_STR(buf_view(&r.got), S("four."));
    fputs(" five", w);
    fclose(w);
    CHECK_INT(unlink(file), 0);
    buf_clear(&r.got);
    loop_run_until(loop, reader_has, &r, loop_now_us(loop) + 20000000);
    CHECK(r.ended);
    CHECK_STR(buf_view(&r.got), S(" five"));
    follow_free(f);
    buf_free(&r.got);
    loop_free(loop);
    end(k);
}

/* The process is started again: its log becomes the previous one, and who follows it has read all of it. */
TEST(log_of_a_pod_before_its_process_was_started_again)
{
    struct kit_api *k = begin();
    struct loop *loop = loop_new(&clock_system);
    struct reader r = { .got = { .max = 65536 } };
    struct kr_err e = { 0 };
    char before[300];
    snprintf(before, sizeof before, "%.*s" LOG_PREVIOUS, (int)(strlen(file) - 4), file);
    CHECK_INT(kit_call(k, "GET", LOG "?follow=true&tailLines=1", NULL, NULL), 200);
    struct api_follow *from = k->reply.follow;
    if (!CHECK(from != NULL))
        return;
    struct follow *f = follow_start(loop, TAKE_FD(from->fd), from->at, &from->view, (struct follow_user){ reader_write, reader_queued, reader_end, &r }, &e);
    CHECK(!r.ended);
    CHECK_INT(rename(file, before), 0);
    CHECK_INT(fs_write(file, S("anew\n"), 0600, false, &e), 0);
    loop_run_until(loop, reader_has, &r, loop_now_us(loop) + 20000000);
    CHECK(r.ended);
    CHECK_STR(buf_view(&r.got), S(""));
    CHECK_STR(log_of(k, "", 200), S("anew\n"));
    CHECK_STR(log_of(k, "?previous=true", 200), S("one\ntwo\nthree\n"));
    CHECK_STR(log_of(k, "?previous=true&tailLines=1", 200), S("three\n"));
    follow_free(f);
    buf_free(&r.got);
    loop_free(loop);
    end(k);
}

TEST(log_of_a_pod_refusals)
{
    struct kit_api *k = begin();
    CHECK_STR(log_of(k, "?container=x", 400), S("container x is not valid for pod p"));
    CHECK_STR(log_of(k, "?container=runtimed", 400), S("container \"runtimed\" in pod \"p\" is waiting to start"));
    CHECK_STR(log_of(k, "?previous=true", 400), S("previous terminated container \"runtime\" in pod \"p\" not found"));
    CHECK_STR(log_of(k, "?sinceSeconds=0", 400), S("sinceSeconds: Invalid value: \"0\": must be greater than or equal to 1"));
    CHECK_STR(log_of(k, "?sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z", 400), S("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    CHECK(str_starts(log_of(k, "?sinceTime=soon", 400), S("sinceTime: Invalid value: \"soon\"")));
    CHECK_STR(log_of(k, "?tailLines=-1", 400), S("tailLines: Invalid value: \"-1\": must be greater than or equal to 0"));
    CHECK_INT(kit_call(k, "GET", PODS "/q/log", NULL, NULL), 404);
    CHECK_INT(kit_call(k, "DELETE", LOG, NULL, NULL), 405);
    k->api.pods_dir = S("");
    log_of(k, "", 503);
    end(k);
}

TEST(log_of_a_pod_follows_no_symlink)
{
    struct kit_api *k = begin();
    CHECK_INT(unlink(file), 0);
    CHECK_INT(symlink("/etc/passwd", file), 0);
    log_of(k, "", 500);
    end(k);
}

TEST(log_of_a_pod_is_cut_at_whole_lines)
{
    struct kit_api *k = begin();
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 4 * LIMIT_OBJECT_BYTES };
    for (int i = 0; i < 2 * LIMIT_OBJECT_BYTES / 10; i++)
        buf_fmt(&b, "%09d\n", i);
    CHECK_INT(fs_write(file, buf_view(&b), 0600, false, &e), 0);
    struct str text = log_of(k, "", 200);
    CHECK(text.n <= LIMIT_OBJECT_BYTES && text.n > LIMIT_OBJECT_BYTES - 20 && text.n % 10 == 0);
    CHECK(str_ends(buf_view(&b), text));
    end(k);
}
