/* SPDX-License-Identifier: Apache-2.0 */
/* applet: the way from argv to main and to the exit status, and the help pages, with a program made for it. */
#include "core/applet.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct { int calls, rc, fail_exit; size_t nargs, dash; char prog[64]; enum kr_code code; bool loud; } got;
static bool loud;
static const char *printed = "";
static struct str file = S("-");

static int work(struct applet_call *c, struct kr_err *e)
{
    got.calls++;
    printf("%s", printed);
    got.nargs = c->nargs;
    got.dash = c->dash;
    got.loud = loud;
    snprintf(got.prog, sizeof got.prog, "%s", c->prog);
    c->fail_exit = got.fail_exit;
    return got.rc < 0 ? kr_fail(e, got.code, "it went wrong") : got.rc;
}

static const struct opt opts[] = { { "loud", 'l', OPT_FLAG, &loud, NULL, "say it" },
                                   { "file", 'f', OPT_STR, &file, "FILE", "what to read" }, { 0 } };
static const struct applet submit = { .name = "submit", .brief = "create a Run", .args = "NAME [-- COMMAND [ARG]…]",
                                      .min_args = 1, .max_args = 3, .opts = opts, .main = work, .aliases = (const char *const[]){ "create", NULL },
                                      .help = "Creates a Run and says its name.\n\n"
                                              "  - with a file, from the file\n  - else from the command",
                                      .examples = "run submit hello -- echo hi\nrun submit -f run.yaml" };
static const struct applet logs = { .name = "logs", .brief = "print what it wrote", .main = work };
static const struct applet follow = { .name = "follow", .brief = "wait for it, or not", .main = work, .opts = opts, .hidden = true, .usage_exit = 124,
                                      .usage_exit_with = (const char *const[]){ "--loud", NULL } };
static const struct applet run_applet = { .name = "run", .brief = "work with Runs", .group = APPLET_WORK,
                                          .verbs = (const struct applet *const[]){ &submit, &logs, &follow, NULL } };
static const struct applet shim = { .name = "shim", .brief = "runs another program", .group = APPLET_COMPONENT,
                                    .raw = true, .args = "COMMAND…", .opts = opts, .main = work };
static const struct applet ghost = { .name = "ghost", .brief = "a helper process", .hidden = true, .main = work };
static const struct applet *const all[] = { &run_applet, &shim, &ghost, NULL };

/* Runs it with stdout and stderr in files, "out" and "err" of the test's folder (or stdout in `out`). */
static int call_to(const char *out, const char **argv)
{
    char path[2][256];
    int argc = 0, keep[2] = { dup(1), dup(2) };
    while (argv[argc])
        argc++;
    snprintf(path[0], sizeof path[0], "%s/out", test_tmpdir());
    snprintf(path[1], sizeof path[1], "%s/err", test_tmpdir());
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        AUTO_CLOSE int fd = open(i || !out ? path[i] : out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        dup2(fd, i + 1);
    }
    loud = false;
    file = S("-");
    got.calls = 0;
    int rc = applet_main(all, argc, (char **)argv);
    fflush(stdout);
    clearerr(stdout);
    for (int i = 0; i < 2; i++) {
        dup2(keep[i], i + 1);
        close(keep[i]);
    }
    return rc;
}
#define CALL(...) call_to(NULL, (const char *[]){ __VA_ARGS__, NULL })

static struct str written(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_tmpdir(), name);
    return test_file(path);
}

TEST(finds_main_by_words_or_by_name) {
    got.rc = 0;
    CHECK_INT(CALL("/usr/bin/kruntimes", "run", "submit", "-l", "x", "--", "-l"), 0);
    CHECK_INT(got.calls, 1);
    CHECK_Z(got.prog, "kruntimes run submit");
    CHECK_INT(got.nargs, 2);
    CHECK_INT(got.dash, 1);
    CHECK(got.loud);
    CHECK_INT(CALL("krt", "run", "create", "x"), 0);
    CHECK_Z(got.prog, "krt run submit");
    CHECK_INT(CALL("/opt/kubectl-kruntimes", "run", "logs"), 0);
    CHECK_Z(got.prog, "kubectl kruntimes run logs");
    CHECK_INT(CALL("./run", "logs"), 0);
    CHECK_Z(got.prog, "run logs");
    CHECK_INT(CALL("kruntimes", "ghost"), 0);
    CHECK_INT(CALL("kruntimes", "shim", "-l", "ls", "-l", "--help"), 0);
    CHECK_INT(got.nargs, 3);
}

static void refused(int rc, const char *says)
{
    CHECK_INT(rc, 1);
    CHECK_INT(got.calls, 0);
    CHECK_STR(written("err"), str_of(says));
    CHECK_STR(written("out"), S(""));
}

