/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins are shell scripts in the test's folder. */
#include "k8s/exec_plugin.h"
#include "core/fs.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define V1 "client.authentication.k8s.io/v1"
struct asked { bool over; enum kr_code code; char token[128], msg[512]; int64_t expires; struct exec_plugin *p; };

static void done(void *ctx, const struct exec_credential *c, const struct kr_err *e)
{
    struct asked *q = ctx;
    q->over = true;
    q->code = e ? e->code : KR_OK;
    snprintf(q->msg, sizeof q->msg, "%s", e ? e->msg : "");
    if (c) {
        snprintf(q->token, sizeof q->token, "%.*s", SFMT(c->token));
        q->expires = c->expires_wall_us;
    }
    exec_plugin_free(TAKE(q->p));
}

static struct kube_exec script(const char *text)
{
    static char path[300];
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 65536 };
    snprintf(path, sizeof path, "%s/plugin", test_tmpdir());
    buf_fmt(&b, "#!/bin/sh\n%s\n", text);
    CHECK_INT(fs_write(path, buf_view(&b), 0700, false, &e), 0);
    return (struct kube_exec){ .command = str_of(path), .api_version = S(V1), .interactive = KUBE_NEVER };
}

static void ask(struct here *h, struct asked *q, const struct kube_exec *x)
{
    *q = (struct asked){ 0 };
    q->p = exec_plugin_run(h->loop, x, (struct exec_plugin_user){ done, q });
    CHECK(!q->over);                              /* told from the loop */
}

TEST(a_plugin_gets_arguments_environment_and_the_question)
{
    struct here h;
    struct asked q;
    here_loop(&h);
    struct kube_exec x = script("printf '%s' '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":{\"expirationTimestamp\":\"2030-01-02T03:04:05Z\",\"token\":\"'\n"
                                "printf '%s' \"$1-$2-$A-$HOME_WAS-$(cat | wc -c)-$(printf '%s' \"$KUBERNETES_EXEC_INFO\" | tr -d '\"{}')\"\nprintf '\"}}'");
    struct str args[] = { S("one"), S("two words") };
    struct kube_pair env[] = { { S("A"), S("new") } };
    x.args = args;
    x.nargs = 2;
    x.env = env;
    x.nenv = 1;
    setenv("A", "old", 1);
    setenv("HOME_WAS", "kept", 1);
    ask(&h, &q, &x);
    here_until(&h, &q.over);
    CHECK_Z(q.msg, "");
    CHECK_Z(q.token, "one-two words-new-kept-0-kind:ExecCredential,apiVersion:" V1 ",spec:interactive:false");
    CHECK_INT(q.expires, INT64_C(1893553445000000));
    loop_free(h.loop);
}

TEST(the_question_may_tell_of_the_cluster)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    exec_plugin_info(&b, &(struct kube_exec){ .api_version = S(V1), .cluster = S("{\"server\":\"https://h\"}") }, true);
    CHECK_STR(buf_view(&b), S("{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"spec\":{\"cluster\":{\"server\":\"https://h\"},\"interactive\":true}}"));
}

static void check_bad(struct here *h, const struct kube_exec *x, enum kr_code code, const char *word)
{
    struct asked q;
    ask(h, &q, x);
    here_until(h, &q.over);
    CHECK_INT(q.code, code);
    if (!CHECK(str_find(str_of(q.msg), str_of(word)) >= 0 && str_find(str_of(q.msg), S("credential plugin \"")) == 0))
        printf("    \"%s\" lacks \"%s\"\n", q.msg, word);
}

TEST(plugins_that_fail_say_why)
{
    struct here h;
    here_loop(&h);
    struct kube_exec x = { .command = S("no-such-plugin-anywhere"), .api_version = S(V1), .interactive = KUBE_NEVER, .install_hint = S("apt-get it") };
    check_bad(&h, &x, KR_NOT_FOUND, "it is not installed: apt-get it");
    x.install_hint = S("");
    check_bad(&h, &x, KR_NOT_FOUND, "no-such-plugin-anywhere");
    x = script("exit 3");
    check_bad(&h, &x, KR_UNAUTHORIZED, "exit code 3");
    x = script("echo secret");
    check_bad(&h, &x, KR_INVALID, "no JSON");
    x = script("yes 01234567890123456789 | head -c 2000000; exec yes");
    check_bad(&h, &x, KR_TOO_LARGE, "1048576 bytes");
    x = script("exit 0");
    x.interactive = KUBE_ALWAYS;
    close(0);                                     /* no terminal */
    check_bad(&h, &x, KR_UNAUTHORIZED, "terminal");
    loop_free(h.loop);
}

