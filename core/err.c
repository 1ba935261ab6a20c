/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: the one error object. Library code fills it, callers put context in front, only applets print it.
 * What is not here: logging. Tests: tests/unit/core/kr.c
 */
#include "core/kr.h"
#include <errno.h>
#include <stdio.h>

const struct kr_code_info kr_codes[KR_CODE_COUNT] = {
#define CODE(n, ex, ht, gr, re, rs, me) [KR_##n] = { .name = #n, .reason = rs, .meaning = me, .exit = ex, .http = ht, .grpc = gr, .retry = re },
#include "core/codes.def"
#undef CODE
};

/* A message may end in a cut rune when it was too long: drop the half. */
static void tidy(struct kr_err *e, int wrote)
{
    size_t n = wrote < 0 ? 0 : (size_t)wrote;
    if (n >= sizeof e->msg) n = str_rune_cut((struct str){ e->msg, sizeof e->msg - 1 }, sizeof e->msg - 1);
    e->msg[n] = 0;
}

int kr_fail(struct kr_err *e, enum kr_code c, const char *fmt, ...)
{
    va_list ap;
    e->code = c;
    e->retry_after_s = 0;
    va_start(ap, fmt);
    tidy(e, vsnprintf(e->msg, sizeof e->msg, fmt, ap));
    va_end(ap);
    return -1;
}

static enum kr_code code_of_errno(int sys)
{
    switch (sys) {
    case ENOENT: return KR_NOT_FOUND;
    case EEXIST: return KR_EXISTS;
    case EACCES: case EPERM: case EROFS: return KR_FORBIDDEN;
    case ECONNREFUSED: case ECONNRESET: case EPIPE: case EHOSTUNREACH: case ENETUNREACH: return KR_UNAVAILABLE;
    case ETIMEDOUT: return KR_DEADLINE;
    case ENOSPC: case EDQUOT: case EFBIG: case E2BIG: return KR_TOO_LARGE;
    default: return KR_SYSTEM;
    }
}

int kr_fail_sys(struct kr_err *e, enum kr_code c, int sys, const char *fmt, ...)
{
    va_list ap;
    e->code = c == KR_SYSTEM ? code_of_errno(sys) : c;
    e->retry_after_s = 0;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        n += snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", strerror(sys));
    tidy(e, n);
    return -1;
}

int kr_wrap(struct kr_err *e, const char *fmt, ...)
{
    char old[sizeof e->msg];
    va_list ap;
    memcpy(old, e->msg, sizeof old);
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        n += snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", old);
    tidy(e, n);
    return -1;
}

enum kr_code kr_code_of_http(int status)
{
    for (int c = 0; c < KR_CODE_COUNT; c++)
        if (c != KR_USAGE && kr_codes[c].http == status) return (enum kr_code)c;         /* that is for our own command line */
    if (status >= 200 && status < 300) return KR_OK;
    return status >= 500 ? KR_UNAVAILABLE : KR_BAD_REQUEST;
}
