/* SPDX-License-Identifier: Apache-2.0 */
/* What `kruntimes manifests` is made of: every part is YAML, with its values in their places. */
#include "applets/manifests/manifests.h"
#include "core/yaml.h"
#include "tests/kit/test.h"

static struct yaml_docs part(const char *name, const struct install *in, struct arena *a)
{
    struct yaml_docs docs = { 0 };
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    for (const struct install_part *p = install_parts; p->name; p++)
        if (!name || !strcmp(name, p->name)) {
            buf_lit(&b, "---\n");
            p->put(in, &b);
        }
    CHECK(!b.failed && !strchr(b.p, '$') == (name != NULL));          /* a description of a CRD has a dollar sign */
    CHECK(yaml_to_json(arena_str(a, buf_view(&b)), a, &docs, &e) == 0);
    CHECK_Z(e.msg, "");
    return docs;
}

static struct str field(struct str json, const char *a_, const char *b, struct arena *a)
{
    const char *const path[] = { a_, b };
    return json_str_of(json_find_path(json, path, b ? 2 : 1), a);
}

static size_t count(struct yaml_docs d, const char *kind, struct arena *a)
{
    size_t n = 0;
    for (size_t i = 0; i < d.n; i++)
        n += str_is(field(d.docs[i].json, "kind", NULL, a), kind);
    return n;
}

TEST(every_part_is_yaml)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct install in = { S("sys"), S("example.com/kr:1"), 2, S("") };
    struct yaml_docs all = part(NULL, &in, &a);
    CHECK_INT(count(all, "CustomResourceDefinition", &a), 3);
    CHECK_INT(count(all, "Deployment", &a), 2);
    CHECK_INT(count(all, "PodDisruptionBudget", &a), 2);
    CHECK_INT(count(all, "ClusterRole", &a), 6);
    CHECK_INT(count(all, "Role", &a), 2);
    CHECK_INT(count(all, "ValidatingAdmissionPolicy", &a), 1);
    for (size_t i = 0; i < all.n; i++) {
        struct str ns = field(all.docs[i].json, "metadata", "namespace", &a);
        CHECK(!ns.n || str_is(ns, "sys"));
    }
}

TEST(values_stand_in_their_places)
{
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    struct install in = { S("sys"), S("example.com/kr:1"), 3, S("") };
    struct str json = part("controller", &in, &a).docs[0].json;
    CHECK(str_find(json, S("\"replicas\":3")) > 0);
    CHECK(str_find(json, S("\"image\":\"example.com/kr:1\"")) > 0);
    CHECK(str_find(json, S("\"name\":\"KRUNTIMES_IMAGE\",\"value\":\"example.com/kr:1\"")) > 0);
    CHECK(str_find(json, S("\"command\":[\"/kruntimes\",\"controller\"]")) > 0);
    json = part("scheduler", &in, &a).docs[0].json;
    CHECK(str_find(json, S("KRUNTIMES_IMAGE")) < 0);
}

/* Only what has no namespace is granted in all of them. */
TEST(one_namespace_needs_rights_in_it_alone)
{
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    struct install in = { S("sys"), S("kr:1"), 2, S("team") };
    struct yaml_docs d = part("access", &in, &a);
    CHECK_INT(count(d, "ClusterRole", &a), 1);
    CHECK_INT(count(d, "ClusterRoleBinding", &a), 1);
    CHECK_INT(count(d, "Role", &a), 4);
    CHECK_INT(count(d, "RoleBinding", &a), 4);
    for (size_t i = 0; i < d.n; i++)
        if (str_is(field(d.docs[i].json, "kind", NULL, &a), "ClusterRole"))
            CHECK_STR(field(d.docs[i].json, "metadata", "name", &a), S("kruntimes-controller-nodes"));
    CHECK(str_find(part("scheduler", &in, &a).docs[0].json, S("\"command\":[\"/kruntimes\",\"scheduler\",\"--namespace=team\"]")) > 0);
}

/* Their Leases are in different namespaces: what keeps two control planes from acting at once is that the rights are given once. */
TEST(a_second_installation_takes_the_rights_of_the_first)
{
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    struct install one = { S("sys"), S("kr:1"), 2, S("") }, two = { S("other"), S("kr:1"), 2, S("") };
    struct yaml_docs before = part("access", &one, &a), after = part("access", &two, &a);
    size_t bindings = 0;
    CHECK_INT(before.n, after.n);
    for (size_t i = 0; i < before.n && i < after.n; i++) {
        struct str was = before.docs[i].json, is = after.docs[i].json;
        if (!str_is(field(is, "kind", NULL, &a), "ClusterRoleBinding"))
            continue;
        bindings++;
        CHECK_STR(field(is, "metadata", "name", &a), field(was, "metadata", "name", &a));
        CHECK(str_find(was, S("\"namespace\":\"sys\"")) > 0 && str_find(is, S("\"namespace\":\"other\"")) > 0);
    }
    CHECK(bindings >= 2);
}
