/* SPDX-License-Identifier: Apache-2.0 */
/* tables: what holds for each applet, verb and option of the binary, whoever wrote the row. */
#include "core/applet.h"
#include "tests/kit/test.h"
#include <ctype.h>

#define APPLET(name) extern const struct applet applet_##name;
#include "cmd/applets.def"
#undef APPLET
static const struct applet *const all[] = {
#define APPLET(name) &applet_##name,
#include "cmd/applets.def"
#undef APPLET
    NULL };

/* Like CHECK, but says which row it is about. */
static void must(bool ok, const char *where, const char *name, const char *what)
{
    AUTO_BUF struct buf b = { .max = 512 };
    buf_fmt(&b, "%s %s: %s", where, name, what);
    test_check(ok, "row", 0, b.p);
}

static bool is_name(const char *p)
{
    for (const char *c = p; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-')
            return false;
    return *p && *p != '-';
}

static void check_option(const struct applet *a, const struct opt *const *tables, const struct opt *o)
{
    must(is_name(o->name), a->name, o->name, "small letters, digits and dashes");
    must(o->to != NULL, a->name, o->name, "has a target");
    must(strcmp(o->name, "help") != 0 && o->letter != 'h', a->name, o->name, "--help and -h are the dispatcher's");
    must(!str_starts(str_of(o->name), S("no-")), a->name, o->name, "\"no-\" is how flags are switched off");
    must(o->help && *o->help && o->help[strlen(o->help) - 1] != '.', a->name, o->name, "help without a full stop");
    must(o->type == OPT_FLAG ? !o->arg : o->arg != NULL, a->name, o->name, "a value is called something, a flag has none");
    must((o->type == OPT_ENUM) == (o->words != NULL), a->name, o->name, "words are for OPT_ENUM");
    must(o->type != OPT_LIST || !o->env, a->name, o->name, "a list has no variable");
    must(o->lo <= o->hi, a->name, o->name, "bounds in order");
    must(o->type == OPT_INT || o->type == OPT_DURATION || (!o->lo && !o->hi), a->name, o->name, "bounds are for numbers");
    for (const struct opt *const *t = tables; *t; t++)
        for (const struct opt *p = *t; p->name; p++)
            if (p != o && o->letter)
                must(p->letter != o->letter || !strcmp(p->name, o->name), a->name, o->name, "its letter is another's too");
}

static void check_list(const struct applet *const *list, int depth)
{
    for (size_t i = 0; list[i]; i++) {
        const struct applet *a = list[i];
        const struct opt *tables[APPLET_TABLES + 1];
        size_t n = a->opts != NULL;
        must(is_name(a->name), "applet", a->name, "small letters, digits and dashes");
        must(strcmp(a->name, "help") != 0, "applet", a->name, "help is the dispatcher's");
        must(a->brief && *a->brief && a->brief[strlen(a->brief) - 1] != '.', "applet", a->name, "brief without a full stop");
        must((a->main != NULL) != (a->verbs != NULL), "applet", a->name, "either main or verbs");
        must(a->args || (!a->min_args && !a->max_args), "applet", a->name, "bounds of arguments it does not take");
        must(!a->max_args || a->min_args <= a->max_args, "applet", a->name, "bounds in order");
        must(!a->verbs || (!a->opts && !a->shared && !a->args), "applet", a->name, "options and arguments are the verbs'");
        must(applet_find(list, str_of(a->name)) == a, "applet", a->name, "found by its name");
        for (const char *const *alias = a->aliases; alias && *alias; alias++)
            must(applet_find(list, str_of(*alias)) == a, "applet", a->name, "found by its alias");
        for (size_t s = 0; a->shared && a->shared[s]; s++)
            n++;
        must(n <= APPLET_TABLES, "applet", a->name, "no more tables than are read");
        applet_tables(a, tables);
        for (const struct opt *const *t = tables; *t; t++)
            for (const struct opt *o = *t; o->name; o++)
                check_option(a, tables, o);
        AUTO_BUF struct buf page = { .max = 262144 };
        applet_help(a, a->name, 80, &page);
        must(!page.failed && str_utf8(buf_view(&page)), "applet", a->name, "its help page is whole");
        must(depth < 3, "applet", a->name, "verbs are two deep at most");
        if (a->verbs)
            check_list(a->verbs, depth + 1);
    }
}

TEST(each_row_follows_the_rules) { check_list(all, 0); }
