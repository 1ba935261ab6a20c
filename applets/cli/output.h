/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output: what was asked for with --output, --sort-by, --since and their like, and objects on their way there.
 *
 * An object stays the text it came as; of a server's table only the cells of its row and, where somebody asks for more than
 * them, the object's metadata. So a list of many costs little more than its bytes.
 */
#ifndef APPLETS_CLI_OUTPUT_H
#define APPLETS_CLI_OUTPUT_H
#include "applets/cli/cli.h"
#include "k8s/jsonpath.h"

/* ---- what is shown ----------------------------------------------------------------------------------------------- */

struct item_key { enum { KEY_NONE, KEY_NUMBER, KEY_TEXT } kind; double number; struct str text; };
struct item { struct str object, cells; struct item_key key; size_t at; };          /* checked JSON; cells: an array, p NULL: by paths; at: in the order they came */
struct items { struct item *v; size_t n, cap; struct arena arena; };     /* what the texts point to is the caller's, or on the arena */
void items_add(struct items *, struct str object, struct str cells);
void items_free(struct items *);
/* --since, --older, --sort-by. time_path: where an object has the time of its making. */
int items_arrange(struct items *, const char *const time_path[2], int64_t wall_us, struct kr_err *);
bool item_is_recent(const struct item *, const char *const time_path[2], int64_t wall_us);      /* by --since and --older */

enum cell_how { CELL_TEXT, CELL_AGE, CELL_DIGEST };               /* CELL_DIGEST: its first twelve digits */
struct view_column { const char *name, *path; enum cell_how how; bool wide; };
extern const char *const made_at[2];              /* metadata.creationTimestamp */
struct view {
    const struct kube_resource *resource;
    const char *plural, *name_form;               /* "artifacts"; what -o name prints in front of the name, NULL: the object's kind */
    const char *const *time_path;                 /* two keys */
    const struct view_column *columns;            /* ended by a NULL name; NULL: as the server has them, for tables of the kind's own */
    void (*expand)(struct items *, struct str object);                   /* what an object stands for; NULL: itself */
    void (*put_name)(struct buf *, const struct json *);                 /* for -o name; NULL: metadata.name */
};

/* ---- forms ------------------------------------------------------------------------------------------------------- */

enum { TABLE_COLUMNS = 32 };
struct table_column {
    struct str name, label;                       /* label: the key whose value it shows */
    enum { FROM_CELL, FROM_PATH, FROM_NAMESPACE, FROM_EVENT, FROM_LABEL, FROM_LABELS } from;
    size_t cell;
    const struct jsonpath *path;
    enum cell_how how;
};
struct table { struct table_column v[TABLE_COLUMNS]; size_t n, width[TABLE_COLUMNS]; struct str absent; struct arena arena; };
/* Columns of a server's Table object, of a view, of custom-columns=TEXT; NAMESPACE in front with --all-namespaces. */
int table_of_server(struct table *, struct str table, bool wide, struct kr_err *);
int table_of_view(struct table *, const struct view *, bool wide, struct kr_err *);
int table_of_text(struct table *, struct str text, struct kr_err *);
/* --label-columns and --show-labels, behind what is there. */
int table_label_columns(struct table *, struct kr_err *);
/* Of a form: custom columns, the view's, or the printer columns of its kind; with the columns of labels. */
int output_columns(struct table *, const struct view *, enum cli_form, struct str template, struct kr_err *);
void table_event_column(struct table *);
void table_done(struct table *);
/* Rows under headings; widths of what was printed before are kept to. event: for its column. */
int table_print(struct table *, const struct items *, bool headings, const char *event, int64_t wall_us, struct buf *out, struct kr_err *);

/* All but tables. single: the one object that was named, else a List. */
int output_print(const struct view *, enum cli_form, struct str template, const struct items *, bool single, struct buf *out, struct kr_err *);

/* Gets what is named (none: all that the selectors let through) and prints it; with --watch until it is interrupted. */
int cli_show_view(struct cli *, const struct view *, const struct str *names, size_t n, struct kr_err *);
int cli_watch(struct cli *, const struct view *, enum cli_form, struct str template, const struct str *names, size_t n, struct kr_err *);
#endif
