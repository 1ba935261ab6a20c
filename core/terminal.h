/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal: output of strangers on a terminal. Colours pass (ESC [ … m); every other escape sequence and control character is
 * shown instead of obeyed ("^[" for ESC), so that output can't move the cursor, set a title, answer for the user or hide text.
 * All that a Run wrote, a server said or an object has in it goes to a stream of ours through here; elsewhere it stays as it is.
 */
#ifndef CORE_TERMINAL_H
#define CORE_TERMINAL_H
#include "core/kr.h"

enum { TERMINAL_HELD = 32 };
struct terminal { char held[TERMINAL_HELD]; size_t n; };       /* the begin of a sequence whose end hasn't come; one for each stream */
void terminal_put(struct terminal *, struct str bytes, struct buf *out);
void terminal_end(struct terminal *, struct buf *out);         /* what is held is shown */
/* A whole text as it may go to fd: shown, in b, where that is a terminal; else as it is. */
struct str terminal_text(int fd, struct str text, struct buf *b);
/* The next bytes of what goes to fd, 1 or 2. t NULL: they are a whole text. */
int terminal_write(struct terminal *t, int fd, struct str bytes, struct kr_err *);
/* A picture on stdout, a terminal, in place of the one before, of which *drawn rows are there (0: none). Until the last one a line is a
 * row, cut at the edge, and of more lines than there are rows the last are drawn: only what is on the screen can be drawn over. */
void terminal_draw(size_t *drawn, struct str picture, bool last, struct buf *out);
/* What we say on stderr. */
PRINTF(1, 2) void terminal_say(const char *fmt, ...);
#endif
