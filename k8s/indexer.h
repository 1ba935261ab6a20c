/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexer: objects of one kind by key, and by what they are filed under: "Runs on this pod", "pods of this Runtime".
 *
 * An informer's user keeps here what it needs of each object: the text, or only a record of its own (what is over), and
 * files it under at most one value per index. Looking a value up costs the same whatever else is there.
 */
#ifndef K8S_INDEXER_H
#define K8S_INDEXER_H
#include "core/kr.h"

enum { INDEXES_MAX = 5 };
struct indexer;
struct indexed {
    struct str key;                               /* "NS/NAME", or "NAME" of cluster kinds */
    struct str json;                              /* p NULL: not kept */
};
/* record: bytes that each object has for its user, zeroed at first; indexes: how many there are, 0 to INDEXES_MAX. */
struct indexer *indexer_new(size_t record, size_t indexes);
void indexer_free(struct indexer *);              /* NULL is fine */

/* Makes the object or replaces its text by a copy (p NULL: none is kept). Record and filing stay. */
struct indexed *indexer_set(struct indexer *, struct str key, struct str json);
struct indexed *indexer_get(const struct indexer *, struct str key);                          /* NULL when absent */
void indexer_remove(struct indexer *, struct indexed *);
void *indexer_record(const struct indexer *, struct indexed *);
size_t indexer_count(const struct indexer *);
/* for (size_t i = 0; (x = indexer_next(ix, &i)); ) …: all, in no order; the one that is visited may be removed. */
struct indexed *indexer_next(const struct indexer *, size_t *at);

/* From now on it is found under this value of the index, and no other; empty: under none. */
void indexer_file(struct indexer *, struct indexed *, size_t index, struct str value);
struct str indexer_filed(const struct indexer *, const struct indexed *, size_t index);       /* empty: not at all */
/* for (x = indexer_find(ix, i, value); x; x = indexer_same(ix, x, i)) …: those filed under it, the last one to be filed last. */
struct indexed *indexer_find(const struct indexer *, size_t index, struct str value);
struct indexed *indexer_same(const struct indexer *, const struct indexed *, size_t index);
#endif
