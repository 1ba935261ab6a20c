/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version: what this binary is: one number on one line, for people and for scripts. With --server also what the API server says of itself,
 * on lines behind it; what else there is to know of an installation is doctor's. Tests: tests/local/doctor.py
 */
#include "applets/cli/cli.h"
#include "core/version.h"

static struct { bool server; } o;
static const struct opt opts[] = {
    { "server", 0, OPT_FLAG, &o.server, NULL, "that of the API server too" },
    { 0 } };

static int ask(struct kr_err *e)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER }, line = { .max = 4096 };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct cli c;
    if (cli_open(&c, e) < 0)
        return -1;
    int rc = cli_call(&c, &(struct kube_request){ .method = "GET", .path = S("/version") }, &body, e);
    struct str version = rc == 0 ? json_str_of(json_find(buf_view(&body), "gitVersion"), &a) : S(""), server = kube_server(c.kube);
    buf_fmt(&line, "server %.*s %.*s\n", SFMT(server), SFMT(version));
    cli_close(&c);
    return rc < 0 ? -1 : applet_print(buf_view(&line), e);
}

static int run(struct applet_call *c, struct kr_err *e)
{
    (void)c;
    AUTO_BUF struct buf line = { .max = 256 };
    buf_fmt(&line, "%s\n", kr_version);
    if (applet_print(buf_view(&line), e) < 0)
        return -1;
    return o.server ? ask(e) : 0;
}

const struct applet applet_version = { .name = "version", .group = APPLET_TOOL, .brief = "what this binary is", .examples = "version\nversion --server", .opts = opts,
                                       .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run };
