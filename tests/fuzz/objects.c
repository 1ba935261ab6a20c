/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects and changes to them. What admission lets through can be decoded, comes out of the struct as it went in, and is let
 * through again as it is. A patch that fails leaves its target alone; one that merges twice changes nothing more.
 */
#include "applets/runtimed/outputs.h"
#include "core/fs.h"
#include "core/model_admit.h"
#include "crds/crds.h"
#include "k8s/core_schema.h"
#include "k8s/kubeconfig.h"
#include "k8s/managed.h"
#include "k8s/patch.h"
#include "k8s/strategic.h"
#include "tests/fuzz/fuzz.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- our kinds --------------------------------------------------------------------------------------------------- */

static void decoded(const struct model_type *t, struct str text, struct arena *a)
{
    AUTO_BUF struct buf once = { .max = 8 << 20 }, twice = { .max = 8 << 20 };
    struct kr_err e = { 0 };
    void *o = model_decode_object(t->object, text, a, &e);
    if (!o)
        return;
    model_encode_object(t->object, o, &once);
    void *same = model_decode_object(t->object, buf_view(&once), a, &e);
    DEMAND(same || a->over);
    if (!same)
        return;
    model_encode_object(t->object, same, &twice);
    DEMAND(str_eq(buf_view(&once), buf_view(&twice)));
}

