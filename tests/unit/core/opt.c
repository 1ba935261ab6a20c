/* SPDX-License-Identifier: Apache-2.0 */
/* opt: each form a word may take, each way it can be wrong, and what the help page makes of the same rows. */
#include "core/opt.h"
#include "tests/kit/test.h"

static const char *const colours[] = { "red", "green", "blue", NULL };
static struct {
    struct str bind, hidden;
    int64_t workers, wait;
    bool elect, verbose, all, bind_given, wait_given;
    int colour;
    struct opt_list env;
} o;
static const struct opt opts[] = {
    { "bind", 'b', OPT_STR, &o.bind, "ADDR", "where metrics listen", .env = "KR_TEST_BIND", .given = &o.bind_given },
    { "workers", 'w', OPT_INT, &o.workers, "N", "side by side", .lo = 1, .hi = 64, .also = "jobs threads" },
    { "wait", 0, OPT_DURATION, &o.wait, "TIME", "how long", .env = "KR_TEST_WAIT", .lo = 1000, .hi = 60000000, .given = &o.wait_given },
    { "leader-elect", 0, OPT_FLAG, &o.elect, NULL, "hold the Lease" },
    { "verbose", 'v', OPT_FLAG, &o.verbose, NULL, "say more" },
    { "all", 'a', OPT_FLAG, &o.all, NULL, "each of them" },
    { "colour", 'c', OPT_ENUM, &o.colour, "COLOUR", "of what", .words = colours },
    { "env", 'e', OPT_LIST, &o.env, "KEY=VALUE", "set a variable (repeatable)" },
    { "secret", 0, OPT_STR, &o.hidden, "X", "not shown", .hidden = true },
    { 0 } };
static const struct opt *const tables[] = { opts, NULL };
static struct opt_args args;
static struct kr_err err;

static int parse_in(const struct opt *const *t, unsigned flags, const char **argv)
{
    int argc = 0;
    opt_list_free(&o.env);
    opt_args_free(&args);
    memset(&o, 0, sizeof o);
    o.bind = S(":8080");
    o.workers = 4;
    o.elect = true;
    err = (struct kr_err){ 0 };
    while (argv[argc])
        argc++;
    return opt_parse(t, argc, (char **)argv, flags, &args, &err);
}
#define PARSE(...) parse_in(tables, 0, (const char *[]){ __VA_ARGS__, NULL })
#define REFUSED(says, ...)                          \
    do {                                            \
        CHECK_INT(PARSE(__VA_ARGS__), -1);          \
        CHECK_INT(err.code, KR_USAGE);              \
        CHECK_Z(err.msg, says);                     \
    } while (0)

static void done(void)
{
    opt_list_free(&o.env);
    opt_args_free(&args);
}

TEST(a_value_may_stand_in_five_places) {
    static const char *const forms[][3] = { { "--bind=x:1" }, { "--bind", "x:1" }, { "-b", "x:1" }, { "-bx:1" }, { "-b=x:1" } };
    for (size_t i = 0; i < LEN(forms); i++) {
        CHECK_INT(parse_in(tables, 0, (const char *[]){ forms[i][0], forms[i][1], NULL }), 0);
        CHECK_STR(o.bind, S("x:1"));
        CHECK(o.bind_given);
        CHECK_INT(args.n, 0);
    }
    CHECK_INT(PARSE("--bind="), 0);
    CHECK_STR(o.bind, S(""));
    CHECK_INT(PARSE("--bind=a=b", "--bind=c=d"), 0);
    CHECK_STR(o.bind, S("c=d"));
    CHECK_INT(PARSE("--bind", "--all"), 0);            /* the next word, whatever it is */
    CHECK_STR(o.bind, S("--all"));
    CHECK(!o.all);
    done();
}

