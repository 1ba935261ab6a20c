/* SPDX-License-Identifier: Apache-2.0 */
/* ref: what a text means among a server's refs. */
#include "applets/git_fetch/fetch.h"
#include "tests/kit/test.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

static struct ref_found find(const char *ref)
{
    static git_remote_head heads[] = { { .name = (char *)"HEAD" }, { .name = (char *)"refs/heads/main" }, { .name = (char *)"refs/heads/both" },
                                       { .name = (char *)"refs/tags/both" }, { .name = (char *)"refs/tags/v1" }, { .name = (char *)"refs/tags/v1^{}" },
                                       { .name = (char *)"refs/heads/" A }, { .name = (char *)"refs/heads/abcdef1" } };
    static const char *const oids[] = { A, A, B, C, B, C, B, A };
    const git_remote_head *list[LEN(heads)];
    for (size_t i = 0; i < LEN(heads); i++) {
        git_oid_fromstr(&heads[i].oid, oids[i]);
        list[i] = &heads[i];
    }
    return ref_find(str_of(ref), list, LEN(heads));
}

static void expect(const char *ref, enum ref_kind kind, const char *oid, const char *name)
{
    char text[GIT_OID_SHA1_HEXSIZE + 1];
    struct ref_found f = find(ref);
    CHECK_INT(f.kind, kind);
    if (oid)
        CHECK_Z(git_oid_tostr(text, sizeof text, &f.oid), oid);
    CHECK_Z(f.name ? f.name : "none", name ? name : "none");
}

TEST(names_and_numbers)
{
    expect("", REF_NAMED, A, "HEAD");
    expect("main", REF_NAMED, A, "refs/heads/main");
    expect("both", REF_NAMED, B, "refs/heads/both");
    expect("refs/tags/both", REF_NAMED, C, "refs/tags/both");
    expect("v1", REF_NAMED, B, "refs/tags/v1");
    expect(A, REF_COMMIT, A, "refs/heads/main");          /* a number is never a name */
    expect(C, REF_COMMIT, C, "refs/tags/both");           /* not the peeled one, which can't be asked for */
    expect("1234567890123456789012345678901234567890", REF_COMMIT, "1234567890123456789012345678901234567890", NULL);
    expect("abcdef1", REF_NAMED, A, "refs/heads/abcdef1");
    expect("abcdef2", REF_SHORT, NULL, NULL);
    expect("abcdef", REF_NONE, NULL, NULL);
    expect("nowhere", REF_NONE, NULL, NULL);
    CHECK_INT(ref_find(S("main"), NULL, 0).kind, REF_NONE);
}

TEST(texts_that_are_no_names)
{
    static const char *const bad[] = { "-x", "--upload-pack=id", ".a", "/a", "a/", "a..b", "a//b", "a/.b", "a.lock", "a b", "a\nb", "a~1", "a^", "a:b", "a?", "a*",
                                       "a[", "@{u}", "a\\b", "a.", "\xc3\xa9" };
    for (size_t i = 0; i < LEN(bad); i++)
        if (!CHECK(!ref_is_sane(str_of(bad[i]))))
            CHECK_Z(bad[i], "a text that is no name");
    CHECK(!ref_is_sane((struct str){ "a\0b", 3 }));
    CHECK(ref_is_sane(S("")));
    CHECK(ref_is_sane(S("feature/x-1.2+y_z")));
}