FUZZ_WORDS(model, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"runtime\":\"bash\"}}", "\"args\":[\"a\"]", "\"env\":[{\"name\":\"A\",\"value\":\"b\"}]", "\"source\":{\"inline\":\"x\"}",
           "\"retryPolicy\":{\"maxAttempts\":3}", "\"resources\":{\"requests\":{\"cpu\":1}}", "\"affinity\":{\"runAffinity\":", "\"jobs\":{\"a\":{\"runs-on\":\"b\",\"steps\":[{\"name\":\"s\",\"run\":\"x\"}]}}",
           "\"template\":{\"spec\":{\"containers\":[{\"name\":\"runtime\",\"image\":\"i\"}]}}", "\"status\":{\"phase\":\"Running\"}", "null", "[]", "-1", "1.5", "\"1s\"")
{
    AUTO_ARENA struct arena a = { .limit = 32 << 20 };
    AUTO_BUF struct buf text = { .max = 8 << 20 }, again = { .max = 8 << 20 };
    struct kr_err e = { 0 };
    struct model_errors errors = { 0 };
    const struct model_type *t = crd_types[fuzz_pick(&in, 3)];
    if (json_scan(in, &e) < 0)
        return;
    decoded(t, in, &a);
    struct json *o = json_parse(&a, in, &e);
    if (!o || json_type(o) != JSON_OBJECT)
        return;
    if (model_admit(t, &a, o, NULL, &errors, NULL, &e) < 0 || errors.n || a.over)
        return;
    json_print(&text, o);
    e.msg[0] = 0;
    bool reads = model_decode_object(t->object, buf_view(&text), &a, &e);
    DEMAND(reads || a.over || str_starts(str_of(e.msg), S("metadata")));       /* types in there are for decoding to refuse (k8s/meta.h) */
    if (!reads)
        return;
    decoded(t, buf_view(&text), &a);
    DEMAND((model_admit(t, &a, o, o, &errors, NULL, &e) == 0 && !errors.n) || a.over);
    json_print(&again, o);
    DEMAND(a.over || str_eq(buf_view(&text), buf_view(&again)));
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */

#define PATCH_WORDS "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", "\"op\":\"remove\"", "\"op\":\"copy\",\"from\":\"/a\"", "\"op\":\"test\"", "/metadata/labels", "/spec/0", "/-", "~1", "null", "{\"a\":", "}"

/* TARGET, a line end, PATCH. */
static bool two(struct str in, struct arena *a, struct json **target, struct json **patch)
{
    struct kr_err e = { 0 };
    ptrdiff_t cut = str_chr(in, '\n');
    *target = json_parse(a, cut < 0 ? S("{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":[1,2,{\"x\":null}]}") : (struct str){ in.p, (size_t)cut }, &e);
    *patch = json_parse(a, str_from(in, cut < 0 ? 0 : (size_t)cut + 1), &e);
    return *target && *patch;
}

FUZZ_WORDS(patch, PATCH_WORDS)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    AUTO_BUF struct buf before = { .max = 8 << 20 }, after = { .max = 8 << 20 };
    struct kr_err e = { 0 };
    struct json *target, *patch;
    enum patch_failure why = PATCH_OK;
    if (!two(in, &a, &target, &patch))
        return;
    json_print(&before, target);
    struct json *changed = patch_json(&a, target, patch, &why, &e);
    DEMAND(changed ? why == PATCH_OK : why != PATCH_OK && e.msg[0]);
    struct json *merged = patch_merge(&a, target, patch, &e);
    json_print(&after, target);
    DEMAND(str_eq(buf_view(&before), buf_view(&after)));
    if (merged) {
        struct json *twice = patch_merge(&a, merged, patch, &e);
        DEMAND(a.over || (twice && json_equal(merged, twice)));
    }
}

FUZZ_WORDS(apply, "\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"b\"}]}", "\"$patch\":\"replace\"", "\"$patch\":\"delete\"", "$setElementOrder/containers", "\"ports\":[{\"containerPort\":1}]",
           "\"metadata\":{\"labels\":{\"a\":\"b\"}}", "$deleteFromPrimitiveList/finalizers", "\n", PATCH_WORDS)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct json *target, *patch;
    const struct model_object *schema = core_schema(S("v1"), S("Pod"));
    struct managers m = { 0 };
    struct managed_conflicts conflicts = { 0 };
    bool force = fuzz_pick(&in, 2);
    if (!two(in, &a, &target, &patch))
        return;
    core_check_types(schema, patch, &e);
    strategic_merge(&a, schema, target, patch, &e);
    if (json_type(target) != JSON_OBJECT || json_type(patch) != JSON_OBJECT)
        return;
    managed_parse(&a, json_get_path(target, (const char *const[]){ "metadata", "managedFields" }, 2), &m);
    struct manager who = { .name = S("fuzz"), .api_version = S("v1"), .time = S("2026-01-02T03:04:05Z"), .apply = true };
    struct json *made = managed_apply(&a, &m, &who, schema, target, patch, force, &conflicts);
    DEMAND(made || conflicts.n || a.over);
    DEMAND(!made || !conflicts.n || force);
    if (made && !a.over) {                         /* applied once more it changes nothing */
        struct json *same = managed_apply(&a, &m, &who, schema, made, patch, force, &conflicts);
        DEMAND(a.over || (same && json_equal(made, same)));
    }
    managed_json(&a, &m);
}

FUZZ_WORDS(protobuf, "k8s\0", "\x0a\x07", "v1", "ConfigMap", "Pod", "\x12", "\x1a")
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    AUTO_BUF struct buf whole = { .max = 1 << 20 }, text = { .max = 8 << 20 };
    struct kr_err e = { 0 };
    buf_add(&whole, "k8s", 4);
    buf_str(&whole, in);
    struct json *j = core_from_protobuf(&a, buf_view(&whole), &e);
    if (!j) {
        DEMAND(e.msg[0] || a.over);
        return;
    }
    json_print(&text, j);
    DEMAND(json_scan(buf_view(&text), &e) == 0);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

FUZZ_WORDS(kubeconfig, "clusters:\n- name: c\n  cluster:\n    server: https://h:1\n", "users:\n- name: u\n  user:\n    token: t\n", "contexts:\n- name: x\n  context: {cluster: c, user: u}\n",
           "current-context: x\n", "exec:\n      command: x\n      apiVersion: client.authentication.k8s.io/v1\n", "proxy-url: http://p\n", "client-certificate-data: QQ==\n")
{
    struct kube_config c = { 0 };
    struct kr_err e = { 0 };
    char path[64];
    AUTO_CLOSE int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    if (fd < 0 || write(fd, in.p, in.n) != (ssize_t)in.n)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (kube_config_load(&c, path, S(""), &e) == 0)
        DEMAND(c.host.n && c.port && c.ns.n);
    else
        DEMAND(e.msg[0]);
    kube_config_free(&c);
}

FUZZ_WORDS(outputs, "A=b\n", "A<<EOF\n", "EOF\n", "=", "\r\n", "\xc3\xa9")
{
    struct outputs o;
    struct kr_err e = { 0 };
    size_t all = 0;
    if (outputs_parse(&o, in, &e) < 0) {
        DEMAND(e.code == KR_TOO_LARGE || e.code == KR_INVALID);
        return;
    }
    DEMAND(o.n <= LIMIT_RUN_OUTPUT_KEYS);
    for (size_t i = 0; i < o.n; i++) {
        DEMAND(o.v[i].key.n && str_utf8(o.v[i].key) && str_utf8(o.v[i].value));
        all += o.v[i].key.n + o.v[i].value.n;
    }
    DEMAND(all <= LIMIT_RUN_OUTPUTS);
}
