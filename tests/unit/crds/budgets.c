/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row 66: each decoder with an arena of no bytes, of 16, of 32… until it has enough. Before that it is a clean error, then the
 * result is what it is with plenty; ASan sees what would be lost or read beyond.
 */
#include "core/expr.h"
#include "core/yaml.h"
#include "crds/crds.h"
#include "grpc/pb.h"
#include "grpc/proto/executor.pb.h"
#include "k8s/core_schema.h"
#include "k8s/jsonpath.h"
#include "k8s/managed.h"
#include "k8s/patch.h"
#include "k8s/selector.h"
#include "k8s/strategic.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define RUN "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\",\"z\":\"\\u00e9\"}}," \
            "\"spec\":{\"runtime\":\"bash\",\"args\":[\"echo\",\"one\",\"two\"],\"env\":[{\"name\":\"A\",\"value\":\"b\"}]},\"status\":{\"phase\":\"Pending\"}}"

static struct arena plenty = { .limit = 1 << 26 };

static struct json *tree(const char *text)
{
    struct kr_err e = { 0 };
    return json_parse(&plenty, str_of(text), &e);
}

/* Each prints what it has into out; <0 and e: not enough. */
static int model_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct run *r = model_decode(run, S(RUN), a, e);
    if (!r)
        return -1;
    model_encode(run, r, out);
    return 0;
}

static int json_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct json *j = json_parse(a, S(RUN), e);
    if (!j)
        return -1;
    json_print(out, j);
    return 0;
}

static int yaml_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct yaml_docs docs;
    if (yaml_to_json(S("a: &x\n  b: [1, 2.5, true, ~, \"q\"]\n  c: |\n    text\n    more\nd: *x\n---\ne: 'f'\n"), a, &docs, e) < 0)
        return -1;
    for (size_t i = 0; i < docs.n; i++)
        buf_str(out, docs.docs[i].json);
    return 0;
}

static int protobuf_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct str bytes = S("\x0a\2id\x12\4echo\x12\3one\x1a\6\x0a\1k\x12\1v\x1a\6\x0a\1l\x12\1w\x20\x0a\x2a\4/tmp");
    executor_v1_ExecuteRequest *q = arena_alloc(a, sizeof *q);
    if (!q)
        return kr_fail(e, KR_TOO_LARGE, "the message itself");
    return pb_from_bytes(executor_v1_ExecuteRequest_fields, q, bytes, a, e) < 0 ? -1 : pb_to_bytes(executor_v1_ExecuteRequest_fields, q, out, e);
}

static int merge_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct json *j = patch_merge(a, tree(RUN), tree("{\"metadata\":{\"labels\":{\"x\":null,\"new\":\"label\"}},\"spec\":{\"args\":[\"other\"],\"deep\":{\"er\":{\"y\":1}}}}"), e);
    if (!j)
        return -1;
    json_print(out, j);
    return 0;
}

static int patch_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct json *j = patch_json(a, tree(RUN), tree("[{\"op\":\"test\",\"path\":\"/spec/runtime\",\"value\":\"bash\"},{\"op\":\"copy\",\"from\":\"/spec\",\"path\":\"/twice\"},"
        "{\"op\":\"add\",\"path\":\"/spec/args/1\",\"value\":{\"a\":[1,2,3]}},{\"op\":\"move\",\"from\":\"/metadata/labels\",\"path\":\"/labels\"},{\"op\":\"remove\",\"path\":\"/status\"}]"), NULL, e);
    if (!j)
        return -1;
    json_print(out, j);
    return 0;
}

static int expression_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct expr *x = expr_compile(S("[1, 2, 3, 4].map(i, string(i) + '-' + 'abc'.upperAscii()).filter(s, s.contains('-')).join(',') + string(size({'k': [1], 'l': [2]}))"),
                                  &(struct expr_env){ 0 }, e);
    struct expr_run run = { .arena = a, .cost_left = 100000 };
    struct value v;
    if (!x)
        return -1;
    int rc = expr_eval(x, &run, NULL, &v, e);
    if (rc == 0)
        value_print(out, v);
    expr_free(x);
    return rc;
}

/* What doesn't fit is left out, and the arena tells. */
static int labels_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct selector *s = selector_parse(S("x=y,z,!none,n in (1,2)"), e);
    struct selector_labels l = labels_of_json(tree("{\"x\":\"y\",\"z\":\"1\",\"n\":\"2\"}"), a);
    if (!s)
        return -1;
    if (!a->over)
        buf_fmt(out, "%d", selector_matches(s, &l));
    selector_free(s);
    return a->over ? kr_fail(e, KR_TOO_LARGE, "labels") : 0;
}

static int path_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct jsonpath *column = jsonpath_parse_column(a, S(".spec['args','env'][?(@.name==\"A\")].value"), e);
    struct jsonpath *p = column ? jsonpath_parse(a, S("{.kind \"x\"}{range .spec.args[0:2]}{@}{'\\t'}{end}{..labels.*}{.spec.env[?(true==false)]}{.spec.env[?(@.x!=1.5)]}{$.status} text"), e) : NULL;
    if (!p)
        return -1;
    jsonpath_print_column(column, tree(RUN), out);
    return jsonpath_print(p, tree(RUN), out, e);
}

