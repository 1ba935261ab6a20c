/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test: TEST(name) { … CHECK(…) … } registers itself; one binary runs them all, each in a process of its own.
 *
 *   build/dev/unit              all tests
 *   build/dev/unit hpack        those whose "file/name" contains the word
 *   build/dev/unit -f hpack     in this process, for a debugger
 */
#ifndef TESTS_KIT_TEST_H
#define TESTS_KIT_TEST_H
#include "core/kr.h"

struct test { const char *file, *name; void (*fn)(void); };
#define TEST(n)                                                                             \
    static void test_##n(void);                                                             \
    static const struct test test_entry_##n = { __FILE__, #n, test_##n };                   \
    static const struct test *const test_ptr_##n __attribute__((used, section("kr_tests"))) = &test_entry_##n; \
    static void test_##n(void)

/* A failed check prints file:line and goes on; CHECK_OR stops the test. */
bool test_check(bool ok, const char *file, int line, const char *what);
bool test_check_str(struct str got, struct str want, const char *file, int line, const char *what);
bool test_check_int(int64_t got, int64_t want, const char *file, int line, const char *what);
#define CHECK(c) test_check((c), __FILE__, __LINE__, #c)
#define CHECK_OR(c) do { if (!CHECK(c)) return; } while (0)
#define CHECK_STR(got, want) test_check_str((got), (want), __FILE__, __LINE__, #got)        /* struct str both */
#define CHECK_Z(got, want) test_check_str(str_of(got), str_of(want), __FILE__, __LINE__, #got)
#define CHECK_INT(got, want) test_check_int((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, #got)

/* Compares with the file below tests/golden; KR_GOLDEN=write rewrites it. */
void test_golden(const char *path, struct str got);
/* A fresh directory, removed after the test. */
const char *test_tmpdir(void);
/* The whole file below the top of the tree; the test fails when it can't be read. Freed with the process. */
struct str test_file(const char *path);
/* Seed of this test (printed when it fails; KR_SEED sets it). */
uint64_t test_seed(void);
#endif