TEST(flags_go_on_off_and_together) {
    CHECK_INT(PARSE("-va", "--no-leader-elect"), 0);
    CHECK(o.verbose && o.all && !o.elect);
    CHECK_INT(PARSE("--leader-elect=false", "--all=true"), 0);
    CHECK(!o.elect && o.all && !o.verbose);
    CHECK_INT(PARSE("-vaw7"), 0);
    CHECK(o.verbose && o.all);
    CHECK_INT(o.workers, 7);
    CHECK_INT(PARSE("-vw", "8"), 0);
    CHECK_INT(o.workers, 8);
    REFUSED("--all: \"maybe\" is neither true nor false", "--all=maybe");
    REFUSED("unknown option \"--no-bind\"", "--no-bind");
    done();
}

TEST(typed_values) {
    CHECK_INT(PARSE("--workers=64", "--wait", "1m", "-cblue"), 0);
    CHECK_INT(o.workers, 64);
    CHECK_INT(o.wait, 60000000);
    CHECK_INT(o.colour, 2);
    CHECK_INT(PARSE("-e", "A=1", "--env=B=2", "-eC"), 0);
    CHECK_INT(o.env.n, 3);
    CHECK_STR(o.env.v[1], S("B=2"));
    REFUSED("--workers: 65 is out of range (1 … 64)", "--workers=65");
    REFUSED("-w: \"4x\" is no whole number", "-w4x");
    REFUSED("--workers: \"\" is no whole number", "--workers=");
    REFUSED("--wait: \"5\" is no duration like 30s, 1m30s or 250ms", "--wait=5");
    REFUSED("--wait: \"2m\" is out of range (0.001 s … 60 s)", "--wait=2m");
    REFUSED("--colour: \"pink\" is none of red, green, blue", "--colour", "pink");
    done();
}

TEST(refusals_name_the_option_and_the_nearest) {
    REFUSED("unknown option \"--wokers\": did you mean --workers?", "--wokers=3");
    REFUSED("unknown option \"--threads\": did you mean --workers?", "--threads=3");      /* what others call it */
    REFUSED("unknown option \"--zzzzzz\"", "--zzzzzz");
    REFUSED("unknown option \"--secre\"", "--secre=1");           /* what is hidden is not proposed */
    REFUSED("unknown option \"-x\"", "-vx");
    REFUSED("--bind needs a value: ADDR", "--bind");
    REFUSED("-w needs a value: N", "-vw");
    CHECK_INT(PARSE("--secret=1"), 0);
    CHECK_STR(o.hidden, S("1"));
    done();
}

TEST(arguments_and_dashes) {
    CHECK_INT(PARSE("a", "-v", "-", "b"), 0);
    CHECK_INT(args.n, 3);
    CHECK_INT(args.dash, 3);
    CHECK_STR(args.v[1], S("-"));
    CHECK(o.verbose);
    CHECK_INT(PARSE("a", "--", "-v", "--", "--all"), 0);
    CHECK_INT(args.n, 4);
    CHECK_INT(args.dash, 1);
    CHECK_STR(args.v[2], S("--"));
    CHECK(!o.verbose && !o.all);
    CHECK_INT(parse_in(tables, OPT_STOP_AT_ARG, (const char *[]){ "-v", "sh", "-a", "--", NULL }), 0);
    CHECK_INT(args.n, 3);
    CHECK(o.verbose && !o.all);
    CHECK_INT(PARSE(NULL), 0);
    CHECK_INT(args.n, 0);
    CHECK_STR(o.bind, S(":8080"));
    CHECK(!o.bind_given);
    done();
}

TEST(the_environment_fills_what_is_not_given) {
    setenv("KR_TEST_BIND", "env:1", 1);
    CHECK_INT(PARSE("-v"), 0);
    CHECK_STR(o.bind, S("env:1"));
    CHECK(o.bind_given);
    CHECK_INT(PARSE("--bind=line:1"), 0);
    CHECK_STR(o.bind, S("line:1"));
    setenv("KR_TEST_BIND", "", 1);                     /* empty counts as unset */
    CHECK_INT(PARSE("-v"), 0);
    CHECK_STR(o.bind, S(":8080"));
    setenv("KR_TEST_WAIT", "soon", 1);
    REFUSED("$KR_TEST_WAIT: \"soon\" is no duration like 30s, 1m30s or 250ms", "-v");
    CHECK_INT(PARSE("--wait=1s"), 0);                  /* what is overruled is not looked at */
    done();
}

