/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of .gitignore, each row one claim of gitignore(5). */
#include "applets/cli/ignore.h"
#include "tests/kit/test.h"

static bool ignores(const struct ignore *g, const char *path, size_t depth)
{
    struct str parts[16], rest = str_of(path);
    size_t n = 0;
    bool folder = str_ends(rest, S("/"));
    if (folder)
        rest.n--;
    while (rest.n)
        parts[n++] = str_cut(&rest, '/');
    return ignore_has(g, parts, n, depth, folder);
}

TEST(patterns_are_those_of_git)
{
    static const struct { const char *rules, *path; bool ignored; } T[] = {
        { "*.o", "a.o", true }, { "*.o", "x/y/a.o", true }, { "*.o", "a.c", false }, { "/a", "a", true }, { "/a", "x/a", false }, { "a/b", "a/b", true }, { "a/b", "x/a/b", false },
        { "d/", "d/", true }, { "d/", "d", false }, { "d/", "x/d/", true }, { "x/d/", "x/d/", true }, { "# c\n\na", "a", true }, { "# c", "# c", false }, { "\\#c", "#c", true },
        { "\\!x", "!x", true }, { "\xef\xbb\xbf" "a\nb", "a", true }, { "*\n!keep", "keep", false }, { "*\n!keep", "other", true }, { "!keep\n*", "keep", true }, { "a  ", "a", true }, { "a\\ ", "a ", true }, { "a\r", "a", true },
        { "a?c", "abc", true }, { "a?c", "a/c", false }, { "[a-c]x", "bx", true }, { "[a-c]x", "dx", false }, { "[!a-c]x", "dx", true }, { "[^a]", "a", false }, { "[]]", "]", true },
        { "[[:digit:]]x", "5x", true }, { "[[:digit:]]x", "ax", false }, { "[a", "[a", true }, { "**/x", "x", true }, { "**/x", "a/b/x", true }, { "a/**", "a/", false }, { "a/**", "a/b/c", true },
        { "a/**/z", "a/z", true }, { "a/**/z", "a/b/c/z", true }, { "a/**/z", "b/z", false }, { "**/m/**/z", "m/a/m/z", true }, { "a**b", "axyb", true }, { "/*", "a", true }, { "/*", "a/b", false },
        { "a*b*c", "aXbYbZc", true }, { "a*b*c", "aXbYbZ", false }, { "", "a", false }, { "/", "a", false }, { "\\*", "*", true }, { "\\*", "a", false },
        { "aaaaaaaaaaaaaaaa*aaaaaaaaaaaaaa*aaaaaaaaaa*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        const struct ignore *g = ignore_read(NULL, str_of(T[i].rules), &a);
        if (!CHECK(g && ignores(g, T[i].path, 0) == T[i].ignored))
            CHECK_Z(T[i].rules, T[i].path);
    }
}

TEST(the_deepest_file_with_a_rule_decides)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    const struct ignore *top = ignore_read(NULL, S("*.log\nsub/x\n"), &a), *sub = ignore_read(top, S("!keep.log\n/y\n"), &a);
    CHECK(ignores(top, "keep.log", 0) && !ignores(sub, "sub/keep.log", 1) && ignores(sub, "sub/other.log", 1));
    CHECK(ignores(sub, "sub/x", 1) && ignores(sub, "sub/y", 1) && !ignores(sub, "sub/z/y", 1));
}

TEST(rules_have_a_budget)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    for (int i = 0; i < 10000; i++)
        buf_lit(&b, "x\n");
    CHECK(!ignore_read(NULL, buf_view(&b), &a));
}
