/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: allocation that aborts, scope cleanup, the bounded sticky buffer and the arena with a budget.
 * A controller under a memory limit is killed long before malloc says NULL, so running out is not an error path here;
 * passing a declared limit is. Tests: tests/unit/core/kr.c
 */
#include "core/kr.h"
#include <stdio.h>
#include <unistd.h>

static void *checked(void *p)
{
    if (p) return p;
    static const char line[] = "kruntimes: out of memory\n";
    (void)!write(2, line, sizeof line - 1);
    abort();
}
void *xmalloc(size_t n) { return checked(malloc(n ? n : 1)); }
void *xcalloc(size_t n, size_t size) { return checked(calloc(n ? n : 1, size ? size : 1)); }
void *xrealloc(void *p, size_t n) { return checked(realloc(p, n ? n : 1)); }
char *xstrndup(const char *p, size_t n)
{
    char *d = xmalloc(n + 1);
    if (n) memcpy(d, p, n);
    d[n] = 0;
    return d;
}
void kr_closep(int *fd)
{
    if (*fd >= 0) close(*fd);
}

/* ---- blocks ---- */
struct arena_block {
    struct arena_block *next;
    size_t cap, off;
    _Alignas(16) char mem[];
};

/* What arenas, buffers and xblock are made of. Blocks of the usual sizes (powers of two) are kept for the next one: the C library
 * would hand their pages back to the kernel and fetch them anew for each request. A build with AddressSanitizer keeps none,
 * so that it sees stale views. Every block has room for an arena's head beside `cap` bytes. */
enum { SPARE_LEAST = 256, SPARE_MOST = 131072, SPARE_SIZES = 10, SPARE_BYTES = 131072 };
struct spare { struct spare *next; };
static struct { size_t n; struct spare *list; } spares[SPARE_SIZES];

/* Which of `spares` a size belongs to; -1: none. */
static int spare_index(size_t cap)
{
#ifdef __SANITIZE_ADDRESS__
    return -1;
#endif
    return cap < SPARE_LEAST || cap > SPARE_MOST || (cap & (cap - 1)) ? -1 : __builtin_ctzl(cap / SPARE_LEAST);
}

static void *block_get(size_t cap)
{
    int i = spare_index(cap);
    struct spare *b = i < 0 ? NULL : spares[i].list;
    if (!b) return xmalloc(sizeof(struct arena_block) + cap);
    spares[i].list = b->next;
    spares[i].n--;
    return b;
}

static void block_put(void *p, size_t cap)
{
    int i = spare_index(cap);
    if (i < 0 || spares[i].n >= SPARE_BYTES / cap) {
        free(p);
        return;
    }
    struct spare *b = p;
    b->next = spares[i].list;
    spares[i].list = b;
    spares[i].n++;
}

#ifdef __SANITIZE_ADDRESS__
void *xblock(size_t n) { return xmalloc(n); }
void xblock_free(void *p, size_t n) { (void)n, free(p); }
#else
static size_t block_size(size_t n)
{
    return n <= SPARE_LEAST ? SPARE_LEAST : n > SPARE_MOST ? n : (size_t)1 << (8 * sizeof n - (size_t)__builtin_clzl(n - 1));
}
void *xblock(size_t n) { return block_get(block_size(n)); }
void xblock_free(void *p, size_t n) { if (p) block_put(p, block_size(n)); }
#endif

/* ---- buf ---- */
static void grow(struct buf *b, size_t cap)
{
    if (spare_index(cap) < 0 && spare_index(b->cap) < 0) {
        b->p = xrealloc(b->p, cap);
    } else {
        char *p = block_get(cap);
        if (b->p) memcpy(p, b->p, b->n + 1);
        block_put(b->p, b->cap);
        b->p = p;
    }
    b->cap = cap;
}

void *buf_room(struct buf *b, size_t n)
{
    if (b->failed || n > b->max - b->n) {
        b->failed = true;
        return NULL;
    }
    if (b->cap - b->n < n + 1) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->n < n + 1) cap *= 2;
        grow(b, cap);
    }
    return b->p + b->n;
}

