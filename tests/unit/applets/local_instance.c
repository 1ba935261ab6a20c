/* SPDX-License-Identifier: Apache-2.0 */
/* instance: waiting for one that never comes up, and the logs. tests/local has those that do come up. */
#include "applets/local/instance.h"
#include "core/fs.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(waiting_ends_with_its_time_or_an_interruption)
{
    struct here h;
    here_loop(&h);
    for (int interrupted = 0; interrupted < 2; interrupted++) {
        struct kube *kube = NULL;
        struct kr_err e = { 0 };
        bool flag = interrupted;
        struct instance_goal goal = { .dir = test_tmpdir(), .timeout_us = interrupted * 1000000, .interrupted = &flag };
        CHECK_INT(instance_wait(h.loop, goal, &h.rnd, &kube, &e), -1);
        CHECK_INT(e.code, interrupted ? KR_CANCELLED : KR_UNAVAILABLE);
        CHECK(!kube);
    }
    loop_free(h.loop);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/log/%s", test_tmpdir(), name);
    return path;
}

/* Zeros stand for what was written over months. */
static void write_log(const char *name, off_t zeros, const char *end)
{
    struct kr_err e = { 0 };
    char dir[256];
    snprintf(dir, sizeof dir, "%s/log", test_tmpdir());
    CHECK_INT(fs_make_dir(dir, 0700, &e), 0);
    AUTO_CLOSE int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, zeros) == 0 && pwrite(fd, end, strlen(end), zeros) == (ssize_t)strlen(end));
}

TEST(the_last_words_of_a_log)
{
    static const struct { off_t zeros; const char *end, *last; } cases[] = {
        { 0, "", "" },
        { 0, "one\n", "one" },
        { 0, "one\ntwo: it failed\n\n", "two: it failed" },
        { 0, "a line that has no end", "a line that has no end" },
        { 2 << 20, "\nthe port is taken\n", "the port is taken" },
    };
    char last[LAST_WORDS];
    instance_last_words(test_tmpdir(), "supervisor", last);
    CHECK_Z(last, "");
    for (size_t i = 0; i < LEN(cases); i++) {
        write_log("supervisor.log", cases[i].zeros, cases[i].end);
        instance_last_words(test_tmpdir(), "supervisor", last);
        CHECK_Z(last, cases[i].last);
    }
}

TEST(a_log_that_grew_too_large_is_put_aside)
{
    struct stat st;
    write_log("node.log.1", 0, "older");
    for (int over = 0; over < 2; over++) {
        write_log("node.log", over ? LIMIT_LOCAL_LOG + 1 : LIMIT_LOCAL_LOG, "");
        AUTO_CLOSE int fd = instance_open_log(test_tmpdir(), "node");
        CHECK(fstat(fd, &st) == 0);
        CHECK_INT(st.st_size, over ? 0 : LIMIT_LOCAL_LOG);
        CHECK(stat(path_of("node.log.1"), &st) == 0);
        CHECK_INT(st.st_size, over ? LIMIT_LOCAL_LOG + 1 : 5);
    }
}
