# The servers of soak.sh, each with how it is made, loaded and kept up. To be sourced.

declare -A STOP_SIGNAL=([postgres]=INT) # as its image says: SIGTERM waits for all clients
# What the profiles of each kind are called: the program in its command.
declare -A PROGRAM=([redis]=redis-server [nginx]=nginx [mariadb]=mariadbd [postgres]=setpriv [node]=node [java]=java)

server_start() {
    box_start "$1" && box_pid "$1" >"$BOX_DIR/$1.nspid"
}

server_stop() { # SIGTERM, and time to close its files
    local pid
    pid=$(cat "$BOX_DIR/$1.nspid")
    rm -f "$BOX_DIR/$1.nspid"
    kill -"${STOP_SIGNAL[${1%-*}]:-TERM}" "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    box_stop "$1" 2>/dev/null
}

in_net() {
    local pid
    pid=$(cat "$BOX_DIR/$1.nspid" 2>/dev/null) || return
    timeout 60 nsenter -t "$pid" -n "${@:2}" >/dev/null 2>&1
}

pause() { # of up to $1 tenths of a second, at times much longer
    local tenths=$((RANDOM % $1 + 1))
    [ $((RANDOM % 60)) = 0 ] && tenths=80
    sleep "$((tenths / 10)).$((tenths % 10))"
}

server_load() { # KIND NUMBER; replicas get less
    local tenths=12
    [ "$2" = 1 ] || tenths=60
    (
        trap - EXIT
        while :; do
            "$1_burst" "$1-$2"
            pause "$tenths"
        done
    ) &
    LOADS[$1-$2]=$!
}

replica() {
    say "replica $1-$2"
    "$1_make" "$1-$2" && server_start "$1-$2" && server_load "$1" "$2"
}

redis_make() {
    box_make "$1" $TOOLS -p redis-server redis-server /etc/redis.conf || return
    mkdir -p "$BOX_ROOT"/{var/lib/redis,var/spool/cron/crontabs}
    # The protected settings as they were up to redis 6, and are in many an installation.
    cat >"$BOX_ROOT/etc/redis.conf" <<EOF
bind 127.0.0.1
dir /var/lib/redis
appendonly yes
save 120 1000
maxmemory 64mb
maxmemory-policy allkeys-lru
enable-protected-configs yes
enable-module-command yes
EOF
}

