/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outputs: the file a Run writes its outputs into ($KRUNTIME_OUTPUTS).
 *
 *   KEY=VALUE            one line
 *   KEY<<WORD            several lines, up to a line that is WORD alone
 *   …
 *   WORD
 *
 * Blank lines are skipped; of two lines with one key the later wins. Bytes are UTF-8. A file that breaks this, or a limit
 * of the API (64 keys of 1…128 bytes, values of 8192, 65536 in all), is refused whole, with its line.
 */
#ifndef APPLETS_RUNTIMED_OUTPUTS_H
#define APPLETS_RUNTIMED_OUTPUTS_H
#include "core/kr.h"

struct output_pair { struct str key, value; };
struct outputs { struct output_pair v[LIMIT_RUN_OUTPUT_KEYS]; size_t n; };
/* Views into text. KR_TOO_LARGE → reason OutputsTooLarge, KR_INVALID → reason OutputsInvalid. */
int outputs_parse(struct outputs *, struct str text, struct kr_err *e);
#endif
