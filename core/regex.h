/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex: does a text match a pattern, in time linear in the text.
 *
 * The syntax is the common part of RE2 (what a Kubernetes API server accepts in `pattern` and CEL's `matches`): literals,
 * `.`, classes with ranges, negation and [:posix:] names, \d \s \w \D \S \W, \n \t \r \f \v \a, \x41 \x{1F600}, escaped
 * punctuation, groups ( ) (?: ) (?P<name> ), alternation, * + ? {n} {n,} {n,m} and their lazy forms, ^ $ \A \z, and the
 * flags i and s as (?i) or (?i: ). Anything else (look-around, back references, \b, \p) is refused when the pattern is
 * compiled, never later. Text is UTF-8; a class is one of Unicode characters.
 *
 * There are no captures: the question is yes or no, so a pattern is a set of places in a program and the sets are kept
 * in a small table as they are met. The table is bounded and starts anew when it is full.
 */
#ifndef CORE_REGEX_H
#define CORE_REGEX_H
#include "core/kr.h"

struct regex;
/* KR_INVALID with the position and what was found there; KR_TOO_LARGE when the program passes LIMIT_REGEX_PROGRAM. */
struct regex *regex_compile(struct str pattern, struct kr_err *e);
void regex_free(struct regex *);                       /* NULL is fine */
/* Is there a match anywhere in the text? (`^…$` asks for the whole.) Not const: what was learned is kept. */
bool regex_search(struct regex *, struct str text);
#endif
