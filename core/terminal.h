/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal: output of strangers on a terminal. Colours pass (ESC [ … m); every other escape sequence and control character is
 * shown instead of obeyed ("^[" for ESC), so that output can't move the cursor, set a title, answer for the user or hide text.
 */
#ifndef CORE_TERMINAL_H
#define CORE_TERMINAL_H
#include "core/kr.h"

enum { TERMINAL_HELD = 32 };
struct terminal { char held[TERMINAL_HELD]; size_t n; };       /* the begin of a sequence whose end hasn't come; one for each stream */
void terminal_put(struct terminal *, struct str bytes, struct buf *out);
void terminal_end(struct terminal *, struct buf *out);         /* what is held is shown */
#endif
