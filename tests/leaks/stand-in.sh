# shellcheck shell=sh
# Stands in for `ip`, `nsenter`, `bridge`, `sysctl`, `nft` and the IPAM: DIR/PROGRAM, with DIR/real/PROGRAM behind
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

# The lines of a batch up to the one whose answer tells that they are carried out; more may come only then.
up_to_a_pause() {
    while read -r words; do
        printf '%s\n' "$words"
        case $words in
            'link show dev lo' | 'addr show dev lo') break ;;
        esac
    done
}

# What was hit, for the test: the command, and what it would have read, as far as it is told before it answers.
tell() {
    printf '%s\n' "$name $*" >"$dir/calls/fired.$$"
    case " $* " in
        *" -batch "*) up_to_a_pause ;;
        *) cat ;;
    esac >"$dir/stdin"
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
    code=0
    cat "$dir/stdin" - | tee "$dir/whole" | real "$@" || code=$?
    mv "$dir/whole" "$dir/stdin"
    return $code
}

# The same up to where it would have to answer to be told more.
begin() {
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

# Says of the line that has come that it failed: at once, since what comes next may wait for that.
fail_line() {
    echo "$line" >"$lines.hit"
    printf 'RTNETLINK answers: Cannot allocate memory\nCommand failed -:%s\n' "$line" >&2
}

# Hands the lines of a batch on as they come, but for the one that fails: those before it run, those behind it only
# where the batch goes on.
hand_on() {
    line=0 last=''
    while read -r words; do
        line=$((line + 1))
        again=no
        ! grep -qxF "$words" "$lines" || again=yes
        printf '%s\n' "$words" >>"$lines"
        # Many addresses are asked for in a row, and the wire several times: one of those lines stands for all.
        case $last--$words--$again in
            "route get fibmatch "*"--route get fibmatch "* | *--yes) ;;
            *)
                count "$words"
                [ "$number" -ne "$at" ] || fail_line
                ;;
        esac
        last=$words
        if [ -e "$lines.hit" ] && [ "$(cat "$lines.hit")" = $line ]; then
            case " $* " in
                *" -force "*) words='' ;;
                *) return ;;
            esac
        fi
        printf '%s\n' "$words"
    done
}

number=1
if [ "$fault" = line ]; then
    case " $* " in
        *" -batch "*) ;;
        *) real "$@" ;;
    esac
    lines=$dir/calls/lines.$$ code=0
    : >"$lines"
    hand_on "$@" | real "$@" || code=$?
    [ -e "$lines.hit" ] || exit $code
    tell "$@" <"$lines"
    cp "$lines" "$dir/stdin"
    exit 1
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
            *-local-* | *-table-*) begin "$@" >/dev/null ;;
        esac
        printf '\001}Segmentation fault{\n'
        ;;
    half)
        begin "$@" >/dev/null
        printf '[{"ifname":"e'
        ;;
    hang) hang ;;
    hang-afterwards)
        begin "$@" >/dev/null
        hang
        ;;
    kill) kill_plugins ;;
    orphan)
        signal_plugin -KILL
        real "$@" <"$dir/stdin"
        ;;
    kill-afterwards)
        begin "$@" >/dev/null
        kill_plugins
        ;;
    term)
        # The real program is this process's child: it must not outlive it, as it does not where it is asked itself.
        trap 'exit 143' TERM
        signal_plugin -TERM
        work "$@"
        ;;
    term-afterwards)
        work "$@"
        code=$?
        signal_plugin -TERM
        exit $code
        ;;
esac
