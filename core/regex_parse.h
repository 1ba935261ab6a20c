/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex_parse: pattern → program, for core/regex.c only. A program is a list of instructions over bytes; classes are
 * compiled to the byte sequences of their characters (RFC 3629).
 */
#ifndef CORE_REGEX_PARSE_H
#define CORE_REGEX_PARSE_H
#include "core/kr.h"

enum regex_op { RE_BYTES, RE_SPLIT, RE_JUMP, RE_BEGIN, RE_END, RE_MATCH };
struct regex_inst {
    uint8_t op, lo, hi;        /* BYTES: one byte of lo…hi, then x */
    uint32_t x, y;             /* SPLIT: both; JUMP, BEGIN (only at the start of the text), END (only at its end): x */
};
struct regex_prog { struct regex_inst *v; size_t n, cap; };
int regex_parse(struct regex_prog *out, struct str pattern, struct kr_err *e);   /* out->v is the caller's to free, also on failure */
#endif
