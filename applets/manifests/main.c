/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifests: prints what an installation on a cluster is made of, for kubectl apply. The files in manifests/ are the same
 * output for the values of the release, one part a file. Tests: tests/unit/applets/manifests.c, tests/interop/manifests.py.
 */
#include "applets/manifests/manifests.h"
#include "core/applet.h"
#include "core/version.h"
#include "k8s/meta.h"
#include <signal.h>
#include <stdio.h>

enum { OUTPUT_MAX = 1 << 20 };

static struct { struct install in; struct str part; struct kube_flags kube; bool uninstall, dry_run, keep; int64_t timeout_us; } o = {
    .in = { .ns = S("kruntimes-system"), .replicas = 2, .only = S("") }, .timeout_us = INT64_C(4200000000) };
static const struct opt opts[] = {
    { "image", 0, OPT_STR, &o.in.image, "IMAGE", "the image to run, and to put into Runtime Pods; else localhost/kruntimes with the version of this binary" },
    { "namespace", 'n', OPT_STR, &o.in.ns, "NAME", "where controller and scheduler run" },
    { "only-namespace", 0, OPT_STR, &o.in.only, "NAME", "work in this namespace only, with rights in it alone; else in all" },
    { "replicas", 0, OPT_INT, &o.in.replicas, "N", "of controller and scheduler each: one leads, the others stand by", .lo = 1, .hi = 9 },
    { "part", 0, OPT_STR, &o.part, "NAME", "print one part: namespace, crds, access, roles, admission, priority, network, controller or scheduler" },
    { "uninstall", 0, OPT_FLAG, &o.uninstall, NULL, "print nothing, and take the installation away: Workflows, Runtimes and Runs, then the kinds, then the rest" },
    { "keep-control-plane", 0, OPT_FLAG, &o.keep, NULL, "with --uninstall: only Workflows, Runtimes and Runs (before helm uninstall)" },
    { "dry-run", 0, OPT_FLAG, &o.dry_run, NULL, "with --uninstall: say what would be deleted, delete nothing" },
    { "timeout", 0, OPT_DURATION, &o.timeout_us, "TIME", "with --uninstall: how long Runtimes may take to drain", .hi = INT64_C(604800000000) },
    { 0 } };
/* Which API server, and as whom: --uninstall speaks to one. */
static const struct opt server_opts[] = { KUBE_FLAG_OPTS(o.kube), { 0 } };

/* As far as it matters here: nothing that YAML, or a reference to an image, reads otherwise. */
static bool is_image(struct str s)
{
    static const char others[] = "._-/:@";
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] && strchr(others, s.p[i])))
            return false;
    return s.n > 0 && s.n <= 2048;
}

static int check(struct kr_err *e)
{
    const struct { const char *option; struct str name; } names[] = { { "--namespace", o.in.ns }, { "--only-namespace", o.in.only } };
    for (size_t i = 0; i < LEN(names); i++)
        if ((i == 0 || names[i].name.n) && !meta_name_ok(names[i].name, META_LABEL))
            return kr_fail(e, KR_USAGE, "%s: \"%.*s\" is no name of a namespace: lower case letters, digits and '-', at most 63", names[i].option,
                           SFMT(names[i].name));
    if (!is_image(o.in.image))
        return kr_fail(e, KR_USAGE, "--image: \"%.*s\" is no reference to an image: NAME:TAG or NAME@DIGEST", SFMT(o.in.image));
    return 0;
}

static int print(struct kr_err *e)
{
    AUTO_BUF struct buf out = { .max = OUTPUT_MAX };
    for (const struct install_part *p = install_parts; p->name; p++) {
        if (o.part.n && !str_is(o.part, p->name))
            continue;
        AUTO_BUF struct buf text = { .max = OUTPUT_MAX };
        p->put(&o.in, &text);
        buf_fmt(&out, "%s# %s\n", out.n ? "---\n" : "", p->brief);
        buf_str(&out, buf_view(&text));
    }
    if (!out.n)
        return kr_fail(e, KR_USAGE, "--part: there is no part \"%.*s\"", SFMT(o.part));
    if (out.failed)
        return kr_fail(e, KR_TOO_LARGE, "the manifests are larger than %d bytes", OUTPUT_MAX);
    return applet_print(buf_view(&out), e);
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)sig;
    (void)ctx;
    loop_stop(loop);
}

static int uninstall(struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct kube_config kc;
    char agent[80];
    if (kube_config_find(&kc, &o.kube, e) < 0)
        return -1;
    struct loop *loop = loop_new(&clock_system);
    snprintf(agent, sizeof agent, "kruntimes-manifests/%s", kr_version);
    struct kube *k = kube_new(loop, &kc, agent, e);
    struct uninstall u = { o.in, o.dry_run, o.keep, o.timeout_us };
    loop_signals(loop, signals, LEN(signals), on_signal, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);             /* a drain may take long: each line as it comes */
    int rc = k ? uninstall_run(k, &u, e) : -1;
    kube_free(k);
    loop_free(loop);
    kube_config_free(&kc);
    return rc;
}

static int run(struct applet_call *c, struct kr_err *e)
{
    char image[80];
    (void)c;
    snprintf(image, sizeof image, "localhost/kruntimes:%s", kr_version);
    if (!o.in.image.n)
        o.in.image = str_of(image);
    if (check(e) < 0)
        return -1;
    if (!o.uninstall && (o.dry_run || o.keep))
        return kr_fail(e, KR_USAGE, "--dry-run and --keep-control-plane belong to --uninstall");
    return o.uninstall ? uninstall(e) : print(e);
}

const struct applet applet_manifests = {
    .name = "manifests", .group = APPLET_TOOL, .brief = "print what an installation on a cluster is made of",
    .help = "YAML for `kubectl apply -f -`: kinds, namespace, accounts and their rights, roles for people, admission policy, controller and "
            "scheduler. The same as `kubectl apply -k manifests/` with other values.",
    .examples = "manifests | kubectl apply -f -\nmanifests --image registry.example.com/kruntimes:0.1.0 | kubectl apply -f -\nmanifests --uninstall --dry-run",
    .opts = opts, .shared = (const struct opt *const[]){ server_opts, NULL }, .main = run,
};
