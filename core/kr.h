/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kr: what every file shares: errors, string views, bounded buffers, arenas, scope cleanup, limits.
 *
 * Ownership is in the type: `struct str` is a borrowed view, `struct buf` owns its bytes, what an arena gave lives
 * until the arena is reset. Real out-of-memory aborts; what a stranger can make grow has a maximum, and passing it is
 * an ordinary error.
 */
#ifndef CORE_KR_H
#define CORE_KR_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define LEN(a) (sizeof(a) / sizeof *(a))
#define container_of(p, T, member) ((T *)(void *)((char *)(p) - offsetof(T, member)))

/* ---- limits (core/limits.def) ------------------------------------------------------------------------------- */
enum kr_limit {
#define LIMIT(name, value, who, then) LIMIT_##name = (value),
#include "core/limits.def"
#undef LIMIT
};

/* ---- errors (core/codes.def) -------------------------------------------------------------------------------- */
enum kr_code {
#define CODE(name, exit, http, grpc, retry, reason, meaning) KR_##name,
#include "core/codes.def"
#undef CODE
    KR_CODE_COUNT
};
struct kr_code_info {
    const char *name, *reason, *meaning;
    int exit, http, grpc;
    bool retry;
};
extern const struct kr_code_info kr_codes[KR_CODE_COUNT];

/* Success leaves an error object alone; failure fills it and returns a negative number. */
struct kr_err {
    enum kr_code code;
    int retry_after_s;            /* what a server asked for (Retry-After), 0 when it did not */
    char msg[LIMIT_ERR_MESSAGE];  /* lower case, subject in quotes, no full stop; always NUL-terminated UTF-8 */
};
/* Fills *e and returns -1, so that `return kr_fail(...)` is the whole error path. */
PRINTF(3, 4) int kr_fail(struct kr_err *e, enum kr_code c, const char *fmt, ...);
/* The same for a failed system call: appends ": " and the text of errno `sys`; picks a code from it where c is KR_SYSTEM. */
PRINTF(4, 5) int kr_fail_sys(struct kr_err *e, enum kr_code c, int sys, const char *fmt, ...);
/* Puts context in front of what is there: "run 'x': spec.timeoutSeconds: out of range". Returns -1. */
PRINTF(2, 3) int kr_wrap(struct kr_err *e, const char *fmt, ...);
/* The code whose HTTP status is closest to `status` (a 5xx that is not listed is KR_UNAVAILABLE). */
enum kr_code kr_code_of_http(int status);

/* ---- memory ------------------------------------------------------------------------------------------------- */
void *xmalloc(size_t n);                 /* these three abort with one line on stderr when memory is out */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrndup(const char *p, size_t n);
/* For objects that come and go with each request: what the last one had is kept for the next. Not zeroed; freed with the same n. */
void *xblock(size_t n);
void xblock_free(void *p, size_t n);     /* NULL is fine */

static inline void kr_freep(void *p) { free(*(void **)p); }
void kr_closep(int *fd);
#define AUTO_FREE __attribute__((cleanup(kr_freep)))      /* free() at the end of the scope */
#define AUTO_CLOSE __attribute__((cleanup(kr_closep)))    /* close() unless negative */
#define AUTO_BUF __attribute__((cleanup(buf_free)))
#define AUTO_ARENA __attribute__((cleanup(arena_reset)))
#define UNFILLED __attribute__((uninitialized))           /* a large buffer that a read fills: not zeroed first, as all else is */
#define TAKE(p) ({ __typeof__(p) take_ = (p); (p) = NULL; take_; })            /* give ownership away */
#define TAKE_FD(fd) ({ int take_ = (fd); (fd) = -1; take_; })