static int strategic_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct json *pod = tree("{\"metadata\":{\"finalizers\":[\"a\",\"b\"]},\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"i\"},{\"name\":\"b\"}],\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}");
    struct json *j = strategic_merge(a, core_schema(S("v1"), S("Pod")), pod, tree("{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]},\"spec\":{"
        "\"$setElementOrder/containers\":[{\"name\":\"c\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"c\",\"args\":[\"1\"]},{\"name\":\"a\",\"image\":\"j\"},{\"$patch\":\"delete\",\"name\":\"b\"}],"
        "\"volumes\":[{\"$retainKeys\":[\"name\",\"hostPath\"],\"name\":\"v\",\"hostPath\":{\"path\":\"/x\"}}]}}"), e);
    if (!j)
        return -1;
    json_print(out, j);
    return 0;
}

/* The arena tells here too. */
static int managed_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    struct managers m = { 0 };
    struct managed_conflicts c = { 0 };
    struct manager other = { .name = S("other"), .api_version = S("v1"), .time = S("2026-01-01T00:00:00Z") }, me = other;
    me.name = S("me"), me.apply = true;
    managed_update(a, &m, &other, type_run.object, NULL, tree(RUN));
    struct json *applied = tree("{\"metadata\":{\"labels\":{\"x\":\"mine\"}},\"spec\":{\"args\":[\"other\"],\"env\":[{\"name\":\"A\",\"value\":\"c\"},{\"name\":\"B\",\"value\":\"d\"}]}}");
    struct json *j = managed_apply(a, &m, &me, type_run.object, tree(RUN), applied, false, &c);
    if (!a->over) {
        managed_conflicts_print(&c, out);
        j = managed_apply(a, &m, &me, type_run.object, tree(RUN), applied, true, &c);
        j = managed_apply(a, &m, &me, type_run.object, j, tree("{\"spec\":{\"args\":[\"other\"]}}"), true, &c);
    }
    struct json *fields = managed_json(a, &m);
    managed_parse(a, fields, &m);
    if (a->over)
        return kr_fail(e, KR_TOO_LARGE, "managers");
    json_print(out, fields);
    json_print(out, j);
    return 0;
}

/* A Pod{metadata{name "p", creationTimestamp{1}, labels{k v}}, spec{containers{name "c"}, restartPolicy "Never"}}. */
static int core_one(struct arena *a, struct buf *out, struct kr_err *e)
{
    static const char pod[] = "k8s\0\n\x09\n\x02v1\x12\x03Pod\x12\x25" "\n\x11\n\x01p\x42\x02\x08\x01Z\x08\n\x01k\x12\x03val\x12\x10\x12\x03\n\x01" "c\x1a\x05Never(\x02" "B\x00";
    struct json *j = core_from_protobuf(a, (struct str){ pod, sizeof pod - 1 }, e);
    if (!j)
        return -1;
    json_print(out, j);
    return 0;
}

TEST(row_66_each_budget_in_turn_is_a_clean_error_or_enough)
{
    static const struct { const char *name; int (*one)(struct arena *, struct buf *, struct kr_err *); } decoders[] = {
        { "model", model_one }, { "JSON", json_one }, { "YAML", yaml_one }, { "protobuf", protobuf_one }, { "merge patch", merge_one }, { "JSON patch", patch_one },
        { "expression", expression_one }, { "labels", labels_one }, { "JSONPath", path_one }, { "strategic merge patch", strategic_one },
        { "managed fields", managed_one }, { "Kubernetes' protobuf", core_one } };
    enum { STEP = 16, MOST = 262144 };
    for (size_t i = 0; i < LEN(decoders); i++) {
        AUTO_ARENA struct arena ample = { .limit = 1 << 24 };
        AUTO_BUF struct buf want = { .max = 65536 };
        struct kr_err e = { 0 };
        if (!CHECK_INT(decoders[i].one(&ample, &want, &e), 0))
            printf("  %s: %s\n", decoders[i].name, e.msg);
        size_t budget = 0, enough = 0;
        while (budget <= MOST && enough < 3) {    /* and two sizes more */
            AUTO_ARENA struct arena a = { .limit = budget };
            AUTO_BUF struct buf got = { .max = 65536 };
            struct kr_err why = { 0 };
            int rc = decoders[i].one(&a, &got, &why);
            if (!CHECK(rc == 0 ? str_eq(buf_view(&got), buf_view(&want)) : why.code != KR_OK && why.msg[0] && !enough))
                printf("  %s with %zu bytes: %d %s %.*s\n", decoders[i].name, budget, rc, why.msg, (int)(got.n < 200 ? got.n : 200), got.n ? got.p : "");
            enough += rc == 0;
            budget += STEP;
        }
        if (!CHECK(enough == 3 && budget > (size_t)4 * STEP))
            printf("  %s\n", decoders[i].name);
    }
    arena_reset(&plenty);
}
