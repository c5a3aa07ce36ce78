# shellcheck shell=sh
# Stands in for `ip`, `nsenter`, `bridge`, `sysctl` and the IPAM: DIR/PROGRAM, with DIR/real/PROGRAM behind
# it. Counts the calls of all of them together; at the one that DIR/armed names it does what that says,
# at all others it is the real program.
dir=${0%/*} name=${0##*/}
real=$dir/real/$name
read -r at fault <"$dir/armed"

# Takes the next number: the file's name, which only one process can make.
count() {
    set -C
    until printf '%s\n' "$name $*" 2>/dev/null >"$dir/calls/$number"; do number=$((number + 1)); done
    set +C
}

# What was hit, for the test: the command, and what it would have read.
tell() {
    printf '%s\n' "$name $*" >"$dir/calls/fired.$$"
    cat >"$dir/stdin"
    mv "$dir/calls/fired.$$" "$dir/fired"
}

# Is the real program. What nsenter and `ip netns exec` start is no call of its own.
real() {
    case "$name $1 $2" in
        nsenter* | "ip netns exec") PATH=${PATH#*:} exec "$real" "$@" ;;
        *) exec "$real" "$@" ;;
    esac
}

work() {
    (real "$@") <"$dir/stdin"
}

# The plugins that wait for this process, the one that the runtime asked first.
plugins() {
    pid=$PPID above=
    while read -r comm <"/proc/$pid/comm"; do
        case $comm in
            vxlan | route-table | host-local) above="$pid $above" ;;
            *) break ;;
        esac
        read -r _ _ _ pid _ <"/proc/$pid/stat"
    done
}

kill_plugins() {
    plugins
    # shellcheck disable=SC2086 # they are several
    kill -KILL $above
}

# Sends a signal to the plugin that the runtime asked.
signal_plugin() {
    plugins
    kill "$1" "${above%% *}"
}

refuse() {
    echo "RTNETLINK answers: Cannot allocate memory" >&2
    exit 1
}

# Until a signal comes; far longer than any patience.
hang() {
    echo $$ >"$dir/hung"
    exec sleep 600
}

# A line of a batch fails: those before it ran, those behind it only where the batch goes on.
fail_line() {
    case " $* " in
        *" -force "*) sed "${hit}s/.*//" "$dir/stdin" | real "$@" ;;
        *) sed "$hit,\$d" "$dir/stdin" | real "$@" || exit ;;
    esac
    printf 'RTNETLINK answers: Cannot allocate memory\nCommand failed -:%s\n' "$hit" >&2
    exit 1
}

number=1
if [ "$fault" = line ]; then
    case " $* " in
        *" -batch "*) ;;
        *) real "$@" ;;
    esac
    lines=$dir/calls/lines.$$ hit='' line=0 last=''
    cat >"$lines"
    while read -r words; do
        line=$((line + 1))
        # Many addresses are asked for in a row: one of those lines stands for all.
        case $last--$words in "route get fibmatch "*"--route get fibmatch "*) continue ;; esac
        last=$words
        count "$words"
        [ "$number" -ne "$at" ] || hit=$line
    done <"$lines"
    [ -n "$hit" ] || real "$@" <"$lines"
    tell "$@" <"$lines"
    fail_line "$@"
fi
count "$@"
case $fault in
    broken) [ "$number" -ge "$at" ] || real "$@" ;;
    *) [ "$number" -eq "$at" ] || real "$@" ;;
esac
tell "$@"
case $fault in
    refuse | broken) refuse ;;
    refuse-afterwards)
        work "$@"
        refuse
        ;;
    garbage)
        # An IPAM that says it has freed an address and has not cannot be found out.
        case $name-$CNI_COMMAND in
            *-local-ADD | *-table-ADD) ;;
            *-local-* | *-table-*) work "$@" >/dev/null ;;
        esac
        printf '\001}Segmentation fault{\n'
        ;;
    half)
        work "$@" >/dev/null
        printf '[{"ifname":"e'
        ;;
    hang) hang ;;
    hang-afterwards)
        work "$@" >/dev/null
        hang
        ;;
    kill) kill_plugins ;;
    orphan)
        signal_plugin -KILL
        real "$@" <"$dir/stdin"
        ;;
    kill-afterwards)
        work "$@" >/dev/null
        kill_plugins
        ;;
    term)
        signal_plugin -TERM
        real "$@" <"$dir/stdin"
        ;;
    term-afterwards)
        work "$@"
        code=$?
        signal_plugin -TERM
        exit $code
        ;;
esac
