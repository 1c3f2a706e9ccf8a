# The servers of soak.sh, each with how it is made, loaded and kept up. To be sourced.

server_start() {
    box_start "$1" && box_pid "$1" >"$BOX_DIR/$1.nspid"
}

server_stop() { # SIGTERM, and time to close its files
    local pid
    pid=$(cat "$BOX_DIR/$1.nspid")
    rm -f "$BOX_DIR/$1.nspid"
    kill -TERM "$pid"
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

mariadb_mixed() {
    local i sql=
    for i in $(seq $((RANDOM % 40 + 5))); do
        case $((RANDOM % 8)) in
        0 | 1) sql+="INSERT INTO item (name, price) VALUES ('item $RANDOM', $RANDOM);" ;;
        2) sql+="UPDATE item SET price = price + 1 WHERE id = $((RANDOM % 500));" ;;
        3) sql+="DELETE FROM item WHERE id = $((RANDOM % 500));" ;;
        4) sql+="SELECT COUNT(*), AVG(price) FROM item;" ;;
        5) sql+="SELECT a.name FROM item a JOIN item b ON a.price = b.price ORDER BY a.name LIMIT 20;" ;;
        6) sql+="BEGIN; INSERT INTO item (name, price) VALUES ('t', 1); ROLLBACK;" ;;
        7) sql+="SELECT * FROM item WHERE price BETWEEN $RANDOM AND 30000 ORDER BY name;" ;;
        esac
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
