/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completion: a script for bash, zsh or fish, made from the tables that parsing reads, so that it offers what is taken and
 * nothing else. Each script first walks the words to see which applet and verb they name ("/run/submit"), as the dispatcher
 * does: a verb stands right behind its applet. Then one `case` tells what may follow there. Names of objects come from the
 * server, asked by the hidden applet `names`; in bash with what the line says of server and namespace. Without an answer
 * nothing is proposed. Deliberately not here: `kubectl kruntimes <Tab>`, whose completion is kubectl's own.
 * Tests: tests/local/completion.sh.
 */
#include "core/applet.h"

/* ---- walking the tables ------------------------------------------------------------------------------------------ */

enum { PLACE_PATH = 128 };
struct place { const struct applet *a; char path[PLACE_PATH]; };      /* a NULL, path "": the whole program */

static void place_below(struct place *p, const struct place *above, const struct applet *a)
{
    AUTO_BUF struct buf path = { .max = PLACE_PATH - 1 };
    buf_fmt(&path, "%s/%s", above->path, a->name);
    p->a = a;
    memcpy(p->path, buf_view(&path).p, path.n);
    p->path[path.n] = '\0';
}

static const struct applet *const *verbs_of(const struct place *p) { return p->a ? p->a->verbs : applet_all(); }

static void each_place(const struct place *p, void (*fn)(const struct place *, struct buf *), struct buf *b)
{
    fn(p, b);
    for (const struct applet *const *v = verbs_of(p); v && *v; v++) {
        struct place below;
        place_below(&below, p, *v);
        if (!(*v)->hidden)
            each_place(&below, fn, b);
    }
}

/* The options that may stand at a place, of those that are shown. */
static void each_option(const struct place *p, void (*fn)(const struct place *, const struct opt *, struct buf *), struct buf *b)
{
    const struct opt *tables[APPLET_TABLES + 1] = { NULL };
    if (p->a)
        applet_tables(p->a, tables);
    for (const struct opt *const *t = tables; *t; t++)
        for (const struct opt *o = *t; o->name; o++)
            if (!o->hidden && opt_find(tables, str_of(o->name)) == o)
                fn(p, o, b);
}

/* The words of "[run|runtime]" or "bash|zsh|fish", with spaces between; false when `args` isn't such a choice. */
static bool choice(const struct applet *a, struct buf *words)
{
    struct str s = str_of(a && a->args ? a->args : "");
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = (struct str){ s.p + 1, s.n - 2 };
    bool several = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        several |= c == '|';
        if (c != '|' && c != '-' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            return false;
        buf_byte(words, c == '|' ? ' ' : c);
    }
    return several;
}

/* What a value is called tells whether it may be the name of a file. */
static bool is_file(const char *called)
{
    return called && (strstr(called, "FILE") || strstr(called, "DIR") || strstr(called, "PATH"));
}

/* What a value names, for the applet `names`; NULL: nothing it knows. */
static const char *names_of(const struct opt *o)
{
    return !strcmp(o->name, "runtime") ? "runtimes" : !strcmp(o->name, "namespace") ? "namespaces" : NULL;
}

static void put_words(const struct opt *o, struct buf *b)
{
    for (int i = 0; o->words[i]; i++)
        buf_fmt(b, "%s%s", i ? " " : "", o->words[i]);
}

/* `text` for inside of single quotes; `also` are characters that the place wants a backslash before. */
static void put_quoted(const char *text, const char *also, bool fish, struct buf *b)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            buf_lit(b, fish ? "\\'" : "'\\''");
        else if (*p == '\\')
            buf_lit(b, fish || *also ? "\\\\" : "\\");
        else if (strchr(also, *p))
            buf_add(b, (char[]){ '\\', *p }, 2);
        else
            buf_byte(b, *p);
    }
}

/* The pattern "/run|/runs" of a place below another. */
static void put_pattern(const struct place *p, const char *between, struct buf *b)
{
    size_t above = strlen(p->path) - strlen(p->a->name);
    buf_lit(b, p->path);
    for (const char *const *alias = p->a->aliases; alias && *alias; alias++)
        buf_fmt(b, "%s%.*s%s", between, (int)above, p->path, *alias);
}

static void put_verb_names(const struct place *p, struct buf *b)
{
    const char *space = "";
    for (const struct applet *const *v = verbs_of(p); v && *v; v++) {
        if ((*v)->hidden)
            continue;
        buf_fmt(b, "%s%s", space, (*v)->name);
        space = " ";
    }
}

