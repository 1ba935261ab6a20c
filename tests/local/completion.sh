#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# completion.sh: what each shell proposes for a line, with the script that the binary prints for it. bash and fish are
# asked themselves; of zsh its own functions are replaced by ones that print what they are told, and then a zsh on a
# terminal of its own, with all its own functions, completes lines.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
program=${KR_BINARY:-$PWD/build/kruntimes}
[ -x "$program" ] || program=$PWD/build/dev/kruntimes
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0 skipped=0
mkdir "$dir/empty" && cd "$dir/empty" || exit 1
touch a-file

# same WHAT GOT WANT: both as sets of words
same() {
    if [ "$(sort <<<"$2" | xargs)" = "$(sort <<<"$3" | xargs)" ]; then
        passed=$((passed + 1))
    else
        printf '%s:\n  got  %s\n  want %s\n' "$1" "$(xargs <<<"$2")" "$(xargs <<<"$3")"
        failed=$((failed + 1))
    fi
}
lines() { tr ' ' '\n'; }

for shell in bash zsh fish; do
    "$program" completion $shell >"$dir/$shell" || failed=$((failed + 1))
    if ! command -v $shell >/dev/null; then
        echo "skip $shell: not installed"
        skipped=$((skipped + 1))
    elif $shell -n "$dir/$shell"; then
        passed=$((passed + 1))
    else
        echo "$shell does not take the script"
        failed=$((failed + 1))
    fi
done

# propose WORD…: what bash has for the last word
propose() {
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kruntimes; printf "%s\n" "${COMPREPLY[@]}"' \
        - "$dir/bash" kruntimes "$@"
}
levels='error warn info debug'
formats='text json'
verbs=$("$program" crd-gen --help | sed -n 's/^usage: .*\[\(.*\)\]$/\1/p' | tr '|' '\n')
same 'bash: applets'          "$(propose sched)" scheduler
same 'bash: hidden applet'    "$(propose local-s)" ''
same 'bash: a choice'         "$(propose crd-gen '')" "$verbs"
same 'bash: options'          "$(propose limits --)" --help
same 'bash: what is on'       "$(propose scheduler --no-)" --no-leader-elect
same 'bash: words'            "$(propose scheduler --log-level '')" "$(lines <<<"$levels")"
same 'bash: words behind ='   "$(propose scheduler --log-format =)" "$(lines <<<"$formats")"
same 'bash: begun behind ='   "$(propose scheduler --log-format = j)" json
same 'bash: a value'          "$(propose scheduler --identity --)" ''
same 'bash: behind --'        "$(propose crd-gen -- r)" ''
same 'bash: verb of nothing'  "$(propose nothing run '')" ''

if command -v fish >/dev/null; then
    ask() { HOME=$dir XDG_CONFIG_HOME=$dir fish --no-config -c "source $dir/fish; complete -C '$1'" | cut -f1; }
    same 'fish: applets'      "$(ask 'kruntimes schedu')" scheduler
    same 'fish: hidden'       "$(ask 'kruntimes local-s')" ''
    same 'fish: a choice'     "$(ask 'kruntimes crd-gen ')" "$verbs"
    same 'fish: options'      "$(ask 'kruntimes limits --')" --help
    same 'fish: words'        "$(ask 'kruntimes scheduler --log-format ')" "$(lines <<<"$formats")"
    same 'fish: a file'       "$(ask 'kruntimes scheduler --kubeconfig a')" a-file
    same 'fish: not a file'   "$(ask 'kruntimes scheduler --identity a')" ''
    same 'fish: other name'   "$(ask 'krt schedu')" scheduler
    same 'fish: no third'     "$(ask 'kruntimes nothing sched')" ''
fi

