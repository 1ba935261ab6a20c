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

TEST(log_of_a_pod_refusals)
{
    struct kit_api *k = begin();
    CHECK_STR(log_of(k, "?container=x", 400), S("container x is not valid for pod p"));
    CHECK_STR(log_of(k, "?container=runtimed", 400), S("container \"runtimed\" in pod \"p\" is waiting to start"));
    CHECK_STR(log_of(k, "?follow=true", 400), S("follow is not offered for the logs of this server's pods"));
    CHECK_STR(log_of(k, "?sinceSeconds=5", 400), S("sinceSeconds is not offered for the logs of this server's pods"));
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