static void shell_walk(const struct place *p, struct buf *b)
{
    if (!p->a)
        return;
    buf_lit(b, "        ");
    put_pattern(p, "|", b);
    buf_fmt(b, ") at=%s ;;\n", p->path);
}

/* ---- bash -------------------------------------------------------------------------------------------------------- */

static void bash_option(const struct place *p, const struct opt *o, struct buf *b)
{
    (void)p;
    if (o->letter)
        buf_fmt(b, " -%c", o->letter);
    buf_fmt(b, " --%s", o->name);
    if (o->type == OPT_FLAG && *(const bool *)o->to)
        buf_fmt(b, " --no-%s", o->name);              /* what is on already can only be wanted off */
}

static void bash_place(const struct place *p, struct buf *b)
{
    AUTO_BUF struct buf words = { .max = 1024 };
    buf_fmt(b, "    '%s') opts='--help%s", p->path, p->a ? "" : " --version");
    each_option(p, bash_option, b);
    buf_lit(b, "' words='");
    if (verbs_of(p))
        put_verb_names(p, b);
    else if (choice(p->a, &words))
        buf_str(b, buf_view(&words));
    buf_fmt(b, "' files=%s names=%s ;;\n", p->a && is_file(p->a->args) ? "1" : "", p->a && p->a->names ? p->a->names : "");
}

static void bash_value(const struct place *p, const struct opt *o, struct buf *b)
{
    if (o->type == OPT_FLAG)
        return;
    buf_fmt(b, "    %s:--%s", p->path, o->name);
    if (o->letter)
        buf_fmt(b, "|%s:-%c", p->path, o->letter);
    buf_lit(b, ") value=1 words='");
    if (o->type == OPT_ENUM)
        put_words(o, b);
    buf_fmt(b, "' files=%s names=%s ;;\n", is_file(o->arg) ? "1" : "", names_of(o) ? names_of(o) : "");
}

static void bash_values(const struct place *p, struct buf *b) { each_option(p, bash_value, b); }

static void bash(struct buf *b)
{
    const struct place top = { 0 };
    buf_lit(b, "# bash completion of kruntimes; generated by: kruntimes completion bash\n"
               "_kruntimes()\n{\n"
               "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= opts= words= value= files= names= i j\n    local -a where=()\n"
               "    # readline cuts --name=value into three words\n"
               "    if [[ $cur == = ]]; then\n        cur=\n"
               "    elif [[ $prev == = ]]; then\n        prev=${COMP_WORDS[COMP_CWORD-2]}\n    fi\n"
               "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case $at/${COMP_WORDS[i]} in\n");
    each_place(&top, shell_walk, b);
    buf_lit(b, "        *) break ;;\n        esac\n    done\n"
               "    for ((j = i; j < COMP_CWORD; j++)); do\n        [[ ${COMP_WORDS[j]} == -- ]] && return\n    done\n"
               "    case $at in\n");
    each_place(&top, bash_place, b);
    buf_lit(b, "    esac\n    ((i < COMP_CWORD)) && words=\n"
               "    # which server and namespace the line speaks of\n"
               "    for ((j = i; j < COMP_CWORD - 1; j++)); do\n        case ${COMP_WORDS[j]} in\n"
               "        -n|--namespace|--context|--kubeconfig)\n"
               "            where+=(\"${COMP_WORDS[j]}\")\n"
               "            [[ ${COMP_WORDS[j+1]} == = ]] && ((j++))\n"
               "            where+=(\"${COMP_WORDS[j+1]}\") ;;\n        esac\n    done\n"
               "    case $at:$prev in\n");
    each_place(&top, bash_values, b);
    buf_lit(b, "    esac\n"
               "    [[ ! $value && $cur == -* ]] && words=$opts names=\n"
               "    [[ $names ]] && words+=\" $(\"${COMP_WORDS[0]}\" names $names \"${where[@]}\" 2>/dev/null)\"\n"
               "    [[ $files ]] || compopt +o default 2>/dev/null\n"
               "    # not by compgen -W, which expands each word: a name may come from anybody's server\n"
               "    local IFS=$' \\t\\n' w\n    local -a all\n    COMPREPLY=()\n    read -r -d '' -a all <<<\"$words\"\n"
               "    for w in \"${all[@]}\"; do\n        [[ $w == \"$cur\"* ]] && COMPREPLY+=(\"$w\")\n    done\n}\n"
               "complete -o default -F _kruntimes kruntimes krt kubectl-kruntimes\n");
}

