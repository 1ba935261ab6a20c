/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity: amounts as Kubernetes writes them: "100m", "1.5", "2Gi", "5e3", "128M".
 *
 * A value is exact: digits times ten to a power, or for Ki…Ei times 1024 to a power brought into that form. At most 18
 * significant digits (int64); what needs more, or is finer than a nano, is refused instead of rounded.
 */
#ifndef K8S_QUANTITY_H
#define K8S_QUANTITY_H
#include "core/kr.h"

enum quantity_format { QUANTITY_DECIMAL, QUANTITY_BINARY, QUANTITY_EXPONENT };
/* value = digits * 10^exponent, exponent in -9…18, no trailing zeros in digits; the format is how it was written. */
struct quantity { int64_t digits; int exponent; enum quantity_format format; };

/* [+-]digits[.digits][n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e5|E-3]. KR_INVALID. */
int quantity_parse(struct str text, struct quantity *out, struct kr_err *e);
/* -1, 0, 1; the format does not count. */
int quantity_cmp(const struct quantity *a, const struct quantity *b);
/* Whole units and thousandths, rounded up (away from zero for what is positive), as Kubernetes' Value() and MilliValue();
 * false when that is beyond int64. */
bool quantity_whole(const struct quantity *q, int64_t *out);
bool quantity_milli(const struct quantity *q, int64_t *out);
/* The canonical text: no fraction, the largest suffix with which that is so; binary suffixes only for whole numbers of at least 1024
 * that were written with one. */
enum { QUANTITY_TEXT = 48 };
struct str quantity_print(const struct quantity *q, char buf[QUANTITY_TEXT]);
#endif