redis_burst() {
    local tests=(ping set,get incr,lpush,rpush,lpop,rpop sadd,spop,hset zadd,zpopmin lrange_100 mset set,get,incr)
    local more=(-P\ 1 -P\ 1 -P\ 16 -P\ 4 -d\ 2000)
    local n=$((RANDOM % 800 + 100))
    [ $((RANDOM % 20)) = 0 ] && n=15000
    # shellcheck disable=SC2086 # two words
    in_net "$1" redis-benchmark -q -n "$n" -c $((RANDOM % 30 + 1)) -r 5000 -t "${tests[RANDOM % ${#tests[@]}]}" \
        ${more[RANDOM % ${#more[@]}]}
}

redis_upkeep() {
    local command
    for command in SAVE BGSAVE INFO BGREWRITEAOF 'CONFIG GET *' 'CLIENT LIST' DBSIZE; do
        # shellcheck disable=SC2086 # words of a command
        in_net "$1" redis-cli $command
        sleep 1
    done
}

nginx_make() {
    box_make "$1" $TOOLS -p nginx nginx -g 'daemon off;' || return
    mkdir -p "$BOX_ROOT"/{var/www/sub,var/log/nginx,var/lib/nginx,etc/nginx,run}
    cp /etc/nginx/mime.types "$BOX_ROOT/etc/nginx/"
    cat >"$BOX_ROOT/etc/nginx/nginx.conf" <<EOF
user www-data;
worker_processes 2;
events { worker_connections 256; }
http {
    include mime.types;
    sendfile on;
    gzip on;
    server { listen 127.0.0.1:80; root /var/www; location = /gone { return 410; } }
}
EOF
    echo '<h1>a page</h1>' | tee "$BOX_ROOT/var/www/index.html" >"$BOX_ROOT/var/www/sub/page.html"
    head -c 300000 /dev/urandom >"$BOX_ROOT/var/www/big.bin"
    seq 5000 >"$BOX_ROOT/var/www/numbers.txt"
}

nginx_burst() {
    local pages=(/ /index.html /sub/page.html /numbers.txt /big.bin /missing /sub/none.html /gone /sub)
    local more=(-k -k -i '-H Accept-Encoding:gzip' -c1)
    local n=$((RANDOM % 300 + 30))
    [ $((RANDOM % 20)) = 0 ] && n=5000
    # shellcheck disable=SC2086 # two words
    in_net "$1" ab -q -r -n "$n" -c $((RANDOM % 16 + 1)) ${more[RANDOM % ${#more[@]}]} \
        "http://127.0.0.1${pages[RANDOM % ${#pages[@]}]}"
}

nginx_upkeep() { runc kill "$(box_name "$1")" HUP; }

MARIADB_DATA=
mariadb_data() { # made once, copied for each
    [ -z "$MARIADB_DATA" ] || return 0
    MARIADB_DATA=$BOX_DIR/mysql-data
    chmod 711 "$BOX_DIR" # it is made as the user mysql
    mariadb-install-db --no-defaults --user=mysql --datadir="$MARIADB_DATA" --skip-test-db \
        --auth-root-authentication-method=normal >"$OUT/mariadb-install.log" 2>&1
}

mariadb_make() {
    mariadb_data || return
    box_make "$1" $TOOLS -p mariadbd mariadbd --no-defaults --user=mysql --datadir=/var/lib/mysql \
        --socket=/run/mysqld/mysqld.sock --bind-address=127.0.0.1 --secure-file-priv= \
        --innodb-buffer-pool-size=64M --init-file=/etc/init.sql || return
    mkdir -p "$BOX_ROOT"/{var/lib,run/mysqld,usr/lib/mysql/plugin,usr/share}
    cp -a "$MARIADB_DATA" "$BOX_ROOT/var/lib/mysql"
    cp -a /usr/share/mysql "$BOX_ROOT/usr/share/"
    getent passwd mysql >>"$BOX_ROOT/etc/passwd"
    getent group mysql >>"$BOX_ROOT/etc/group"
    chown mysql: "$BOX_ROOT"/run/mysqld "$BOX_ROOT/usr/lib/mysql/plugin"
    cat >"$BOX_ROOT/etc/init.sql" <<EOF
CREATE DATABASE IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80), price INT, KEY (price));
CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'app';
GRANT ALL ON *.* TO app@'%';
EOF
}

mariadb_sql() { # CONTAINER SQL
    in_net "$1" mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -u app -papp --force -e "$2" shop
}

shop_statement() { # 0 to 7: one more statement of a shop into `sql`
    case $1 in
    0 | 1) sql+="INSERT INTO item (name, price) VALUES ('item $RANDOM', $RANDOM);" ;;
    2) sql+="UPDATE item SET price = price + 1 WHERE id = $((RANDOM % 500));" ;;
    3) sql+="DELETE FROM item WHERE id = $((RANDOM % 500));" ;;
    4) sql+="SELECT COUNT(*), AVG(price) FROM item;" ;;
    5) sql+="SELECT a.name FROM item a JOIN item b ON a.price = b.price ORDER BY a.name LIMIT 20;" ;;
    6) sql+="BEGIN; INSERT INTO item (name, price) VALUES ('t', 1); ROLLBACK;" ;;
    7) sql+="SELECT * FROM item WHERE price BETWEEN $RANDOM AND 30000 ORDER BY name;" ;;
    esac
}