/* ---- zsh --------------------------------------------------------------------------------------------------------- */

static void zsh_spec(const struct opt *o, const char *name, struct buf *b)
{
    bool value = o->type != OPT_FLAG, letter = name[1] != '-';
    buf_lit(b, "\n            '");
    if (o->type == OPT_LIST)
        buf_byte(b, '*');
    else if (o->letter)
        buf_fmt(b, "(-%c --%s)", o->letter, o->name);
    buf_fmt(b, "%s%s[", name, !value ? "" : letter ? "+" : "=");
    put_quoted(o->help, "[]", false, b);
    buf_byte(b, ']');
    if (value) {
        buf_byte(b, ':');
        put_quoted(o->arg ? o->arg : "VALUE", ":", false, b);
        buf_byte(b, ':');
    }
    if (o->type == OPT_ENUM) {
        buf_byte(b, '(');
        put_words(o, b);
        buf_byte(b, ')');
    } else if (value && names_of(o)) {
        buf_fmt(b, "{_kruntimes_names %s}", names_of(o));
    } else if (value) {
        buf_lit(b, is_file(o->arg) ? "_files" : " ");
    }
    buf_byte(b, '\'');
}

static void zsh_option(const struct place *p, const struct opt *o, struct buf *b)
{
    AUTO_BUF struct buf name = { .max = 128 };
    (void)p;
    if (o->letter)
        zsh_spec(o, (char[]){ '-', o->letter, '\0' }, b);
    buf_fmt(&name, "--%s%s", o->type == OPT_FLAG && *(const bool *)o->to ? "no-" : "", o->name);
    zsh_spec(o, name.p, b);
}

static void zsh_place(const struct place *p, struct buf *b)
{
    AUTO_BUF struct buf words = { .max = 1024 };
    buf_fmt(b, "    '%s')\n", p->path);
    if (verbs_of(p)) {
        buf_lit(b, "        verbs=(");
        for (const struct applet *const *v = verbs_of(p); *v; v++) {
            if ((*v)->hidden)
                continue;
            buf_fmt(b, "\n            '%s:", (*v)->name);
            put_quoted((*v)->brief, ":", false, b);
            buf_byte(b, '\'');
        }
        buf_lit(b, ") ;;\n");
        return;
    }
    buf_lit(b, "        args=('(- *)'{-h,--help}'[show what it does]'");
    each_option(p, zsh_option, b);
    if (choice(p->a, &words))
        buf_fmt(b, "\n            ':argument:(%s)'", words.p);
    else if (p->a->names)
        buf_fmt(b, "\n            '*:name:{_kruntimes_names %s}'", p->a->names);
    else if (p->a->args)
        buf_fmt(b, "\n            '*:argument:%s'", is_file(p->a->args) ? "_files" : " ");
    buf_lit(b, ") ;;\n");
}

static void zsh(struct buf *b)
{
    const struct place top = { 0 };
    buf_lit(b, "#compdef kruntimes krt kubectl-kruntimes\n"
               "# zsh completion of kruntimes; generated by: kruntimes completion zsh\n"
               "_kruntimes_names() {\n    compadd -- ${(f)\"$(kruntimes names $1 2>/dev/null)\"}\n}\n"
               "_kruntimes() {\n    local at= i=2\n    local -a verbs args\n"
               "    while (( i < CURRENT )); do\n        case $at/$words[i] in\n");
    each_place(&top, shell_walk, b);
    buf_lit(b, "        *) break ;;\n        esac\n        (( i++ ))\n    done\n    case $at in\n");
    each_place(&top, zsh_place, b);
    buf_lit(b, "    esac\n"
               "    if (( $#verbs )); then\n"
               "        (( i == CURRENT )) && _describe -t commands command verbs\n        return\n    fi\n"
               "    (( i -= 2 ))\n    shift $i words\n    (( CURRENT -= i ))\n"
               "    _arguments -s -S $args\n}\n"
               "if [[ $funcstack[1] == _kruntimes ]]; then\n    _kruntimes \"$@\"\n"
               "else\n    compdef _kruntimes kruntimes krt kubectl-kruntimes\nfi\n");
}

/* ---- fish -------------------------------------------------------------------------------------------------------- */

static void fish_walk(const struct place *p, struct buf *b)
{
    if (!p->a)
        return;
    buf_lit(b, "            case ");
    put_pattern(p, " ", b);
    buf_fmt(b, "\n                set at %s\n", p->path);
}

