# bash completion for vigia: commands, flags and their values, workloads and alerts.
#
# Commands and flags come from `vigia --help`, so they are those of the binary on this machine.
# Names of workloads come from containers, so they are hostile until quoted: they never pass through
# `compgen -W`, which would expand $(...) in them.

_vigia_help() # command [argument]: its help, one option a line
{
    ARGP_HELP_FMT=rmargin=5000,no-dup-args-note "${_vigia_binary[@]}" "$@" --help 2>/dev/null
}

_vigia_offer() # prefix: offers those lines of standard input that begin with it, quoted
{
    local line
    while IFS= read -r line; do
        [[ -n $line && $line == "$1"* ]] && COMPREPLY+=("$(printf %q "$line")")
    done
}

_vigia_member() # name, command and its flags: that member of each object it prints
{
    local name=$1
    shift
    "${_vigia_binary[@]}" "$@" "${_vigia_data[@]}" --json 2>/dev/null |
        sed -n "s/.*\"$name\":\"\([^\"\\\\]*\)\".*/\1/p" | sort -u
}

_vigia_commands()
{
    _vigia_help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

_vigia_flags()
{
    _vigia_help "$@" | sed -n 's/^ *\(-[a-zA-Z?], \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p'
}

_vigia_values() # command flag prefix: values of a flag that has an argument
{
    case $2 in
    --state | -s) _vigia_offer "$3" < <(printf '%s\n' new acknowledged closed) ;;
    --verdict) _vigia_offer "$3" < <(printf '%s\n' false-alarm expected incident) ;;
    --role | -r) _vigia_offer "$3" < <(printf '%s\n' viewer analyst admin) ;;
    --workload | -w | --retire) _vigia_offer "$3" < <(_vigia_member workload profiles) ;;
    --id | --reopen) _vigia_offer "$3" < <(_vigia_member id alerts) ;;
    --acknowledge) _vigia_offer "$3" < <(_vigia_member id alerts --state new) ;;
    --close)
        _vigia_offer "$3" < <(_vigia_member id alerts --state new
            _vigia_member id alerts --state acknowledged)
        ;;
    --data | -d | --attach) mapfile -t COMPREPLY < <(compgen -d -- "$3") ;;
    *) # any other flag that takes something: a file is the best guess
        _vigia_help "$1" | grep -q -e "^ *\(-.,\)\{0,1\} *$2=" || return 1
        mapfile -t COMPREPLY < <(compgen -f -- "$3")
        ;;
    esac
}

# What the usage line lets one choose (check|show|schema), and names that the help explains.
_vigia_words()
{
    _vigia_help "$1" | sed -n 's/^Usage: .* \([a-z][a-z-]*\(|[a-z-]*\)\{1,\}\).*/\1/p' | tr '|' '\n'
    [[ $1 == eval ]] && _vigia_help "$1" | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

_vigia()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
    local _vigia_binary=("${COMP_WORDS[0]}") _vigia_data=() command=${COMP_WORDS[1]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _vigia_offer "$current" < <(_vigia_commands; printf '%s\n' --help --version)
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do # "--data=X" comes as three words
        if [[ ${COMP_WORDS[i]} == --data || ${COMP_WORDS[i]} == -d ]]; then
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i + 1 < COMP_CWORD)) && _vigia_data=(--data "${COMP_WORDS[i + 1]}")
        fi
    done
    if [[ $current == = ]]; then
        current= previous=${COMP_WORDS[COMP_CWORD - 1]}
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ $previous == -* ]] && _vigia_values "$command" "$previous" "$current"; then
        return
    fi
    if [[ $current == -* ]]; then
        local more=()
        [[ $command == eval && COMP_CWORD -gt 2 ]] && more=("${COMP_WORDS[2]}")
        _vigia_offer "$current" < <(_vigia_flags "$command" "${more[@]}")
        return
    fi
    ((COMP_CWORD == 2)) && _vigia_offer "$current" < <(_vigia_words "$command")
    ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -o filenames -F _vigia vigia
