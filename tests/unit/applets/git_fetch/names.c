/* SPDX-License-Identifier: Apache-2.0 */
/* names: spellings of ".git" and other names that are never made, and links that lead out by their text. */
#include "applets/git_fetch/fetch.h"
#include "tests/kit/test.h"

TEST(names_that_are_refused)
{
    static const char *const bad[] = { "", ".", "..", ".git", ".GIT", ".Git", ".gIt", "git~1", "GIT~1", ".git.", ".git ", ".git. .", ".git::$INDEX_ALLOCATION",
                                       ".git:x", "git~1:$DATA", ".g\u200cit", ".\u200dgit", "\u200e.git", ".git\u200f", ".gi\u202at", ".g\u206fit", "\ufeff.git",
                                       ".G\u200cI\u200dT. ", "a\\b", "..\\x", "a\rb", "a\nb", "\t", "x\x7f", "a/b" };
    for (size_t i = 0; i < LEN(bad); i++)
        if (!CHECK(name_refused(str_of(bad[i])) != NULL))
            CHECK_Z(bad[i], "a name that is refused");
    char longest[257];
    memset(longest, 'a', 256);
    CHECK(name_refused((struct str){ longest, 256 }) != NULL);
    CHECK(name_refused((struct str){ longest, 255 }) == NULL);
}

TEST(names_that_are_made)
{
    static const char *const good[] = { ".gitignore", ".gitattributes", ".gitmodules", "git", "git~2", "git~10", ".gitx", "..x", "x..", "...", "a b", " a",
                                        "\u00e9.txt", ".github", "a:b", "\xff\xfe", ".gi", "CON", ".g\u00e9it" };
    for (size_t i = 0; i < LEN(good); i++)
        if (!CHECK(name_refused(str_of(good[i])) == NULL))
            CHECK_Z(good[i], "a name that is made");
}

TEST(links_that_lead_out_by_their_text)
{
    static const struct { const char *target; size_t depth; bool leaves; } rows[] = {
        { "a", 0, false }, { "./a/../b", 0, false }, { "..", 0, true }, { "..", 1, false }, { "../..", 1, true }, { "../../x", 2, false }, { "/etc/passwd", 5, true },
        { "", 0, true }, { "a/../..", 0, true }, { "a/b/../../..", 0, true }, { "a//b/./..", 0, false }, { "../a/../../b", 1, true }, { "...", 0, false } };
    for (size_t i = 0; i < LEN(rows); i++)
        if (!CHECK(link_leaves(str_of(rows[i].target), rows[i].depth) == rows[i].leaves))
            CHECK_Z(rows[i].target, rows[i].leaves ? "leaves" : "stays");
    CHECK(link_leaves((struct str){ "a\0b", 3 }, 0));
}
