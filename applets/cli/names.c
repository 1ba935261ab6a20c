/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: what completion proposes: the names of Runs, Runtimes, Workflows or namespaces, one a line. It asks once, waits for little and
 * says nothing when there is no answer: somebody is typing. A shell reads them, so what is no name is left out. Tests: tests/local/completion.sh
 */
#include "applets/cli/cli.h"
#include "core/uri.h"
#include "k8s/meta.h"
#include <stdio.h>

enum { PATIENCE_US = 2000000, MOST = 500 };

static int run(struct applet_call *call, struct kr_err *e)
{
    static const struct { const char *word; const struct kube_resource *resource; } kinds[] = {
        { "runs", &kube_runs }, { "runtimes", &kube_runtimes }, { "workflows", &kube_workflows }, { "namespaces", &kube_namespaces } };
    AUTO_BUF struct buf path = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER }, limit = { .max = 16 };
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    size_t k = 0;
    struct cli c;
    while (k < LEN(kinds) && !str_is(call->args[0], kinds[k].word))
        k++;
    if (k == LEN(kinds))
        return kr_fail(e, KR_USAGE, "\"%.*s\" is none of runs, runtimes, workflows, namespaces", SFMT(call->args[0]));
    if (cli_open(&c, e) < 0)
        return -1;
    kube_path(&path, kinds[k].resource, str_of(c.own_ns), S(""), NULL);
    buf_fmt(&limit, "%d", MOST);
    uri_put_param(&path, "limit", buf_view(&limit));
    int rc = cli_ask(&c, &(struct kube_request){ .method = "GET", .path = buf_view(&path), .timeout_us = PATIENCE_US,
                                                 .accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json" }, &body, NULL, e);
    struct json *list = rc == 0 ? json_parse(&a, buf_view(&body), e) : NULL;
    for (struct json *i = json_first(json_get(list, "items")); i; i = json_next(i)) {
        struct str name = json_string(json_get(json_get(i, "metadata"), "name"));
        if (meta_name_ok(name, META_SUBDOMAIN))
            printf("%.*s\n", SFMT(name));
    }
    cli_close(&c);
    return list ? 0 : -1;
}

const struct applet applet_names = {
    .name = "names", .group = APPLET_TOOL, .hidden = true, .brief = "names of objects, for completion", .args = "runs|runtimes|workflows|namespaces", .min_args = 1, .max_args = 1,
    .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run };
