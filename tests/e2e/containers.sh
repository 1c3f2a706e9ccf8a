# Real containers for the end-to-end tests, made of this machine's own programs (no images, no
# daemon), run by runc. To be sourced; needs root; BUILD is the build directory.
#
#   box_make NAME [-p PROGRAM]... COMMAND [ARGUMENT]...   sets BOX_ROOT, its root file system
#   box_start NAME | box_exec NAME COMMAND... | box_stop NAME | box_remove NAME
#   box_pid NAME                                          its first process, as the host sees it
#   box_in_net NAME COMMAND...                            a command of the host in its network
# Everything made is removed when the script ends, however it ends. Names get this process's number, so
# that two tests do not meet.

BUILD=${BUILD:-build}
BOX_DIR=$(mktemp -d /var/tmp/vigia-test-XXXXXX)
BOX_SUFFIX=$$
declare -A BOX_MADE=()

box_skip() { # prints why real containers cannot be had here, or fails
    [ "$(id -u)" = 0 ] || { echo 'not root'; return 0; }
    command -v runc >/dev/null || { echo 'runc is not installed'; return 0; }
    return 1
}

box_name() { echo "vigia-test-$1-$BOX_SUFFIX"; }

box_make() {
    local name=$1
    shift
    BOX_ROOT=$("$BUILD/tests/make_box" "$BOX_DIR" "$(box_name "$name")" "$@") || return
    BOX_MADE[$name]=1
}

box_start() {
    local name
    name=$(box_name "$1")
    runc run --detach --bundle "$BOX_DIR/$name" "$name" </dev/null >>"$BOX_DIR/$name.log" 2>&1 ||
        { cat "$BOX_DIR/$name.log" >&2; return 1; }
}

box_exec() {
    local name
    name=$(box_name "$1")
    shift
    runc exec "$name" "$@"
}

box_pid() {
    runc state "$(box_name "$1")" | sed -n 's/.*"pid": \([0-9]*\).*/\1/p'
}

box_in_net() {
    local pid
    pid=$(box_pid "$1")
    shift
    nsenter -t "$pid" -n "$@"
}

box_stop() {
    local name
    name=$(box_name "$1")
    runc kill "$name" KILL 2>/dev/null || : # it may have ended
    runc delete --force "$name"
}

box_remove() {
    box_stop "$1" 2>/dev/null || : # the others are to be removed as well
    rm -rf "${BOX_DIR:?}/$(box_name "$1")"
    unset "BOX_MADE[$1]"
}

box_cleanup() {
    local name
    for name in "${!BOX_MADE[@]}"; do box_remove "$name"; done
    rm -rf "${BOX_DIR:?}"
}
trap box_cleanup EXIT
trap 'exit 130' INT TERM