/* ---- string views ------------------------------------------------------------------------------------------- */
struct str { const char *p; size_t n; };
#define S(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define SFMT(s) (int)(s).n, (s).p                          /* for "%.*s" */
static inline struct str str_of(const char *z) { return (struct str){ z, z ? strlen(z) : 0 }; }
static inline bool str_eq(struct str a, struct str b) { return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n)); }
static inline bool str_is(struct str a, const char *z) { return str_eq(a, str_of(z)); }
int str_cmp(struct str a, struct str b);                   /* byte order, as memcmp */
bool str_caseeq(struct str a, struct str b);               /* ASCII only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
ptrdiff_t str_find(struct str s, struct str what);         /* offset of the first, -1 when there is none */
ptrdiff_t str_chr(struct str s, char c);
struct str str_from(struct str s, size_t off);             /* the rest from off; empty beyond the end */
struct str str_trim(struct str s);                         /* spaces, tabs, CR, LF off both ends */
/* Cuts *rest at the first `sep`: returns what stood before it and moves *rest behind it (empty, p NULL, at the end). */
struct str str_cut(struct str *rest, char sep);
bool str_i64(struct str s, int64_t *out);                  /* whole decimal number, optional '-', nothing else */
bool str_u64(struct str s, uint64_t *out);
size_t str_put_i64(char out[21], int64_t v);               /* the way back, several times as fast as printf; how long, no NUL */
void hex_put(char *out, const void *bytes, size_t n);      /* 2 n lower-case digits and a NUL */
bool str_utf8(struct str s);                               /* RFC 3629, no surrogates; NUL is allowed */
size_t str_utf8_prefix(struct str s);                       /* how many bytes from the start are whole, valid characters */
size_t str_runes(struct str s);                            /* Unicode characters of valid UTF-8 */
size_t str_rune_cut(struct str s, size_t max);             /* the largest n <= max that does not cut a rune in two */
uint64_t str_hash(struct str s);                           /* for hash tables; seeded once per process */

/* ---- bounded, sticky buffer --------------------------------------------------------------------------------- */
/* Starts as `struct buf b = { .max = LIMIT_… }` (max 0 means nothing fits). After a failure every append is a no-op and
 * one look at b.failed at the end suffices. The bytes are NUL-terminated whenever p is set. */
struct buf { char *p; size_t n, cap, max; bool failed; };
void buf_add(struct buf *b, const void *p, size_t n);
static inline void buf_str(struct buf *b, struct str s) { buf_add(b, s.p, s.n); }
static inline void buf_lit(struct buf *b, const char *z) { buf_add(b, z, strlen(z)); }
void buf_byte(struct buf *b, char c);
PRINTF(2, 3) void buf_fmt(struct buf *b, const char *fmt, ...);
void *buf_room(struct buf *b, size_t n);      /* at least n writable bytes behind the end, or NULL and failed; then b->n += used */
void buf_drop(struct buf *b, size_t n);       /* the first n bytes go */
/* n more bytes are used of those that begin at *at. What was used goes once it is the larger part: each byte is moved once at most,
 * however small the pieces are. */
void buf_use(struct buf *b, size_t *at, size_t n);
void buf_clear(struct buf *b);                /* empty, memory kept, failure forgotten */
void buf_free(struct buf *b);                 /* empty, memory released, max kept */
static inline struct str buf_view(const struct buf *b) { return (struct str){ b->n ? b->p : "", b->n }; }
char *buf_take(struct buf *b);                /* the caller owns the NUL-terminated bytes; never NULL unless failed */

/* ---- arena with a budget ------------------------------------------------------------------------------------- */
/* Starts as `struct arena a = { .limit = bytes }`. Over the limit an allocation is NULL and a.over stays set until the
 * reset. First block `first` bytes (0: 1024), later ones double up to 64 KiB. */
struct arena_block;
struct arena { struct arena_block *head; size_t used, limit, first; bool over; };
void *arena_alloc(struct arena *a, size_t n);              /* zeroed, aligned to 16; NULL over the limit */
void *arena_copy(struct arena *a, const void *p, size_t n);
struct str arena_str(struct arena *a, struct str s);       /* NUL-terminated copy; over the limit an empty view */
PRINTF(2, 3) struct str arena_fmt(struct arena *a, const char *fmt, ...);
struct str arena_join(struct arena *a, const struct str *parts, size_t n);     /* one after the other; NUL-terminated */
char *arena_z(struct arena *a, struct str s);              /* C string; NULL over the limit or when s has a NUL inside */
void arena_reset(struct arena *a);                         /* frees everything */
struct arena_mark { struct arena_block *head; size_t off, used; };
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark);     /* frees what was allocated since the mark, for loops over many things */
#define arena_new(a, T) ((T *)arena_alloc((a), sizeof(T)))
#endif