TEST(refusals_say_what_was_meant) {
    refused(CALL("kruntimes", "rum"), "kruntimes: there is no applet \"rum\": did you mean run?\ntry: kruntimes --help\n");
    refused(CALL("kruntimes", "ghos"), "kruntimes: there is no applet \"ghos\"\ntry: kruntimes --help\n");
    refused(CALL("kruntimes", "--verbose"), "kruntimes: \"--verbose\": options stand behind the applet and its verb, as in: kruntimes run list -n NAME\ntry: kruntimes --help\n");
    refused(CALL("krt", "run", "sumbit"), "krt run: there is no verb \"sumbit\": did you mean submit?\ntry: krt run --help\n");
    refused(CALL("kruntimes", "run", "submit", "x", "--lowd"),
            "kruntimes run submit: unknown option \"--lowd\": did you mean --loud?\ntry: kruntimes run submit --help\n");
    refused(CALL("kruntimes", "run", "submit"),
            "kruntimes run submit: an argument is missing: NAME [-- COMMAND [ARG]…]\ntry: kruntimes run submit --help\n");
    refused(CALL("kruntimes", "run", "submit", "1", "2", "3", "4"),
            "kruntimes run submit: \"4\" is one argument too many: NAME [-- COMMAND [ARG]…]\ntry: kruntimes run submit --help\n");
    refused(CALL("kruntimes", "run", "logs", "x"),
            "kruntimes run logs: \"x\" is not expected: it takes no arguments\ntry: kruntimes run logs --help\n");
    refused(CALL("kruntimes", "help", "run", "lgos"),
            "kruntimes run: there is no verb \"lgos\": did you mean logs?\ntry: kruntimes run --help\n");
    refused(CALL("kruntimes", "help", "shim", "x"),
            "kruntimes shim: \"x\" is not expected: shim has no verbs\ntry: kruntimes shim --help\n");
}

TEST(exit_statuses) {
    got.rc = 42;
    CHECK_INT(CALL("kruntimes", "ghost"), 42);
    CHECK_STR(written("err"), S(""));
    got.rc = -1;
    got.code = KR_NOT_FOUND;
    CHECK_INT(CALL("kruntimes", "ghost"), kr_codes[KR_NOT_FOUND].exit);
    CHECK_STR(written("err"), S("kruntimes ghost: it went wrong\n"));
    got.fail_exit = 125;
    CHECK_INT(CALL("kruntimes", "ghost"), 125);
}

TEST(help_pages) {
    CHECK_INT(CALL("kruntimes"), 0);
    struct str whole = written("out");
    CHECK(str_find(whole, S("\nWork\n  run            work with Runs\n")) > 0);
    CHECK_INT(str_find(whole, S("Tools")), -1);                    /* a heading without rows */
    CHECK_INT(str_find(whole, S("ghost")), -1);
    CHECK_INT(CALL("kruntimes", "--help"), 0);
    CHECK_STR(written("out"), whole);
    CHECK_INT(CALL("kruntimes", "help"), 0);
    CHECK_STR(written("out"), whole);
    CHECK_INT(CALL("kruntimes", "run", "--help"), 0);
    test_golden("help/verbs.txt", written("out"));
    CHECK_INT(CALL("kruntimes", "run"), 1);                        /* a verb is missing: the page, and a failure */
    test_golden("help/verbs.txt", written("out"));
    CHECK_INT(CALL("kruntimes", "run", "submit", "-l", "--help"), 0);
    test_golden("help/applet.txt", written("out"));
    CHECK_INT(CALL("kruntimes", "help", "run", "create"), 0);
    test_golden("help/applet.txt", written("out"));
    CHECK_INT(got.calls, 0);
    AUTO_BUF struct buf narrow = { .max = 65536 };
    applet_help(&run_applet, "kruntimes run", 32, &narrow);        /* what a verb is for is wrapped behind its name */
    CHECK(str_find(buf_view(&narrow), S("\n  logs           print what it\n                 wrote\n")) > 0);
}

TEST(help_is_no_help_as_a_value_or_behind_dashes) {
    got.rc = 0;
    CHECK_INT(CALL("kruntimes", "run", "submit", "x", "-f", "-h"), 0);
    CHECK_INT(got.calls, 1);
    CHECK_STR(file, S("-h"));
    CHECK_INT(CALL("kruntimes", "run", "submit", "x", "--", "--help"), 0);
    CHECK_INT(got.calls, 1);
    CHECK_INT(CALL("kruntimes", "shim", "-f", "x", "--help"), 0);
    CHECK_INT(got.calls, 0);
}

TEST(output_that_does_not_arrive_is_a_failure) {
    CHECK(call_to("/dev/full", (const char *[]){ "kruntimes", "--version", NULL }) != 0);
    CHECK_STR(written("err"), S("kruntimes: write to stdout: No space left on device\n"));
    got.rc = 0;
    printed = "what an applet prints";
    CHECK(call_to("/dev/full", (const char *[]){ "kruntimes", "ghost", NULL }) != 0);
    CHECK(str_starts(written("err"), S("kruntimes ghost: what was printed did not arrive: stdout")));
    printed = "";
    CHECK(call_to("/dev/full", (const char *[]){ "kruntimes", "--help", NULL }) != 0);
    CHECK_STR(written("err"), S("kruntimes: write to stdout: No space left on device\n"));
}