static void fish_begin(const struct place *p, const char *also, struct buf *b)
{
    buf_fmt(b, "complete -c kruntimes -n '__kruntimes_at \"%s\"%s'", p->path, also);
}

static void fish_describe(const char *text, struct buf *b)
{
    buf_lit(b, " -d '");
    put_quoted(text, "", true, b);
    buf_lit(b, "'\n");
}

static void fish_option(const struct place *p, const struct opt *o, struct buf *b)
{
    fish_begin(p, "", b);
    if (o->letter)
        buf_fmt(b, " -s %c", o->letter);
    buf_fmt(b, " -l %s%s", o->type == OPT_FLAG && *(const bool *)o->to ? "no-" : "", o->name);
    if (o->type == OPT_ENUM) {
        buf_lit(b, " -x -a '");
        put_words(o, b);
        buf_byte(b, '\'');
    } else if (o->type != OPT_FLAG && names_of(o)) {
        buf_fmt(b, " -x -a '(kruntimes names %s 2>/dev/null)'", names_of(o));
    } else if (o->type != OPT_FLAG) {
        buf_lit(b, is_file(o->arg) ? " -r" : " -x");
    }
    fish_describe(o->help, b);
}

static void fish_place(const struct place *p, struct buf *b)
{
    AUTO_BUF struct buf words = { .max = 1024 };
    for (const struct applet *const *v = verbs_of(p); v && *v; v++) {
        if ((*v)->hidden)
            continue;
        fish_begin(p, " here", b);
        buf_fmt(b, " -f -a %s", (*v)->name);
        fish_describe((*v)->brief, b);
    }
    if (choice(p->a, &words)) {
        fish_begin(p, "", b);
        buf_fmt(b, " -f -a '%s'\n", words.p);
    } else if (p->a && p->a->names) {
        fish_begin(p, "", b);
        buf_fmt(b, " -f -a '(kruntimes names %s 2>/dev/null)'\n", p->a->names);
    } else if (p->a && !p->a->verbs && !is_file(p->a->args)) {
        fish_begin(p, "", b);
        buf_lit(b, " -f\n");
    }
    each_option(p, fish_option, b);
    fish_begin(p, "", b);
    buf_lit(b, " -s h -l help");
    fish_describe("show what it does", b);
}

static void fish(struct buf *b)
{
    const struct place top = { 0 };
    buf_lit(b, "# fish completion of kruntimes; generated by: kruntimes completion fish\n"
               "# Succeeds when the words so far name the applet and verb $argv[1]; with \"here\", when nothing follows them.\n"
               "function __kruntimes_at\n"
               "    set -l words (commandline -opc)\n    set -l at ''\n    set -l more 0\n"
               "    for w in $words[2..-1]\n        switch $at/$w\n");
    each_place(&top, fish_walk, b);
    buf_lit(b, "            case '*'\n                set more 1\n                break\n        end\n    end\n"
               "    test \"$at\" = \"$argv[1]\"; or return 1\n"
               "    test \"$argv[2]\" != here -o $more -eq 0\nend\n");
    each_place(&top, fish_place, b);
    buf_lit(b, "complete -c kruntimes -n '__kruntimes_at \"\" here' -l version -d 'what this binary is'\n"
               "complete -c krt -w kruntimes\ncomplete -c kubectl-kruntimes -w kruntimes\n");
}

static int run(struct applet_call *c, struct kr_err *e)
{
    static const struct { const char *name; void (*write)(struct buf *); } shells[] = {
        { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    for (size_t i = 0; i < LEN(shells); i++)
        if (str_is(c->args[0], shells[i].name)) {
            shells[i].write(&b);
            if (b.failed)
                return kr_fail(e, KR_TOO_LARGE, "the script is larger than %d bytes", 1 << 20);
            return applet_print(buf_view(&b), e);
        }
    return kr_fail(e, KR_USAGE, "\"%.*s\" is none of bash, zsh, fish", SFMT(c->args[0]));
}

const struct applet applet_completion = {
    .name = "completion", .brief = "print a completion script for a shell", .group = APPLET_TOOL,
    .args = "bash|zsh|fish", .min_args = 1, .max_args = 1, .main = run,
    .help = "Load it in the shell's start-up file:\n\n"
            "  bash: source <(kruntimes completion bash)\n"
            "  zsh:  source <(kruntimes completion zsh), behind compinit\n"
            "  fish: kruntimes completion fish | source",
    .examples = "completion bash >/etc/bash_completion.d/kruntimes" };