/* What is appended is mostly shorter than what it takes musl's memcpy to begin: two pieces that may overlap need no loop. */
static void copy(char *to, const char *from, size_t n)
{
    if (n > 32) {
        memcpy(to, from, n);
    } else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = from[i];
    }
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->failed || n > b->max - b->n || b->cap - b->n < n + 1) {
        if (!buf_room(b, n)) return;
    }
    copy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
}

void buf_byte(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
        return;
    }
    char *to = buf_room(b, (size_t)n);
    if (!to) return;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
    if (!b->p) return;
    if (n > b->n) n = b->n;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = 0;
}

void buf_use(struct buf *b, size_t *at, size_t n)
{
    *at += n;
    if (*at < b->n - *at) return;
    buf_drop(b, *at);
    *at = 0;
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p) b->p[0] = 0;
}

void buf_free(struct buf *b)
{
    if (b->p) block_put(b->p, b->cap);
    *b = (struct buf){ .max = b->max };
}

char *buf_take(struct buf *b)
{
    if (b->failed) return NULL;
    char *p = b->p ? b->p : xstrndup("", 0);
    *b = (struct buf){ .max = b->max };
    return p;
}

/* ---- arena ---- */
static struct arena_block *new_block(struct arena *a, size_t n)
{
    size_t cap = a->first ? a->first : 1024;
    if (a->head) cap = a->head->cap * 2;
    if (cap > SPARE_MOST) cap = SPARE_MOST;
    while (n > SPARE_LEAST && cap < n && cap < SPARE_MOST) cap *= 2;
    if (cap < n) cap = n;
    struct arena_block *b = block_get(cap);
    *b = (struct arena_block){ .next = a->head, .cap = cap };
    return a->head = b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (a->over || n > SIZE_MAX - 16) {
        a->over = true;
        return NULL;
    }
    n = (n + 15) & ~(size_t)15;
    if (n > a->limit - a->used) {
        a->over = true;
        return NULL;
    }
    struct arena_block *b = a->head;
    if (!b || b->cap - b->off < n) b = new_block(a, n);
    void *p = b->mem + b->off;
    b->off += n;
    a->used += n;
    return memset(p, 0, n);
}

void *arena_copy(struct arena *a, const void *p, size_t n)
{
    void *d = arena_alloc(a, n);
    if (d && n) memcpy(d, p, n);
    return d;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *d = arena_alloc(a, s.n + 1);
    if (!d) return S("");
    if (s.n) memcpy(d, s.p, s.n);
    return (struct str){ d, s.n };
}

struct str arena_fmt(struct arena *a, const char *fmt, ...)
{
    char small[256];                              /* most are short: formatted once */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    char *d = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (!d) return S("");
    if ((size_t)n < sizeof small) {
        memcpy(d, small, (size_t)n + 1);
        return (struct str){ d, (size_t)n };
    }
    va_start(ap, fmt);
    vsnprintf(d, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct str){ d, (size_t)n };
}

struct str arena_join(struct arena *a, const struct str *parts, size_t n)
{
    size_t all = 0, at = 0;
    for (size_t i = 0; i < n; i++) all += parts[i].n;
    char *d = arena_alloc(a, all + 1);
    for (size_t i = 0; d && i < n; at += parts[i++].n)
        if (parts[i].n) memcpy(d + at, parts[i].p, parts[i].n);
    return d ? (struct str){ d, all } : S("");
}

char *arena_z(struct arena *a, struct str s)
{
    if (s.n && memchr(s.p, 0, s.n)) return NULL;
    char *d = arena_alloc(a, s.n + 1);
    if (d && s.n) memcpy(d, s.p, s.n);
    return d;
}

struct arena_mark arena_mark(const struct arena *a) { return (struct arena_mark){ a->head, a->head ? a->head->off : 0, a->used }; }

void arena_rewind(struct arena *a, struct arena_mark m)
{
    while (a->head != m.head) {
        struct arena_block *b = a->head;
        a->head = b->next;
        block_put(b, b->cap);
    }
    if (a->head) a->head->off = m.off;
    a->used = m.used;
}

void arena_reset(struct arena *a)
{
    arena_rewind(a, (struct arena_mark){ 0 });
    a->over = false;
}