TEST(needed_options_and_shadowed_rows) {
    struct str a = S(""), b = S("");
    const struct opt first[] = { { "name", 0, OPT_STR, &a, "N", "mine" }, { 0 } };
    const struct opt second[] = { { "name", 0, OPT_STR, &b, "N", "theirs", .required = true },
                                  { "dir", 'd', OPT_STR, &b, "DIR", "where", .required = true }, { 0 } };
    const struct opt *const both[] = { first, second, NULL };
    CHECK_INT(parse_in(both, 0, (const char *[]){ "--name=x", NULL }), -1);
    CHECK_Z(err.msg, "--dir is needed: where");
    CHECK_INT(parse_in(both, 0, (const char *[]){ "-d", "here", NULL }), 0);
    CHECK_STR(b, S("here"));
    AUTO_BUF struct buf help = { .max = 4096 };
    opt_help(both, 80, &help);
    CHECK(str_find(buf_view(&help), S("mine")) >= 0);
    CHECK_INT(str_find(buf_view(&help), S("theirs")), -1);
    done();
}

TEST(a_refusal_leaves_the_arguments_alone) {
    struct opt_args mine = { .n = 77 };
    CHECK_INT(opt_parse(tables, 2, (char **)(const char *[]){ "x", "--nope" }, 0, &mine, &err), -1);
    CHECK_INT(mine.n, 77);
}

TEST(words_that_take_the_next) {
    CHECK(opt_takes_next(tables, S("--bind")));
    CHECK(opt_takes_next(tables, S("-b")));
    CHECK(opt_takes_next(tables, S("-vb")));
    CHECK(!opt_takes_next(tables, S("--bind=x")));
    CHECK(!opt_takes_next(tables, S("-bx")));
    CHECK(!opt_takes_next(tables, S("--all")));
    CHECK(!opt_takes_next(tables, S("-v")));
    CHECK(!opt_takes_next(tables, S("-x")));
    CHECK(!opt_takes_next(tables, S("--")));
    CHECK(!opt_takes_next(tables, S("bind")));
    CHECK(!opt_takes_next(tables, S("")));
}

TEST(nearest) {
    static const char *const words[] = { "scheduler", "controller", "run", "logs" };
    CHECK_Z(opt_nearest(S("schedular"), words, LEN(words)), "scheduler");
    CHECK_Z(opt_nearest(S("shceduler"), words, LEN(words)), "scheduler");
    CHECK_Z(opt_nearest(S("urn"), words, LEN(words)), "run");            /* two neighbours changed places: one step */
    CHECK_Z(opt_nearest(S("sched"), words, LEN(words)), "scheduler");    /* a beginning */
    CHECK_Z(opt_nearest(S("lgos"), words, LEN(words)), "logs");
    CHECK_Z(opt_nearest(S("scheduk"), words, LEN(words)), "scheduler");  /* a beginning with a slip */
    CHECK(!opt_nearest(S("workflow"), words, LEN(words)));
    CHECK(!opt_nearest(S(""), words, LEN(words)));
    CHECK(!opt_nearest(S("an-option-far-longer-than-any-word-that-anybody-would-mean"), words, LEN(words)));
}

TEST(wrapping) {
    AUTO_BUF struct buf b = { .max = 4096 };
    opt_wrap(S("one two three four\n\n  - five six seven"), 2, 14, &b);
    CHECK_STR(buf_view(&b), S("  one two\n  three four\n\n    - five six\n    seven\n"));
    buf_clear(&b);
    opt_wrap(S("äöü äöü unbreakably-long x"), 0, 7, &b);
    CHECK_STR(buf_view(&b), S("äöü äöü\nunbreakably-long\nx\n"));
}

TEST(help_shows_the_rows) {
    AUTO_BUF struct buf b = { .max = 8192 };
    PARSE("-v");
    o.verbose = false;
    o.wait = 90000000;
    opt_help(tables, 78, &b);
    test_golden("help/options.txt", buf_view(&b));
    done();
}
