/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_rules: runs a kind's x-kubernetes-validations on an object.
 *
 * A rule that uses oldSelf runs on updates only, where the value was there before and the place is one that can be found
 * again (not in lists without keys). Other rules are not run on what didn't change. All rules of an object share one
 * budget, and each has one of its own.
 */
#include "core/model_check.h"

static void report(struct model_checker *c, const struct model_rule *r, const struct json *v, const struct model_place *at,
                   struct str message)
{
    AUTO_BUF struct buf path = { .max = LIMIT_MODEL_PATH };
    const char *reason = r->reason ? r->reason : "FieldValueInvalid";
    model_place_print(&path, at, true);
    if (r->path)
        buf_lit(&path, r->path + (path.n ? 0 : 1));
    if (!strcmp(reason, "FieldValueRequired"))
        model_cause_add(c->errors, c->arena, reason, buf_view(&path), "Required value: %.*s", SFMT(message));
    else if (!strcmp(reason, "FieldValueForbidden"))
        model_cause_add(c->errors, c->arena, reason, buf_view(&path), "Forbidden: %.*s", SFMT(message));
    else
        model_cause_add(c->errors, c->arena, reason, buf_view(&path), "Invalid value: \"%s\": %.*s",
                        model_json_type(v), SFMT(message));
}

/* The rule failed to come to an answer: a value it can't convert, or too much work. */
static void report_error(struct model_checker *c, const struct model_rule *r, const struct json *v, const struct model_place *at,
                         const struct kr_err *e)
{
    AUTO_BUF struct buf path = { .max = LIMIT_MODEL_PATH };
    struct str why = str_of(e->msg), rest = why;
    if (str_starts(why, S("at ")) && (str_cut(&rest, ':'), rest.n > 1))        /* a position in a rule nobody sees */
        why = str_from(rest, 1);
    model_place_print(&path, at, true);
    model_cause_add(c->errors, c->arena, "FieldValueInvalid", buf_view(&path), "Invalid value: \"%s\": %.*s evaluating rule: %s",
                    model_json_type(v), SFMT(why), r->message);
}

static void run_rule(struct model_checker *c, const struct model_node *n, const struct model_compiled_rule *r, const struct json *v,
                     const struct json *old, const struct model_place *at)
{
    struct kr_err e;
    struct arena scratch = { .limit = LIMIT_JSON_ARENA };
    int64_t budget = c->cost_left < LIMIT_RULE_COST ? c->cost_left : LIMIT_RULE_COST;
    struct expr_run run = { .arena = &scratch, .cost_left = budget };
    struct value vars[2] = { value_of_json(v, &n->cel), value_of_json(old, &n->cel) }, said;
    bool holds = false;
    if (expr_eval_bool(r->test, &run, vars, &holds, &e) < 0) {
        report_error(c, r->rule, v, at, &e);
    } else if (!holds) {
        struct str message = str_of(r->rule->message);
        if (r->message && expr_eval(r->message, &run, vars, &said, &e) == 0 && said.kind == EXPR_STRING && said.s.n)
            message = said.s;
        report(c, r->rule, v, at, message);
    }
    c->cost_left -= budget - run.cost_left;
    arena_reset(&scratch);
}

static void children(struct model_checker *c, const struct model_node *n, const struct json *v, const struct json *old,
                     const struct model_place *up)
{
    size_t i = 0;
    if (n->s->shape == MODEL_OBJECT && json_is(v, JSON_OBJECT)) {
        for (i = 0; i < n->nfields; i++) {
            struct model_place at = { .up = up, .key = { n->s->object->fields[i].name, n->s->object->fields[i].len } };
            if (n->fields[i].rules_below)
                model_check_rules(c, &n->fields[i], json_get_str(v, at.key), json_get_str(old, at.key), &at);
        }
    } else if (n->s->shape == MODEL_MAP && json_is(v, JSON_OBJECT)) {
        for (const struct json *m = json_first(v); m; m = json_next(m)) {
            struct model_place at = { .up = up, .key = json_key(m), .map_key = true };
            model_check_rules(c, n->item, m, json_get_str(old, at.key), &at);
        }
    } else if (n->s->shape == MODEL_LIST && json_is(v, JSON_ARRAY)) {
        for (const struct json *m = json_first(v); m; m = json_next(m)) {
            struct model_place at = { .up = up, .index = i++ };
            model_check_rules(c, n->item, m, model_old_item(n->s, old, m), &at);
        }
    }
}

void model_check_rules(struct model_checker *c, const struct model_node *n, const struct json *v, const struct json *old,
                       const struct model_place *at)
{
    if (!v || !n->rules_below || model_full(c) || c->cost_left < 0)
        return;
    bool same = old && json_equal(v, old);
    if (same && !n->transitions_below)
        return;
    for (size_t i = 0; i < n->nrules && c->cost_left >= 0; i++)
        if (n->rules[i].transition ? old != NULL : !same)
            run_rule(c, n, &n->rules[i], v, old, at);
    if (n->item ? n->item->rules_below : n->nfields > 0)
        children(c, n, v, old, at);
}
