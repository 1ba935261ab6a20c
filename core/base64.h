/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64: RFC 4648, both alphabets. Decoding is strict: no white space, right padding, no stray bits at the end, so that
 * every byte string has exactly one text.
 */
#ifndef CORE_BASE64_H
#define CORE_BASE64_H
#include "core/kr.h"

enum base64_kind {
    BASE64_STD,             /* '+' '/', padded: Secrets, kubeconfig, WebSocket keys */
    BASE64_URL,             /* '-' '_', padding neither written nor accepted: tokens (JWT), continue tokens */
};
/* Appends the text to the buffer (sticky failure as ever). */
void base64_put(struct buf *b, enum base64_kind kind, struct str bytes);
struct str base64_encode(struct arena *a, enum base64_kind kind, struct str bytes);     /* p NULL when over the arena's budget */
/* KR_BAD_REQUEST with the offset of what is wrong; KR_TOO_LARGE over the arena's budget. */
int base64_decode(struct arena *a, enum base64_kind kind, struct str text, struct str *bytes, struct kr_err *e);
#endif