if command -v zsh >/dev/null; then
    # told WORD…: what the script hands to zsh, and the line it leaves
    told() {
        zsh -f -c 'compdef() { : }
            _describe() { print -l -- ${verbs%%:*} }
            _arguments() { print -l -- $CURRENT $words[1] ${(M)@:#*log-level*} }
            source "$1"; shift; words=("$@"); CURRENT=$#; _kruntimes' - "$dir/zsh" kruntimes "$@"
    }
    same 'zsh: applets'       "$(told '' | grep -x -e scheduler -e local-supervisor)" scheduler
    same 'zsh: options'       "$(told scheduler -- | head -2)" "2 scheduler"
    same 'zsh: words'         "$(told scheduler --log-l | tail -1 | sed 's/.*:LEVEL:(\(.*\))/\1/' | lines)" "$(lines <<<"$levels")"
    same 'zsh: no third'      "$(told nothing '')" ''

    # live LINE: the line as a zsh that somebody types into leaves it when all that fits is put in its place
    cat >"$dir/ask" <<'END'
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1= PS2= RPS1=; stty -echo; autoload -Uz compinit; compinit -D -u; source '$1
zpty -w z 'everything() { _main_complete; compstate[insert]=all compstate[list]= }; zle -C everything complete-word everything; bindkey "^A" everything'
zpty -w z 'tell() { print -r -- "<<$BUFFER>>"; BUFFER= }; zle -N tell; bindkey "^B" tell; print rea"dy"'
while zpty -r z line; do [[ $line == *ready* ]] && break; done
zpty -w -n z "$2"$'\x01\x02'
while zpty -r z line; do [[ $line == *'<<'*'>>'* ]] && break; done
print -r -- ${${line#*'<<'}%'>>'*}
zpty -d z
END
    live() { timeout 120 zsh -f "$dir/ask" "$dir/zsh" "$1" | lines; }
    same 'zsh, live: a verb'  "$(live 'kruntimes run expl')" "$(lines <<<'kruntimes run explain')"
    same 'zsh, live: words'   "$(live 'kruntimes scheduler --log-format ')" "$(lines <<<"kruntimes scheduler --log-format $formats")"
fi

# names, whatever a server calls an object
mkdir "$dir/fake" && cat >"$dir/fake/kruntimes" <<'END' && chmod +x "$dir/fake/kruntimes"
#!/bin/sh
echo '$(touch${IFS}executed)'
echo '*'
echo good
END
same 'bash: names are not expanded' "$(PATH=$dir/fake:$PATH propose run get '')" "$(lines <<<'$(touch${IFS}executed) * good')"
same 'bash: nor executed'           "$(ls)" a-file
same 'names: what is no name is left out' "$(PYTHONPATH=$top/tests/kit python3 - "$program" "$dir" <<'END'
import subprocess, sys
from fakeapi import *
with Fake(sys.argv[2], {'GET /': (200, {'items': [{'metadata': {'name': n}} for n in ('good', '$(touch${IFS}executed)', 'a b', '\033[2J', '', 'also.good')]})}) as fake:
    print(subprocess.run([sys.argv[1], 'names', 'runs', '--kubeconfig', fake.kubeconfig], capture_output=True, text=True).stdout)
END
)" "$(lines <<<'good also.good')"

# names, of an instance
export KRUNTIMES_STATE_DIR=$dir/state HOME=$dir
unset KUBECONFIG KUBERNETES_SERVICE_HOST
mkdir "$dir/bin" && ln -s "$program" "$dir/bin/kruntimes" && ln -s "$program" "$dir/bin/krt" && PATH=$dir/bin:$PATH
same 'bash: no server, no names'  "$(propose run get '' 2>&1)" ''
if kruntimes local up --port 0 >/dev/null; then
    kruntimes run submit --runtime bash --name one -- true >/dev/null 2>&1
    kruntimes run submit --runtime bash --name other -- true >/dev/null 2>&1
    same 'bash: names of Runs'        "$(propose run get '')" 'one other'
    same 'bash: by their beginning'   "$(propose run logs ot)" other
    same 'bash: of another namespace' "$(propose run get -n kube-system '')" ''
    same 'bash: -n=, and back'        "$(propose run get --namespace = default o)" 'one other'
    same 'bash: names of Runtimes'    "$(propose runtime describe '')" bash
    same 'bash: a value is a Runtime' "$(propose run submit --runtime '')" bash
    same 'bash: namespaces'           "$(propose run list -n kube-s)" kube-system
    same 'bash: options stay options' "$(propose run explain --wat)" --watch
    if command -v fish >/dev/null; then
        same 'fish: names of Runs'    "$(ask 'kruntimes run get o')" 'one other'
        same 'fish: a value'          "$(ask 'kruntimes run submit --runtime b')" bash
    fi
    if command -v zsh >/dev/null; then
        same 'zsh, live: names of Runs' "$(live 'kruntimes run get o')" "$(lines <<<'kruntimes run get one other')"
        same 'zsh, live: other name'    "$(live 'krt run logs ot')" "$(lines <<<'krt run logs other')"
        same 'zsh, live: a value'       "$(live 'kruntimes run submit --runtime ')" "$(lines <<<'kruntimes run submit --runtime bash')"
        same 'zsh, live: namespaces'    "$(live 'kruntimes run list -n kube-s')" "$(lines <<<'kruntimes run list -n kube-system')"
    fi
    kruntimes local down >/dev/null
else
    echo 'the instance did not come up'
    failed=$((failed + 1))
fi

summary="$passed passed, $failed failed"
[ $skipped -gt 0 ] && summary+=", $skipped skipped"
echo "$summary"
[ $failed -eq 0 ]
