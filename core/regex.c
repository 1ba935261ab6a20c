/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex: a lazily built table of sets of places.
 *
 * A state is the set of instructions the program may be at, closed over splits and jumps; the search starts anew at
 * every byte, so the start is in every set. Bytes that no instruction tells apart share a column. A state that holds
 * MATCH ends the search. When the table is full it is emptied: time stays linear, memory bounded.
 * Parsing is in regex_parse.c. Tests: tests/unit/core/regex.c
 */
#include "core/regex.h"
#include "core/regex_parse.h"

enum { STATES_MAX = 256, UNKNOWN = 0, MATCHES = 1 };     /* indices into states; 0 and 1 are no states */

struct state {
    uint32_t *set;             /* sorted instruction numbers: BYTES and END ones only */
    uint32_t n;
    bool begin;                /* nothing of the text is behind it: then ^ holds behind $ too */
    bool at_end;               /* it matches if the text ends here */
    uint16_t *next;            /* by column */
};

struct regex {
    struct regex_prog prog;
    uint8_t column[256];
    unsigned columns;
    struct state states[STATES_MAX];
    unsigned nstates;
    uint16_t first;            /* state at the start of a text */
    uint32_t *mark, round;     /* visited in this closure */
    uint32_t *stack, *list;
    uint32_t nlist;
};

static void find_columns(struct regex *r)
{
    bool edge[257] = { true };
    for (size_t i = 0; i < r->prog.n; i++)
        if (r->prog.v[i].op == RE_BYTES && r->prog.v[i].lo <= r->prog.v[i].hi) edge[r->prog.v[i].lo] = edge[r->prog.v[i].hi + 1] = true;
    unsigned column = 0;
    for (unsigned b = 0; b < 256; b++) r->column[b] = (uint8_t)(column += b && edge[b]);
    r->columns = column + 1;
}

/* Adds pc and all that is reached from it without a byte; true when MATCH is. */
static bool close_over(struct regex *r, uint32_t pc, bool begin, bool end)
{
    uint32_t n = 0;
    r->stack[n++] = pc;
    while (n) {
        pc = r->stack[--n];
        if (r->mark[pc] == r->round) continue;
        r->mark[pc] = r->round;
        const struct regex_inst *in = &r->prog.v[pc];
        switch (in->op) {
        case RE_MATCH: return true;
        case RE_SPLIT: r->stack[n++] = in->y; r->stack[n++] = in->x; break;
        case RE_JUMP: r->stack[n++] = in->x; break;
        case RE_BEGIN: if (begin) r->stack[n++] = in->x; break;
        case RE_END:
            if (end) r->stack[n++] = in->x;
            else r->list[r->nlist++] = pc;
            break;
        default: r->list[r->nlist++] = pc;
        }
    }
    return false;
}

static void new_round(struct regex *r)
{
    r->nlist = 0;
    if (++r->round) return;
    memset(r->mark, 0, r->prog.n * sizeof *r->mark);
    r->round = 1;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void forget_states(struct regex *r)
{
    for (unsigned i = MATCHES + 1; i < r->nstates; i++) {
        free(r->states[i].set);
        free(r->states[i].next);
    }
    r->nstates = MATCHES + 1;
    r->first = UNKNOWN;
}

/* Does the set in `st` lead to MATCH when the text ends? */
static bool ends(struct regex *r, const struct state *st, bool begin)
{
    new_round(r);
    for (uint32_t i = 0; i < st->n; i++)
        if (r->prog.v[st->set[i]].op == RE_END && close_over(r, st->set[i], begin, true)) return true;
    return false;
}

/* The state of r->list, found or made. The table must have room. */
static uint16_t intern(struct regex *r, bool begin)
{
    qsort(r->list, r->nlist, sizeof *r->list, by_number);
    for (unsigned i = MATCHES + 1; i < r->nstates; i++)
        if (r->states[i].begin == begin && r->states[i].n == r->nlist && !memcmp(r->states[i].set, r->list, r->nlist * sizeof *r->list)) return (uint16_t)i;
    struct state *st = &r->states[r->nstates];
    st->n = r->nlist;
    st->begin = begin;
    st->set = xmalloc(st->n * sizeof *st->set);
    memcpy(st->set, r->list, st->n * sizeof *st->set);
    st->next = xcalloc(r->columns, sizeof *st->next);
    st->at_end = ends(r, st, begin);
    return (uint16_t)r->nstates++;
}

static uint16_t first_state(struct regex *r)
{
    if (r->first) return r->first;
    new_round(r);
    return r->first = close_over(r, 0, true, false) ? MATCHES : intern(r, true);
}

/* From state `from` over byte b. When the table is full everything in it is forgotten, `from` included. */
static uint16_t step(struct regex *r, uint16_t from, uint8_t b)
{
    bool match = false;
    new_round(r);
    for (uint32_t i = 0; i < r->states[from].n && !match; i++) {
        const struct regex_inst *in = &r->prog.v[r->states[from].set[i]];
        if (in->op == RE_BYTES && in->lo <= b && b <= in->hi) match = close_over(r, in->x, false, false);
    }
    if (!match) match = close_over(r, 0, false, false);
    bool full = r->nstates == STATES_MAX;
    if (full) forget_states(r);
    uint16_t to = match ? MATCHES : intern(r, false);
    if (!full) r->states[from].next[r->column[b]] = to;
    return to;
}

struct regex *regex_compile(struct str pattern, struct kr_err *e)
{
    struct regex *r = xcalloc(1, sizeof *r);
    if (regex_parse(&r->prog, pattern, e) < 0) {
        regex_free(r);
        return NULL;
    }
    r->nstates = MATCHES + 1;
    r->mark = xcalloc(r->prog.n, sizeof *r->mark);
    r->stack = xcalloc(r->prog.n * 2 + 2, sizeof *r->stack);
    r->list = xcalloc(r->prog.n, sizeof *r->list);
    find_columns(r);
    return r;
}

void regex_free(struct regex *r)
{
    if (!r) return;
    forget_states(r);
    free(r->prog.v);
    free(r->mark);
    free(r->stack);
    free(r->list);
    free(r);
}

bool regex_search(struct regex *r, struct str text)
{
    uint16_t at = first_state(r);
    for (size_t i = 0; i < text.n; i++) {
        if (at == MATCHES) return true;
        uint8_t b = (uint8_t)text.p[i];
        uint16_t next = r->states[at].next[r->column[b]];
        at = next ? next : step(r, at, b);
    }
    return at == MATCHES || r->states[at].at_end;
}
