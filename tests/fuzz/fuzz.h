/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz: what targets and drivers share. A target is a function that takes any bytes; it must neither crash nor hang nor
 * grow, and it DEMANDs what holds beyond that. One program has them all:
 *
 *   build/fuzz/fuzz TARGET [--seconds N] [--runs N] [--seed N] [FILE or FOLDER …]      gcc, guided by coverage (driver.c)
 *   KR_FUZZ=TARGET build/libfuzzer/fuzz [libFuzzer's options]                          clang (libfuzzer.c)
 *
 * To add a target: FUZZ_WORDS(name, …) { … } in a file of this folder, and inputs to begin with: from what record.py hears, or from_tree in run.py.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H
#include "core/kr.h"

struct fuzz_target { const char *name; void (*one)(struct str input); const char *const *words; };
/* words: what inputs of this kind are made of, for the mutations; NULL-terminated. */
#define FUZZ_WORDS(n, ...)                                                                  \
    static void fuzz_##n(struct str);                                                       \
    static const char *const fuzz_words_##n[] = { __VA_ARGS__, NULL };                      \
    static const struct fuzz_target fuzz_entry_##n = { #n, fuzz_##n, fuzz_words_##n };      \
    static const struct fuzz_target *const fuzz_ptr_##n __attribute__((used, section("kr_fuzz"))) = &fuzz_entry_##n; \
    static void fuzz_##n(struct str in)
const struct fuzz_target *fuzz_find(const char *name);    /* NULL when there is none; NULL name lists them on stdout */

/* What must hold. Ends the process; the driver has kept the input. */
__attribute__((noreturn)) void fuzz_fail(const char *file, int line, const char *what);
#define DEMAND(c) do { if (!(c)) fuzz_fail(__FILE__, __LINE__, #c); } while (0)
/* The first byte of the input, which goes, modulo n: a target's choice. 0 for an empty input. */
unsigned fuzz_pick(struct str *in, unsigned n);
#endif