/* Standard input becomes a terminal. */
static bool at_a_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name = master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 ? ptsname(master) : NULL;
    int fd = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    return fd >= 0 && dup2(fd, 0) == 0 && isatty(0);
}

TEST(a_plugin_that_may_ask_somebody_has_longer)
{
    struct here h;
    struct asked q;
    here_loop(&h);
    struct kube_exec x = script("exec tail -f /dev/null");
    x.interactive = KUBE_IF_AVAILABLE;
    CHECK_OR(at_a_terminal());
    ask(&h, &q, &x);
    here_skip(&h, INT64_C(1000000) * (LIMIT_EXEC_DIALOG_SECONDS - 1));
    here_run(&h, 20000);
    CHECK(!q.over);
    here_skip(&h, 2000000);
    here_until(&h, &q.over);
    CHECK_INT(q.code, KR_DEADLINE);
    here_turn(&h);
    loop_free(h.loop);
}

TEST(a_plugin_that_hangs_is_killed_with_its_children)
{
    struct here h;
    struct asked q;
    char pid_file[300];
    here_loop(&h);
    snprintf(pid_file, sizeof pid_file, "%s/pid", test_tmpdir());
    struct kube_exec x = script("tail -f /dev/null & echo $! >$F.new; mv $F.new $F; wait");
    struct kube_pair env[] = { { S("F"), str_of(pid_file) } };
    x.env = env;
    x.nenv = 1;
    ask(&h, &q, &x);
    while (!fs_exists(pid_file))
        here_run(&h, 1000);
    here_skip(&h, INT64_C(1000000) * LIMIT_EXEC_PLUGIN_SECONDS);
    here_until(&h, &q.over);
    CHECK_INT(q.code, KR_DEADLINE);
    AUTO_BUF struct buf b = { .max = 64 };
    struct kr_err e = { 0 };
    int64_t pid = 0;
    CHECK_INT(fs_read(pid_file, &b, &e), 0);
    CHECK(str_i64(str_trim(buf_view(&b)), &pid) && pid > 1);
    for (int i = 0; i < 5000 && kill((pid_t)pid, 0) == 0; i++) {
        char stat[64];
        AUTO_BUF struct buf s = { .max = 4096 };
        snprintf(stat, sizeof stat, "/proc/%d/stat", (int)pid);
        if (fs_read(stat, &s, &e) < 0 || str_find(buf_view(&s), S(") Z")) >= 0)
            break;                                /* dead; nobody reaps orphans in some containers */
        here_run(&h, 1000);
        CHECK(i < 4999);
    }
    ask(&h, &q, &x);
    exec_plugin_free(TAKE(q.p));                  /* and one that is given up under way */
    here_turn(&h);
    CHECK(!q.over);
    loop_free(h.loop);
}

#define CRED(version, status) "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/" version "\",\"status\":" status "}"
TEST(what_a_plugin_prints_is_checked)
{
    static const struct { const char *text, *word; } rows[] = {
        { CRED("v1", "{\"token\":\"t\"}"), NULL }, { CRED("v1", "{\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\"}"), NULL },
        { CRED("v1beta1", "{\"token\":\"t\"}"), "v1beta1" }, { "{\"kind\":\"Pod\"}", "\"Pod\"" }, { CRED("v1", "{}"), "neither" },
        { CRED("v1", "null"), "neither" }, { CRED("v1", "{\"clientKeyData\":\"k\"}"), "without its certificate" },
        { CRED("v1", "{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}"), "no time" }, { "", "no JSON" }, { "{\"kind\":1}", "is needed" } };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct exec_credential c;
        struct kr_err e = { 0 };
        int rc = exec_plugin_read(str_of(rows[i].text), &(struct kube_exec){ .api_version = S(V1) }, &a, &c, &e);
        CHECK_INT(rc, rows[i].word ? -1 : 0);
        if (rows[i].word && !CHECK(str_find(str_of(e.msg), str_of(rows[i].word)) >= 0))
            printf("    \"%s\" lacks \"%s\"\n", e.msg, rows[i].word);
    }
}
