/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/indexer.h"
#include "tests/kit/test.h"
#include <stdio.h>

enum { BY_POD, BY_OWNER };

/* Keys under a value. */
static const char *found(struct indexer *ix, size_t index, const char *value, char out[256])
{
    size_t n = 0;
    out[0] = 0;
    for (struct indexed *x = indexer_find(ix, index, str_of(value)); x; x = indexer_same(ix, x, index))
        n += (size_t)snprintf(out + n, 256 - n, "%s%.*s", n ? " " : "", SFMT(x->key));
    return out;
}

TEST(objects_are_found_under_what_they_are_filed)
{
    struct indexer *ix = indexer_new(sizeof(int), 2);
    char t[256];
    struct indexed *a = indexer_set(ix, S("n/a"), S("{1}")), *b = indexer_set(ix, S("n/b"), S("{2}")), *c = indexer_set(ix, S("n/c"), (struct str){ 0 });
    indexer_file(ix, a, BY_POD, S("p"));
    indexer_file(ix, b, BY_POD, S("p"));
    indexer_file(ix, c, BY_POD, S("q"));
    indexer_file(ix, c, BY_OWNER, S("p"));
    CHECK_STR(str_of(found(ix, BY_POD, "p", t)), S("n/a n/b"));
    CHECK_STR(str_of(found(ix, BY_OWNER, "p", t)), S("n/c"));
    CHECK_STR(str_of(found(ix, BY_OWNER, "nobody", t)), S(""));
    CHECK_STR(b->json, S("{2}"));
    CHECK(!c->json.p && indexer_count(ix) == 3);

    indexer_file(ix, b, BY_POD, S("q"));                 /* moves */
    indexer_file(ix, a, BY_POD, S(""));                  /* leaves; its drawer is gone with it */
    CHECK_STR(str_of(found(ix, BY_POD, "p", t)), S(""));
    CHECK_STR(str_of(found(ix, BY_POD, "q", t)), S("n/c n/b"));
    CHECK_STR(indexer_filed(ix, b, BY_POD), S("q"));
    CHECK_STR(indexer_filed(ix, a, BY_POD), S(""));

    indexer_remove(ix, b);
    CHECK_STR(str_of(found(ix, BY_POD, "q", t)), S("n/c"));
    CHECK(!indexer_get(ix, S("n/b")));
    indexer_free(ix);
}

/* The first that was filed is the first to be found, whoever leaves: at either end, or between. */
TEST(the_order_is_that_of_filing)
{
    static const struct { const char *leaves, *rest; } T[] = { { "n/1", "n/2 n/3 n/4 n/1" }, { "n/2", "n/1 n/3 n/4 n/2" }, { "n/4", "n/1 n/2 n/3 n/4" } };
    for (size_t i = 0; i < LEN(T); i++) {
        struct indexer *ix = indexer_new(0, 1);
        char t[256];
        static const char *const keys[] = { "n/1", "n/2", "n/3", "n/4" };
        for (size_t k = 0; k < LEN(keys); k++)
            indexer_file(ix, indexer_set(ix, str_of(keys[k]), S("{}")), 0, S("v"));
        struct indexed *x = indexer_get(ix, str_of(T[i].leaves));
        indexer_file(ix, x, 0, S(""));
        indexer_file(ix, x, 0, S("v"));               /* comes back, behind the others */
        CHECK_STR(str_of(found(ix, 0, "v", t)), str_of(T[i].rest));
        indexer_free(ix);
    }
}

TEST(record_and_filing_outlive_the_text)
{
    struct indexer *ix = indexer_new(sizeof(int), 1);
    char t[256];
    struct indexed *x = indexer_set(ix, S("n/a"), S("{}"));
    CHECK_INT(*(int *)indexer_record(ix, x), 0);
    *(int *)indexer_record(ix, x) = 7;
    indexer_file(ix, x, 0, S("v"));
    CHECK(indexer_set(ix, S("n/a"), (struct str){ 0 }) == x && !x->json.p);
    CHECK_INT(*(int *)indexer_record(ix, x), 7);
    CHECK_STR(str_of(found(ix, 0, "v", t)), S("n/a"));
    indexer_free(ix);
}

TEST(many_come_and_go)
{
    struct indexer *ix = indexer_new(0, 1);
    char key[32], value[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "n/%d", i);
        snprintf(value, sizeof value, "v%d", i % 7);
        indexer_file(ix, indexer_set(ix, str_of(key), (struct str){ 0 }), 0, str_of(value));
    }
    size_t n = 0;
    for (struct indexed *x = indexer_find(ix, 0, S("v3")); x; x = indexer_same(ix, x, 0))
        n++;
    CHECK_INT(n, 714);
    struct indexed *x;
    for (size_t i = 0; (x = indexer_next(ix, &i));)
        if (str_is(indexer_filed(ix, x, 0), "v3"))
            indexer_remove(ix, x);
    CHECK(!indexer_find(ix, 0, S("v3")) && indexer_count(ix) == 5000 - 714);
    indexer_free(ix);
}
