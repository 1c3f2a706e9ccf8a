# bash completion for vigia: commands, flags and their values, workloads and alerts.
#
# Commands and flags come from `vigia --help`, so they are those of the binary on this machine.
# Names of workloads come from containers, so they are hostile until quoted: they never pass through
# `compgen -W`, which would expand $(...) in them, and what is quoted here is never said to be a file
# (`-o filenames`): readline would quote it once more, and so undo it.

_vigia_help() # command [argument]: its help, one option a line
{
    ARGP_HELP_FMT=rmargin=5000,no-dup-args-note "${_vigia_words[0]}" "$@" --help 2>/dev/null
}

# Offers those lines of standard input that, quoted, begin with what is typed; without the part of it
# that readline keeps, since a word ends for it at each ":" and "=".
_vigia_offer()
{
    local line
    while IFS= read -r line; do
        [[ -n $line ]] && printf -v line %q "$line"
        [[ -n $line && $line == "$_vigia_typed"* ]] && COMPREPLY+=("${line#"$_vigia_kept"}")
    done
}

_vigia_files() # -d: directories, -f: files; readline quotes these
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "${_vigia_typed#"$_vigia_kept"}")
}

_vigia_member() # name, command and its flags: that member of each object it prints
{
    local name=$1
    shift
    "${_vigia_words[0]}" "$@" "${_vigia_data[@]}" --json 2>/dev/null |
        sed -n "s/.*\"$name\":\"\(\([^\"\\\\]\|\\\\[\"\\\\]\)*\)\".*/\1/; T; s/\\\\\(.\)/\1/g; p" | sort -u
}

_vigia_commands()
{
    _vigia_help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

_vigia_flags()
{
    _vigia_help "$@" | sed -n 's/^ *\(-[a-zA-Z?], \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p'
}

_vigia_values() # command flag: values of a flag that has an argument
{
    case $2 in
    --state | -s) _vigia_offer < <(printf '%s\n' new acknowledged closed) ;;
    --verdict) _vigia_offer < <(printf '%s\n' false-alarm expected incident) ;;
    --role | -r) _vigia_offer < <(printf '%s\n' viewer analyst admin) ;;
    --workload | -w | --retire) _vigia_offer < <(_vigia_member workload profiles) ;;
    --id | --reopen) _vigia_offer < <(_vigia_member id alerts) ;;
    --acknowledge) _vigia_offer < <(_vigia_member id alerts --state new) ;;
    --close)
        _vigia_offer < <(_vigia_member id alerts --state new
            _vigia_member id alerts --state acknowledged)
        ;;
    --data | -d | --attach) _vigia_files -d ;;
    *) # any other flag that takes something: a file is the best guess
        _vigia_help "$1" | grep -q -e "^ *\(-.,\)\{0,1\} *$2=" || return 1
        _vigia_files -f
        ;;
    esac
}

# What the usage line lets one choose (check|show|schema), and names that the help explains.
_vigia_choices()
{
    _vigia_help "$1" | sed -n 's/^Usage: .* \([a-z][a-z-]*\(|[a-z-]*\)\{1,\}\).*/\1/p' | tr '|' '\n'
    [[ $1 == eval ]] && _vigia_help "$1" | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

# Bash splits words at ":" and "=" too. Here they are put together again: what is typed of the last
# one stays as it is; those before it are without their quotes, which xargs takes away and runs
# nothing.
_vigia()
{
    local line=${COMP_LINE:0:COMP_POINT} i=$COMP_CWORD flag
    local _vigia_typed=${COMP_WORDS[COMP_CWORD]} _vigia_kept _vigia_words=() _vigia_data=()
    COMPREPLY=()
    while ((i > 1)) && [[ $line == *"${COMP_WORDS[i - 1]}$_vigia_typed" ]]; do
        _vigia_typed=${COMP_WORDS[--i]}$_vigia_typed
    done
    mapfile -t -d '' _vigia_words < <(xargs printf '%s\0' <<<"${line%"$_vigia_typed"}" 2>/dev/null)
    ((${#_vigia_words[@]})) || return
    flag=${_vigia_words[-1]}
    if [[ $_vigia_typed == --*=* ]]; then
        flag=${_vigia_typed%%=*} _vigia_typed=${_vigia_typed#*=}
    fi
    _vigia_kept=${_vigia_typed%"$2"}
    for ((i = 2; i < ${#_vigia_words[@]}; i++)); do
        case ${_vigia_words[i]} in
        --data=*) _vigia_data=("${_vigia_words[i]}") ;;
        --data | -d) _vigia_data=(--data "${_vigia_words[i + 1]}") ;;
        esac
    done
    local command=${_vigia_words[1]}
    if [[ -z $command ]]; then
        _vigia_offer < <(_vigia_commands; printf '%s\n' --help --version)
    elif [[ $flag == -* ]] && _vigia_values "$command" "$flag"; then
        return
    elif [[ $_vigia_typed == -* ]]; then
        local more=()
        [[ $command == eval ]] && more=("${_vigia_words[@]:2:1}")
        _vigia_offer < <(_vigia_flags "$command" "${more[@]}")
    else
        ((${#_vigia_words[@]} == 2)) && _vigia_offer < <(_vigia_choices "$command")
        ((${#COMPREPLY[@]})) || _vigia_files -f
    fi
}

complete -F _vigia vigia