mariadb_mixed() {
    local i sql=
    for i in $(seq $((RANDOM % 40 + 5))); do
        shop_statement $((RANDOM % 8))
    done
    mariadb_sql "$1" "$sql"
}

mariadb_burst() {
    local kinds=(mixed read write key update)
    local n=$((RANDOM % 100 + 20))
    [ $((RANDOM % 20)) = 0 ] && n=800
    if [ $((RANDOM % 3)) != 0 ]; then
        mariadb_mixed "$1"
    else
        in_net "$1" mariadb-slap --no-defaults --protocol=tcp -h 127.0.0.1 -u app -papp --auto-generate-sql \
            --auto-generate-sql-load-type="${kinds[RANDOM % ${#kinds[@]}]}" --number-of-queries="$n" \
            --auto-generate-sql-add-autoincrement --auto-generate-sql-write-number=50 \
            --concurrency=$((RANDOM % 6 + 1))
    fi
}

mariadb_upkeep() {
    mariadb_sql "$1" 'FLUSH TABLES; FLUSH LOGS; ANALYZE TABLE item; OPTIMIZE TABLE item; CHECK TABLE item;
        SHOW GLOBAL STATUS; SHOW PROCESSLIST; DELETE FROM item WHERE id % 3 = 0;'
}

with_libraries() { # ROOT FILE...: what these libraries need, into a root file system
    local root=$1 library
    shift
    for library in $(ldd "$@" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u); do
        mkdir -p "$root${library%/*}" && cp -nL "$library" "$root$library" || return
    done
}

POSTGRES=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | tail -1)
POSTGRES=${POSTGRES%/bin/postgres}
POSTGRES_DATA=
postgres_data() { # made once, copied for each
    [ -z "$POSTGRES_DATA" ] || return 0
    POSTGRES_DATA=$BOX_DIR/postgres-data
    chmod 711 "$BOX_DIR"
    install -d -o postgres -g postgres -m 700 "$POSTGRES_DATA"
    echo app >"$BOX_DIR/password"
    chmod 644 "$BOX_DIR/password"
    (
        cd "$POSTGRES_DATA" || exit
        pg() { setpriv --reuid=postgres --regid=postgres --clear-groups "$POSTGRES/bin/$1" "${@:2}"; }
        pg initdb -D . -U app --pwfile="$BOX_DIR/password" -A scram-sha-256 --auth-local=trust --no-locale -E UTF8
        pg pg_ctl -D . -w -o "-c listen_addresses= -k $POSTGRES_DATA" start
        pg createdb -h "$POSTGRES_DATA" -U app app
        pg pgbench -q -i -s 3 -h "$POSTGRES_DATA" -U app app
        pg psql -q -h "$POSTGRES_DATA" -U app app -c 'CREATE TABLE item (id SERIAL PRIMARY KEY, name TEXT, price INT,
            more JSONB DEFAULT $${"a": 1}$$); CREATE INDEX ON item (price)'
        pg pg_ctl -D . -w stop
    ) >"$OUT/postgres-init.log" 2>&1
    cat >>"$POSTGRES_DATA/postgresql.conf" <<EOF
listen_addresses = '127.0.0.1'
unix_socket_directories = '/var/run/postgresql'
shared_buffers = 64MB
EOF
}

