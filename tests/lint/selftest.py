#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lint rules themselves: each one catches its sinner and leaves the innocent alone."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
import rules    # noqa: E402
import tree     # noqa: E402

TOP = "/* SPDX-License-Identifier: Apache-2.0 */\n"
LONG = "int f(void)\n{\n" + "    g();\n" * 80 + "}\n"

# rule, path, text, number of findings
CASES = [
    (rules.banned, "core/a.c", "void f(void) { strcpy(a, b); }", 1),
    (rules.banned, "core/a.c", "void f(void) { sprintf (a, b); atoi(c); }", 2),
    (rules.banned, "core/a.c", "/* never strcpy(a, b) */ const char *t = \"system(x)\";", 0),
    (rules.banned, "core/a.c", "void f(void) { proc->system(1); my_sleep(2); o.system(); }", 0),
    (rules.banned, "core/a.c", "int64_t t = time(NULL);", 1),
    (rules.banned, "core/a.c", "p = malloc(3);", 1),
    (rules.banned, "core/mem.c", "p = malloc(3);", 0),
    (rules.banned, "tests/unit/core/a.c", "p = malloc(3);", 0),
    (rules.banned, "tests/unit/core/a.c", "usleep(1);", 1),
    (rules.layering, "core/a.c", '#include "grpc/h2.h"\n', 1),
    (rules.layering, "grpc/h2.c", '#include "core/kr.h"\n#include <stdio.h>\n#include "grpc/h2.h"\n', 0),
    (rules.layering, "grpc/h2.c", '#include "h2.h"\n', 1),
    (rules.layering, "k8s/a.c", '#  include "applets/x.h"\n', 1),
    (rules.layering, "applets/scheduler/a.c", '#include "applets/controller/b.h"\n', 1),
    (rules.layering, "applets/scheduler/a.c", '#include "applets/scheduler/b.h"\n#include "crds/run.h"\n', 0),
    (rules.layering, "applets/lone.c", '#include "applets/controller/b.h"\n', 1),
    (rules.layering, "grpc/proto/a.pb.c", '#include "a.pb.h"\n', 0),
    (rules.layering, "tests/unit/core/a.c", '#include "cmd/x.h"\n', 0),
    (rules.size, "core/a.c", "x;\n" * 901, 1),
    (rules.size, "core/a.c", "x;\n" * 900, 0),
    (rules.size, "core/a.h", "x;\n" * 161, 1),
    (rules.size, "core/a.c", LONG, 1),
    (rules.size, "core/a.c", LONG.replace("    g();\n", "", 3), 0),
    (rules.size, "tests/unit/core/a.c", "TEST(x)" + LONG[len("int f(void)"):], 1),
    (rules.typedefs, "core/a.h", "typedef struct a a_t;\n", 1),
    (rules.typedefs, "core/a.h", "typedef int (*fn)(void);\n", 0),
    (rules.opening, "core/a.c", TOP + '#include "core/kr.h"\n', 1),
    (rules.opening, "core/a.c", TOP + "/*\n * a: does this and that for those who ask.\n */\n", 0),
    (rules.opening, "core/a.c", TOP + "/* a: see a.h. */\n", 0),
    (rules.opening, "core/a.c", TOP + "/* a */\n", 1),
    (rules.limits, "core/limits.def", 'LIMIT(JSON_DEPTH, 64, "a", "b")\nLIMIT(OF_NO_ONE, 1, "a", "b")\n', 1),
    (rules.spdx, "core/a.c", "int x;\n", 1),
    (rules.spdx, "tests/run", "#!/bin/sh\necho\n", 1),
    (rules.spdx, "core/a.c", TOP, 0),
    (rules.spdx, "README.md", "# hello\n", 0),
    (rules.later, "README.md", "later: TO" + "DO\n", 1),
    (rules.later, "core/a.c", "/* a mastodon */\n", 0),
    (rules.places, "core/a.c", "/ro" + "ot/.cache/x", 1),
    (rules.places, "core/a.c", "build/root/x ${HOME}/home /homely", 0),
    (rules.hosts, "README.md", "see https:" + "//mirror.corp-registry.net/x", 1),
    (rules.hosts, "README.md", "see https://kubernetes.io/docs and http://127.0.0.1:80 and https://a.example.com", 0),
    (rules.spacing, "core/a.c", "int x; \n", 1),
    (rules.spacing, "core/a.c", "\tint x;\n", 1),
    (rules.spacing, "core/a.c", "int x;", 1),
    (rules.spacing, "Makefile", "x:\n\ttouch x\n", 0),
    (lambda p, x: rules.links(p, x, {"docs/a.md", "core/b.c"}.__contains__), "docs/c.md", "[a](a.md#x), `core/b.c`, `core/FILE.c`, [web](https:" + "//a.example)", 0),
    (lambda p, x: rules.links(p, x, {"docs/a.md", "core/b.c"}.__contains__), "README.md", "[a](a.md), `core/c.c`", 2),
    (lambda p, x: rules.twins(p, x, "# A\n\n    do it   # now\n"), "README.zh.md", "# 甲\n\n    do it   # 现在\n", 0),
    (lambda p, x: rules.twins(p, x, "# A\n## B\n"), "README.zh.md", "# 甲\n", 1),
    (lambda p, x: rules.twins(p, x, "# A\n\n    do it\n"), "README.zh.md", "# 甲\n\n    do that\n", 1),
    (lambda p, x: rules.twins(p, x, "# A\n\n    do it\n"), "README.zh.md", "# 甲\n", 1),
    (lambda p, x: rules.twins(p, x, "# Figures\n\n    1.0\n"), "README.zh.md", "# 数据\n", 0),
    (lambda p, x: rules.limit_tests(p, x, "A tests/a.c TEST(a)\n", lambda f: "TEST(a)"), "core/limits.def", 'LIMIT(A, 1, "x", "y")', 0),
    (lambda p, x: rules.limit_tests(p, x, "A tests/a.c TEST(b)\n", lambda f: "TEST(a)"), "core/limits.def", 'LIMIT(A, 1, "x", "y")', 1),
    (lambda p, x: rules.limit_tests(p, x, "# none\n", lambda f: ""), "core/limits.def", 'LIMIT(A, 1, "x", "y")', 1),
    (lambda p, x: rules.limit_tests(p, x, "A - too large\nB -\n", lambda f: ""), "core/limits.def", 'LIMIT(A, 1, "x", "y")', 2),
    (lambda p, x: rules.reasons(p, x, {"a.c": 'r = "PodLost"; set[] = { .reason = "Executed" };'}), "crds/reasons.def", 'REASON("Run", "PodLost", "x")\nREASON("Run", "Executed", "x")', 0),
    (lambda p, x: rules.reasons(p, x, {"a.c": 'r = "PodLost"; set[] = { .reason = "Executed" };'}), "crds/reasons.def", '', 2),
    (lambda p, x: rules.reasons(p, x, {"a.c": 'r = "PodLost";'}), "crds/reasons.def", 'EVENT("Run", "PodLost", "x")\nREASON("Run",  "Gone", "x")', 1),
]


def shapes():
    """Where functions begin and end, and which are static."""
    text = ("static int a(int x) { return x; }\n"
            "struct s { int y; };\n"
            "#define M(x) \\\n    do { x; } while (0)\n"
            "const char *\nb(void (*f)(int), int n)\n{\n    if (n) { f(n); }\n    return \"}\";\n}\n"
            "static const int t[] = { 1, 2 };\n"
            "TEST(works) {\n}\n")
    got = [(f.name, f.first, f.last, f.static) for f in tree.functions(text)]
    want = [("a", 1, 1, True), ("b", 5, 10, False), ("TEST(works)", 12, 13, True)]
    if got != want:
        print(f"functions: got {got}, want {want}")
    return got == want


def main():
    failed = 0 if shapes() else 1
    for rule, path, text, want in CASES:
        got = rule(path, text)
        if len(got) != want:
            failed += 1
            print(f"{rule.__name__}: {path}: {text[:60]!r}: {len(got)} findings, want {want}: {got}")
    print(f"{len(CASES) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
