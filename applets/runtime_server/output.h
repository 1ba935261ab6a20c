/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output: what one stream of an execution wrote.
 *
 * The first OUTPUT_HEAD bytes are kept whole: Status shows them, and a text that only grows lets a poller print the
 * difference. Behind them the last OUTPUT_TAIL bytes are kept for readers that come back with an offset. In between may
 * be a gap; who asks for bytes in it is told where they go on. Memory is taken as it is needed.
 */
#ifndef APPLETS_RUNTIME_SERVER_OUTPUT_H
#define APPLETS_RUNTIME_SERVER_OUTPUT_H
#include "core/kr.h"

enum { OUTPUT_HEAD = LIMIT_STATUS_TEXT, OUTPUT_TAIL = LIMIT_WATCH_RING };

struct output {
    char *head, *tail;            /* tail is a ring that starts at tail_at */
    size_t head_cap, tail_cap, tail_n, tail_at;
    uint64_t total;               /* bytes ever written */
};
void output_add(struct output *, struct str bytes);
/* The longest piece that is there from *offset on (empty at the end). When those bytes are gone, *offset moves to the
 * next ones that are kept: the caller sees the gap by comparing. Valid until the next output_add. */
struct str output_at(const struct output *, uint64_t *offset);
/* The text for Status: at most OUTPUT_HEAD bytes, bad UTF-8 replaced by U+FFFD, cut at a rune and marked when there was more. */
struct str output_text(const struct output *, struct arena *);
void output_free(struct output *);
#endif
