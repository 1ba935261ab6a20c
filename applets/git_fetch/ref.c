/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ref: which commit a text means. A whole number of a commit is taken as one; else a branch, a tag, a full name (refs/…); last,
 * seven digits or more may be the beginning of a commit's number. Tests: tests/unit/applets/git_fetch/ref.c.
 */
#include "applets/git_fetch/fetch.h"
#include <stdio.h>

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789abcdefABCDEF", s.p[i] ? s.p[i] : '!'))
            return false;
    return true;
}

bool ref_is_sane(struct str s)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/+-";
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr(allowed, s.p[i]) || (i && s.p[i] == s.p[i - 1] && (s.p[i] == '.' || s.p[i] == '/')))
            return false;
    return s.n <= 256 && (!s.n || !strchr("._/+-", s.p[0])) && !str_ends(s, S("/")) && !str_ends(s, S(".")) && !str_ends(s, S(".lock")) &&
           str_find(s, S("/.")) < 0;
}

static const git_remote_head *named(const char *prefix, struct str ref, const git_remote_head *const *heads, size_t n)
{
    char name[320];
    snprintf(name, sizeof name, "%s%.*s", prefix, SFMT(ref));
    for (size_t i = 0; i < n; i++)
        if (!strcmp(heads[i]->name, name))
            return heads[i];
    return NULL;
}

static bool is_peeled(const char *name) { return str_ends(str_of(name), S("^{}")); }

/* A ref that is at this commit, so that any server gives it. */
static const char *ref_at(const git_oid *oid, const git_remote_head *const *heads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (git_oid_equal(&heads[i]->oid, oid) && !is_peeled(heads[i]->name) && strncmp(heads[i]->name, "refs/", 5) == 0)
            return heads[i]->name;
    return NULL;
}

struct ref_found ref_find(struct str ref, const git_remote_head *const *heads, size_t n)
{
    static const char *const prefixes[] = { "refs/heads/", "refs/tags/", "" };
    struct ref_found f = { 0 };
    char text[GIT_OID_SHA1_HEXSIZE + 1];
    if (!ref.n)
        ref = S("HEAD");
    if (ref.n == GIT_OID_SHA1_HEXSIZE && is_hex(ref)) {
        snprintf(text, sizeof text, "%.*s", SFMT(ref));
        f.kind = REF_COMMIT;
        if (git_oid_fromstr(&f.oid, text) < 0)
            return (struct ref_found){ 0 };
        f.name = ref_at(&f.oid, heads, n);
        return f;
    }
    for (size_t i = 0; i < LEN(prefixes); i++) {
        const git_remote_head *h = named(prefixes[i], ref, heads, n);
        if (h)
            return (struct ref_found){ .kind = REF_NAMED, .oid = h->oid, .name = h->name };
    }
    if (ref.n >= 7 && ref.n < GIT_OID_SHA1_HEXSIZE && is_hex(ref))
        f.kind = REF_SHORT;
    return f;
}
