/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata: what is refused, and in which words. */
#include "k8s/meta.h"
#include "crds/crds.h"
#include "tests/kit/test.h"

static struct arena arena = { .limit = 1 << 22 };

static struct model_errors check(const char *meta, enum meta_name rule)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e;
    struct model_errors errors = { 0 };
    buf_fmt(&b, "{\"metadata\":%s,\"spec\":{\"runtime\":\"b\"}}", meta);
    struct json *j = json_parse(&arena, buf_view(&b), &e);
    if (CHECK(j))
        meta_check(j, rule, &arena, &errors);
    return errors;
}

static void refused(const char *meta, enum meta_name rule, const char *field, const char *start)
{
    struct model_errors errors = check(meta, rule);
    CHECK_INT(errors.n, 1);
    if (errors.n) {
        CHECK_STR(errors.v[0].field, str_of(field));
        CHECK_STR(((struct str){ errors.v[0].message.p, strlen(start) }), str_of(start));
    }
}

TEST(accepted)
{
    CHECK_INT(check("{\"name\":\"a.b-1\",\"labels\":{\"example.com/a\":\"X_y\",\"b\":\"\"},\"annotations\":{\"a\":\" any \"},"
        "\"finalizers\":[\"kruntimes.io/x\"]}", META_SUBDOMAIN).n, 0);
    CHECK_INT(check("{\"generateName\":\"a-\"}", META_SUBDOMAIN).n, 0);
    CHECK_INT(check("{\"name\":\"system:node%x\"}", META_PATH).n, 1);
    CHECK_INT(check("{\"name\":\"system:node\"}", META_PATH).n, 0);
    CHECK_INT(check("{\"name\":\"a\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"K\",\"name\":\"n\",\"uid\":\"u\"}]}",
        META_LABEL).n, 0);
}

TEST(refused)
{
    refused("{}", META_SUBDOMAIN, "metadata.name", "Required value: name or generateName is required");
    refused("{\"name\":\"Abc\"}", META_SUBDOMAIN, "metadata.name", "Invalid value: \"Abc\": a lowercase RFC 1123 subdomain must");
    refused("{\"name\":\"a..b\"}", META_SUBDOMAIN, "metadata.name", "Invalid value: \"a..b\": a lowercase");
    refused("{\"name\":\"a.b\"}", META_LABEL, "metadata.name", "Invalid value: \"a.b\": a lowercase RFC 1123 label must");
    refused("{\"name\":\"-a\"}", META_SUBDOMAIN, "metadata.name", "Invalid value: \"-a\"");
    refused("{\"generateName\":\"A-\"}", META_SUBDOMAIN, "metadata.generateName", "Invalid value: \"A\"");
    refused("{\"name\":\"a\",\"labels\":{\"a b\":\"\"}}", META_SUBDOMAIN, "metadata.labels", "Invalid value: \"a b\": name part must");
    refused("{\"name\":\"a\",\"labels\":{\"a\":\"x y\"}}", META_SUBDOMAIN, "metadata.labels", "Invalid value: \"x y\": a valid label must");
    refused("{\"name\":\"a\",\"finalizers\":[\"x y\"]}", META_SUBDOMAIN, "metadata.finalizers", "Invalid value: \"x y\"");
    refused("{\"name\":\"a\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"K\",\"name\":\"n\"}]}", META_SUBDOMAIN,
            "metadata.ownerReferences[0].uid", "Required value");
}

TEST(too_long)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    buf_lit(&b, "{\"name\":\"");
    for (int i = 0; i < 254; i++)
        buf_byte(&b, 'a');
    buf_lit(&b, "\"}");
    struct model_errors errors = check(b.p, META_SUBDOMAIN);
    CHECK_INT(errors.n, 1);
    CHECK(errors.n && str_ends(errors.v[0].message, S("\": must be no more than 253 characters")));
    buf_clear(&b);
    buf_lit(&b, "{\"name\":\"a\",\"annotations\":{\"a\":\"");
    for (int i = 0; i < LIMIT_ANNOTATIONS; i++)
        buf_byte(&b, 'x');
    buf_lit(&b, "\"}}");
    refused(b.p, META_SUBDOMAIN, "metadata.annotations", "Too long: may not be more than 262144 bytes");
}

/* What is missing in metadata keeps rules from being run, as anything else that is missing. */
TEST(keeps_rules_from_running)
{
    struct kr_err e;
    struct json *j = json_parse(&arena, S("{\"spec\":{\"runtime\":\"b\",\"entrypoint\":\"/x\"}}"), &e);
    struct model_errors errors = { 0 };
    meta_check(j, META_SUBDOMAIN, &arena, &errors);
    CHECK_INT(model_check(&type_run, &arena, j, NULL, &errors, &e), 0);
    CHECK_INT(errors.n, 2);
    CHECK_STR(errors.v[1].field, S("<nil>"));
}