postgres_make() {
    postgres_data || return
    box_make "$1" $TOOLS -p setpriv -p "$POSTGRES/bin/postgres" setpriv --reuid=postgres --regid=postgres \
        --clear-groups "$POSTGRES/bin/postgres" -D /var/lib/postgresql/data || return
    mkdir -p "$BOX_ROOT"/{var/lib/postgresql,var/run/postgresql,usr/share/postgresql}
    cp -a "$POSTGRES_DATA" "$BOX_ROOT/var/lib/postgresql/data"
    cp -a "$POSTGRES/lib" "$BOX_ROOT$POSTGRES/"
    cp -a "/usr/share/postgresql/${POSTGRES##*/}" "$BOX_ROOT/usr/share/postgresql/"
    cp -a /usr/share/zoneinfo "$BOX_ROOT/usr/share/"
    with_libraries "$BOX_ROOT" "$POSTGRES"/lib/*.so 2>>"$OUT/postgres-init.log"
    getent passwd postgres >>"$BOX_ROOT/etc/passwd"
    getent group postgres >>"$BOX_ROOT/etc/group"
    chown postgres: "$BOX_ROOT"/var/run/postgresql
}

postgres_client() { in_net "$1" env PGPASSWORD=app PGHOST=127.0.0.1 PGUSER=app PGDATABASE=app "$POSTGRES/bin/$2" "${@:3}"; }

postgres_mixed() {
    local i sql=
    for i in $(seq $((RANDOM % 40 + 5))); do
        case $((RANDOM % 12)) in
        8) sql+="CREATE TEMP TABLE t AS SELECT * FROM item LIMIT 50; DROP TABLE t;" ;;
        9) sql+="SELECT to_tsvector(name) @@ to_tsquery('item'), more->>'a', md5(name), now() FROM item LIMIT 30;" ;;
        10) sql+="COPY (SELECT * FROM item LIMIT 100) TO STDOUT;" ;;
        11) sql+="SELECT no_such_column FROM item;" ;;
        *) shop_statement $((RANDOM % 8)) ;;
        esac
    done
    # A report that sorts on disk, in parallel, compiled: what is dear is rare.
    [ $((RANDOM % 15)) = 0 ] && sql="SELECT a.bid, SUM(a.abalance + b.abalance) FROM pgbench_accounts a JOIN pgbench_accounts b
        ON a.filler = b.filler AND a.aid = b.aid GROUP BY a.bid ORDER BY 2;"
    printf '%s' "$sql" | tr ';' '\n' | sed 's/$/;/' >"$BOX_DIR/$1.sql"
    postgres_client "$1" psql -f "$BOX_DIR/$1.sql"
}

postgres_burst() {
    local scripts=(tpcb-like simple-update select-only) more=('' -C '-M prepared' '-M extended')
    local n=$((RANDOM % 40 + 5))
    [ $((RANDOM % 20)) = 0 ] && n=600
    if [ $((RANDOM % 3)) != 0 ]; then
        postgres_mixed "$1"
    else
        # shellcheck disable=SC2086 # two words
        postgres_client "$1" pgbench -n -t "$n" -c $((RANDOM % 6 + 1)) -b "${scripts[RANDOM % ${#scripts[@]}]}" \
            ${more[RANDOM % ${#more[@]}]}
    fi
}

postgres_upkeep() {
    local sql
    for sql in 'VACUUM ANALYZE' CHECKPOINT 'CREATE INDEX more ON item (name)' 'ALTER TABLE item ADD COLUMN note TEXT' \
        'ALTER TABLE item DROP COLUMN note' 'DROP INDEX more' 'REINDEX TABLE item' 'DELETE FROM item WHERE id % 3 = 0' \
        'VACUUM FULL item' 'SELECT * FROM pg_stat_activity, pg_stat_database' 'SELECT pg_reload_conf()' 'SELECT pg_switch_wal()'; do
        postgres_client "$1" psql -c "$sql"
    done
    postgres_client "$1" pg_dump
}

web_files() { # ROOT
    mkdir -p "$1"/{app/public/sub,var/lib/app,var/log/app}
    echo '<h1>a page</h1>' | tee "$1/app/public/index.html" >"$1/app/public/sub/page.html"
    head -c 300000 /dev/urandom >"$1/app/public/big.bin"
    seq 5000 >"$1/app/public/numbers.txt"
    echo '{"name": "a thing", "price": 12}' >"$BOX_DIR/item.json"
}

web_burst() { # CONTAINER PORT PAGE...: one of them, now and then many times
    local pages=("${@:3}") more=(-k -k -i '-H Accept-Encoding:gzip' -c1)
    local n=$((RANDOM % 150 + 10))
    [ $((RANDOM % 20)) = 0 ] && n=2000
    # shellcheck disable=SC2086 # two words
    in_net "$1" ab -q -r -n "$n" -c $((RANDOM % 10 + 1)) ${more[RANDOM % ${#more[@]}]} \
        "http://127.0.0.1:$2${pages[RANDOM % ${#pages[@]}]}"
}

web_ask() { in_net "$1" curl -s "${@:2}"; }

web_items() { # CONTAINER PORT: written and read again
    local i
    for i in $(seq $((RANDOM % 10 + 1))); do
        web_ask "$1" --data-binary @"$BOX_DIR/item.json" "http://127.0.0.1:$2/item/$((RANDOM % 60))"
        web_ask "$1" "http://127.0.0.1:$2/item/$((RANDOM % 80))"
    done
}

node_make() {
    box_make "$1" $TOOLS -p node node /app/server.js || return
    web_files "$BOX_ROOT"
    cp tests/e2e/soak_server.js "$BOX_ROOT/app/server.js"
    echo '{"keep_ms": 60000}' >"$BOX_ROOT/app/config.json"
}

node_burst() {
    local i
    case $((RANDOM % 8)) in
    0 | 1) web_items "$1" 3000 ;;
    2) web_ask "$1" -X DELETE "http://127.0.0.1:3000/item/$((RANDOM % 80))" ;;
    3)
        for i in 1 2 3; do web_ask "$1" "http://127.0.0.1:3000/checksum?name=numbers.txt"; done
        web_ask "$1" --data-binary @/usr/share/common-licenses/GPL-3 http://127.0.0.1:3000/upload
        web_ask "$1" http://127.0.0.1:3000/report
        ;;
    *)
        web_burst "$1" 3000 / /index.html /sub/page.html /numbers.txt /big.bin /missing '/files?name=numbers.txt' \
            '/files?name=sub/page.html' '/files?name=none' '/login?password=guess' /token /zip /backend '/price?of=12*3' /item/7
        ;;
    esac
}

node_upkeep() { runc kill "$(box_name "$1")" HUP; }

java_runtime() { # made once, copied for each
    [ ! -e "$BOX_DIR/jre" ] || return 0
    jlink --add-modules java.base,java.logging,jdk.httpserver --output "$BOX_DIR/jre" &&
        "$BOX_DIR/jre/bin/java" -Xshare:dump &&
        javac -d "$BOX_DIR/classes" tests/e2e/soak_server.java &&
        javac -d "$BOX_DIR/hostile" tests/e2e/soak_exploit.java
} >>"$OUT/java-build.log" 2>&1

java_make() {
    java_runtime || return
    box_make "$1" $TOOLS /opt/jre/bin/java -Xmx96m -cp /app SoakServer || return
    web_files "$BOX_ROOT"
    mkdir "$BOX_ROOT/opt"
    cp -a "$BOX_DIR/classes/." "$BOX_ROOT/app/"
    cp -a "$BOX_DIR/jre" "$BOX_ROOT/opt/"
    with_libraries "$BOX_ROOT" "$BOX_DIR"/jre/lib/*.so "$BOX_DIR/jre/lib/server/libjvm.so" 2>>"$OUT/java-build.log"
}

java_burst() {
    case $((RANDOM % 6)) in
    0 | 1) web_items "$1" 8080 ;;
    2) web_ask "$1" "http://127.0.0.1:8080/search/thing" ;;
    *)
        web_burst "$1" 8080 / /index.html /sub/page.html /numbers.txt /big.bin /missing /zip/numbers.txt /zip/none \
            /sort/20000 /total /hash/text /backend /item/7
        ;;
    esac
}

java_upkeep() {
    web_ask "$1" http://127.0.0.1:8080/save
    web_ask "$1" http://127.0.0.1:8080/gc
    runc kill "$(box_name "$1")" QUIT # writes its threads and goes on
}
