/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifact-clean: what the clean-up Job executes. It removes all that Runs have in their store, below NAMESPACE/UID/ and
 * nowhere else: both come from the controller, never from what a Run's status says. What isn't there counts as removed.
 * Tests: tests/local/artifacts.py
 */
#include "applets/artifact/store.h"
#include "core/applet.h"
#include "core/log.h"

static struct { struct str ns, store, place, credentials; } o = { .place = S("/var/lib/kruntimes/artifacts"), .credentials = S("/var/lib/kruntimes/store-credentials") };
static const struct opt opts[] = {
    { "namespace", 'n', OPT_STR, &o.ns, "NAME", "namespace of the Runs", .required = true },
    { "artifact-store", 0, OPT_STR, &o.store, "JSON", "which store: status.artifactStore of the Runs", .env = "KRUNTIMES_ARTIFACT_STORE", .required = true },
    { "artifacts", 0, OPT_STR, &o.place, "DIR", "where the volume of a filesystem store is mounted" },
    { "store-credentials", 0, OPT_STR, &o.credentials, "DIR", "where the Secret of an S3 store is mounted" },
    { 0 } };

static bool is_uid(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= 128;
}

static int clean(struct depot *d, const struct applet_call *c, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    for (size_t i = 0; i < c->nargs; i++) {
        struct str key = arena_fmt(&a, "%.*s/%.*s", SFMT(o.ns), SFMT(c->args[i]));
        if (!is_uid(c->args[i]) || depot_check_key(key, e) < 0)
            return kr_fail(e, KR_USAGE, "\"%.*s\" is no UID of a Run", SFMT(c->args[i]));
        if (d->driver->remove(d, key, e) < 0)
            return kr_wrap(e, "Run %.*s", SFMT(c->args[i]));
        log_info(&log_std, "removed", LOG_STR("run", c->args[i]));
    }
    return 0;
}

static int run(struct applet_call *c, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct artifact_store *s = json_scan(o.store, e) == 0 ? model_decode(artifact_store, o.store, &a, e) : NULL;
    if (!s)
        return kr_wrap(e, "--artifact-store");
    struct depot *d = depot_open(s, str_is(s->driver, "s3") ? o.credentials : o.place, S(""), e);
    int rc = d ? clean(d, c, e) : -1;
    depot_close(d);
    return rc;
}

const struct applet applet_artifact_clean = {
    .name = "artifact-clean", .group = APPLET_COMPONENT, .brief = "removes the artifacts of deleted Runs", .args = "UID…", .min_args = 1, .hidden = true, .opts = opts,
    .shared = (const struct opt *const[]){ log_opts, NULL }, .main = run,
};
